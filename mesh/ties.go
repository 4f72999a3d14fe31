package mesh

import "slices"

// breakTies is called when every undecided statement waits for another undecided one. It takes each circle of statements
// that waits for nothing outside itself and lets one statement of it count:
//
//  1. of the circle's revocations and role statements, those whose signer knew none of the others ("causally ordered
//     revocations apply in order");
//  2. of these the one whose signer is the most senior, by the admissions that it knew and that are not void ("of owners
//     revoking each other the senior wins"); then the one that compareNodes puts first.
//
// The root never gets here: nothing can be taken from it, so its statements wait for nothing. A decision once taken stands,
// also against what it leads to. It returns false when nothing was undecided.
func (e *evaluation) breakTies() bool {
	circles := e.sourceCircles()
	for _, circle := range circles {
		e.settle(e.firstToCount(circle), counts)
	}
	return len(circles) > 0
}

func (e *evaluation) firstToCount(circle []*node) *node {
	takers := slices.DeleteFunc(slices.Clone(circle), func(n *node) bool { return !n.isTaker() })
	first := slices.DeleteFunc(slices.Clone(takers), func(n *node) bool { return slices.ContainsFunc(takers, n.saw) })
	return slices.MinFunc(first, e.compareTakers)
}

func (e *evaluation) compareTakers(a, b *node) int {
	sa, sb := e.signerSeniority(a), e.signerSeniority(b)
	switch {
	case sa == nil && sb != nil:
		return 1
	case sa != nil && sb == nil:
		return -1
	case sa != nil && sa != sb:
		return compareSeniority(sa, sb)
	}
	return compareNodes(a, b)
}

func (e *evaluation) signerSeniority(n *node) *node {
	return e.mostSenior(n.signer, func(a *node) bool {
		v := e.verdicts[a.member]
		return n.saw(a) && (v == counts || v == undecided)
	})
}

// sourceCircles returns the strongly connected components of undecided statements that depend on no undecided statement outside.
func (e *evaluation) sourceCircles() [][]*node {
	t := &tarjan{e: e, index: make([]int32, len(e.verdicts)), low: make([]int32, len(e.verdicts)), component: make([]int32, len(e.verdicts))}
	for _, n := range e.r.members {
		if e.has(n) && e.undecided(n) && t.index[n.member] == 0 {
			t.visit(n)
		}
	}
	fed := make([]bool, len(t.components)) // depends on another component
	for c, nodes := range t.components {
		for _, n := range nodes {
			e.eachDependent(n, func(d *node) {
				if to := t.component[d.member]; e.undecided(d) && to != int32(c) {
					fed[to] = true
				}
			})
		}
	}
	var sources [][]*node
	for c, nodes := range t.components {
		if !fed[c] {
			sources = append(sources, nodes)
		}
	}
	return sources
}

// tarjan finds strongly connected components of undecided statements under "is waited for by": R. Tarjan, "Depth-first search and
// linear graph algorithms" (1972). The slices are by membership number.
type tarjan struct {
	e          *evaluation
	index, low []int32 // index 0: not visited
	component  []int32 // -1: on the stack
	components [][]*node
	stack      []*node
	count      int32
}

func (t *tarjan) visit(n *node) {
	i := n.member
	t.count++
	t.index[i], t.low[i], t.component[i] = t.count, t.count, -1
	t.stack = append(t.stack, n)
	t.e.eachDependent(n, func(d *node) {
		switch {
		case !t.e.undecided(d):
		case t.index[d.member] == 0:
			t.visit(d)
			t.low[i] = min(t.low[i], t.low[d.member])
		case t.component[d.member] < 0:
			t.low[i] = min(t.low[i], t.index[d.member])
		}
	})
	if t.low[i] == t.index[i] {
		t.close(n)
	}
}

// close takes the component that begins with n off the stack.
func (t *tarjan) close(n *node) {
	start := len(t.stack) - 1
	for t.stack[start] != n {
		start--
	}
	nodes := slices.Clone(t.stack[start:])
	t.stack = t.stack[:start]
	for _, c := range nodes {
		t.component[c.member] = int32(len(t.components))
	}
	t.components = append(t.components, nodes)
}

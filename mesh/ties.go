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

func (e *evaluation) firstToCount(circle []int32) int32 {
	var takers []*node
	for _, i := range circle {
		if n := e.r.members[i]; n.kind == kindRevoke || n.kind == kindRole {
			takers = append(takers, n)
		}
	}
	first := slices.DeleteFunc(slices.Clone(takers), func(n *node) bool {
		return slices.ContainsFunc(takers, n.saw)
	})
	return int32(slices.MinFunc(first, e.compareTakers).member)
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

// sourceCircles returns the strongly connected components of undecided statements that depend on no undecided statement
// outside (Tarjan's algorithm over "is waited for by").
func (e *evaluation) sourceCircles() [][]int32 {
	t := tarjan{
		next: func(i int32) []int32 {
			return slices.DeleteFunc(slices.Clone(e.dependents[i]), func(d int32) bool { return e.verdicts[d] != undecided })
		},
		index: make([]int32, len(e.verdicts)), low: make([]int32, len(e.verdicts)), component: make([]int32, len(e.verdicts)),
	}
	for i, n := range e.r.members {
		if e.has(n) && e.verdicts[i] == undecided && t.index[i] == 0 {
			t.visit(int32(i))
		}
	}
	fed := make([]bool, len(t.components)) // depends on another component
	for c, nodes := range t.components {
		for _, i := range nodes {
			for _, d := range t.next(i) {
				if to := t.component[d]; to != int32(c) {
					fed[to] = true
				}
			}
		}
	}
	var sources [][]int32
	for c, nodes := range t.components {
		if !fed[c] {
			sources = append(sources, nodes)
		}
	}
	return sources
}

// tarjan finds strongly connected components: R. Tarjan, "Depth-first search and linear graph algorithms" (1972).
type tarjan struct {
	next       func(int32) []int32
	index, low []int32 // 0: not visited
	component  []int32
	components [][]int32
	stack      []int32
	onStack    map[int32]bool
	count      int32
}

func (t *tarjan) visit(i int32) {
	if t.onStack == nil {
		t.onStack = map[int32]bool{}
	}
	t.count++
	t.index[i], t.low[i] = t.count, t.count
	t.stack = append(t.stack, i)
	t.onStack[i] = true
	for _, d := range t.next(i) {
		if t.index[d] == 0 {
			t.visit(d)
			t.low[i] = min(t.low[i], t.low[d])
		} else if t.onStack[d] {
			t.low[i] = min(t.low[i], t.index[d])
		}
	}
	if t.low[i] != t.index[i] {
		return
	}
	start := len(t.stack) - 1
	for t.stack[start] != i {
		start--
	}
	component := slices.Clone(t.stack[start:])
	t.stack = t.stack[:start]
	for _, c := range component {
		t.onStack[c] = false
		t.component[c] = int32(len(t.components))
	}
	t.components = append(t.components, component)
}

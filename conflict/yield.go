package conflict

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// decideYielding finds out which siblings yield to which.
//
// A sibling yields to another one with other content whose author knew what the first one holds and replaced it: then the
// first author did no more than chmod, touch or save again what the other replaced. See yieldsTo for the two ways to know it.
//
// Siblings that would yield to each other in a circle do not: their authors decided opposite things, which is a conflict. So
// the relation's strongly connected components are cut: what remains has no circle, hence every sibling either survives or
// leads to one that does.
func (set *siblingSet) decideYielding() {
	n := len(set.all)
	if n < 2 {
		return
	}
	var would [][]int
	for i := range n {
		for k := range n {
			if i != k && set.yieldsTo(set.all[i], set.all[k]) {
				if would == nil {
					would = make([][]int, n)
				}
				would[i] = append(would[i], k)
			}
		}
	}
	if would == nil {
		return
	}
	circle := components(would)
	set.yields, set.yielders = make([][]int, n), make([][]int, n)
	for i, to := range would {
		for _, k := range to {
			if circle[i] != circle[k] {
				set.yields[i] = append(set.yields[i], k)
				set.yielders[k] = append(set.yielders[k], i)
			}
		}
	}
}

// yieldsTo tells whether x yields to y, circles not considered. Siblings that count as one do not yield to each other.
func (set *siblingSet) yieldsTo(x, y *Sibling) bool {
	switch {
	case same(x, y):
		return false
	case set.lin.Covers(y.Version, x.contentFrom()):
		return true // y's author saw the very record that brought x's content
	case y.Replaced == [32]byte{} || y.Replaced != x.Content:
		return false
	case y.Kind == shoal.KindTombstone && !set.savedAgain(x, y):
		return false
	}
	// y's author replaced this content as brought by some other record. If x's author had seen what y brought, then x is the
	// answer to y and not a survivor from before it.
	return !set.lin.Covers(x.Version, y.contentFrom())
}

// savedAgain tells whether x is no more than what y deleted, saved again by one who had seen of it what y's author had, or found by one who joined (its time
// is 0). Whoever deletes a content, or moves it away, has not done with it everywhere: what another one brought here, who knew other things of this path or
// nothing, may be that very content, moved back.
func (set *siblingSet) savedAgain(x, y *Sibling) bool {
	if x.Time == 0 {
		return true
	}
	before := slices.DeleteFunc(slices.Clone(x.Version), func(c shoal.Dot) bool { return c.Journal == x.Record.Journal })
	return len(before) > 0 && set.lin.Descends(y.Version, before)
}

// components numbers the nodes of a graph so that two have one number exactly if each can be reached from the other.
// (R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1, 1972.)
func components(edges [][]int) []int {
	t := tarjan{edges: edges, number: make([]int, len(edges)), low: make([]int, len(edges)), component: make([]int, len(edges))}
	for i := range edges {
		if t.number[i] == 0 {
			t.visit(i)
		}
	}
	return t.component
}

// tarjan is the state of one run of the algorithm. Numbers begin at 1; 0 means "not yet".
type tarjan struct {
	edges                  [][]int
	number, low, component []int
	stack                  []int
	visited, found         int
}

// visit recurses at most once per sibling.
func (t *tarjan) visit(i int) {
	t.visited++
	t.number[i], t.low[i] = t.visited, t.visited
	t.stack = append(t.stack, i)
	for _, k := range t.edges[i] {
		switch {
		case t.number[k] == 0:
			t.visit(k)
			t.low[i] = min(t.low[i], t.low[k])
		case t.component[k] == 0: // still on the stack
			t.low[i] = min(t.low[i], t.number[k])
		}
	}
	if t.low[i] != t.number[i] {
		return
	}
	t.found++
	for t.component[i] == 0 {
		last := len(t.stack) - 1
		t.component[t.stack[last]] = t.found
		t.stack = t.stack[:last]
	}
}

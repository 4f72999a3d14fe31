package mesh

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPastIsASet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sets := []*past{emptyPast}
		models := []map[int]bool{{}}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			i, j := rapid.IntRange(0, len(sets)-1).Draw(rt, "one"), rapid.IntRange(0, len(sets)-1).Draw(rt, "other")
			m := maps.Clone(models[i])
			if rapid.Bool().Draw(rt, "union") {
				maps.Copy(m, models[j])
				sets = append(sets, sets[i].union(sets[j]))
			} else {
				n := rapid.IntRange(0, 3*pastChunkBits).Draw(rt, "number")
				m[n] = true
				sets = append(sets, sets[i].with(n))
			}
			models = append(models, m)
		}
		for i, m := range models {
			var got []int
			sets[i].each(func(n int) { got = append(got, n) })
			if want := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) || sets[i].has(-1+4*pastChunkBits) {
				rt.Fatalf("set %d holds %v, want %v", i, got, want)
			}
		}
	})
}

func TestUnionWithWhatItHoldsIsTheSameSet(t *testing.T) {
	small := emptyPast.with(3).with(700)
	big := small.with(5)
	for name, got := range map[string]*past{
		"itself": big.union(big), "less": big.union(small), "more": small.union(big), "nothing": big.union(emptyPast), "to nothing": emptyPast.union(big),
	} {
		if got != big {
			t.Errorf("%s: another set was made", name)
		}
	}
}

// chainOf returns the nodes of a chain, first to last.
func chainOf(length int) []*node {
	var chain []*node
	for range length {
		n := &node{}
		if len(chain) == 0 {
			n.link(nil)
		} else {
			n.link(chain[len(chain)-1])
		}
		chain = append(chain, n)
	}
	return chain
}

func TestAncestorsInAChainAreFoundAndInFewSteps(t *testing.T) {
	chain, other := chainOf(2000), chainOf(10)
	for i := 0; i < len(chain); i += 37 {
		for j := 0; j < len(chain); j += 41 {
			if got := chain[i].follows(chain[j]); got != (j <= i) {
				t.Fatalf("%d follows %d: %v", i, j, got)
			}
		}
	}
	if chain[100].follows(other[5]) {
		t.Error("follows a node of another chain")
	}
	far := 0
	for n := chain[len(chain)-1]; n.chain > 0; n = n.jump {
		far++
	}
	if far > 20 || chain[1500].jump.chain == 0 && chain[1499].jump.chain == 0 && chain[1498].jump.chain == 0 && chain[1497].jump.chain == 0 {
		t.Errorf("%d jumps to the start", far)
	}
}

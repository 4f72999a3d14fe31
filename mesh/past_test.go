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

func TestKeptStatementsAreThoseOfTheChainBackwards(t *testing.T) {
	var all []*node
	add := func(back *node) *node {
		n := &node{back: back, number: len(all)}
		all = append(all, n)
		return n
	}
	var trunk *node
	for range 100 {
		trunk = add(trunk)
	}
	fork := add(all[49])
	add(trunk)
	add(nil)
	kept := bitSet(nil).keep(fork).keep(all[60])
	for i, n := range all {
		if want := i <= 60 || n == fork; kept.has(i) != want {
			t.Errorf("statement %d kept: %v", i, kept.has(i))
		}
	}
}

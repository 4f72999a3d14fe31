package block

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// someRefs returns n refs over a few epochs, sorted.
func someRefs(seed string, n, epochs int) []EpochRef {
	raw := pseudoRandom(seed, 33*n)
	refs := make([]EpochRef, n)
	for i := range refs {
		refs[i] = EpochRef{ID: ID(raw[33*i:]), Epoch: shoal.EpochID{1 + raw[33*i+32]%byte(epochs)}}
	}
	return SortRefs(refs)
}

// nodeSet keeps nodes by hash, as a store does.
type nodeSet map[[32]byte][]byte

func (s nodeSet) add(nodes ...[]byte) {
	for _, n := range nodes {
		s[blake3.Sum256(n)] = n
	}
}

func (s nodeSet) fetch(hash [32]byte) ([]byte, error) {
	if n, ok := s[hash]; ok {
		return n, nil
	}
	return nil, ErrNotFound
}

const anyNumber = 1 << 20

func TestRefTreeReadsBackAsTheSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 30000)).Draw(rt, "refs")
		refs := someRefs(rapid.StringN(1, 3, -1).Draw(rt, "seed"), n, rapid.IntRange(1, 5).Draw(rt, "epochs"))
		root, nodes := RefTree(refs)
		store := nodeSet{}
		store.add(nodes...)
		for _, node := range nodes {
			if _, err := DecodeRefNode(node); err != nil {
				rt.Fatal(err)
			}
		}
		got, err := ReadRefTree(root, n, store.fetch)
		if err != nil || !slices.Equal(got, refs) {
			rt.Fatalf("%d refs came back as %d: %v", len(refs), len(got), err)
		}
	})
}

func TestRefTreeDoesNotDependOnOrderOrRepetition(t *testing.T) {
	refs := someRefs("order", 5000, 3)
	want, _ := RefTree(refs)
	mixed := append(slices.Clone(refs), refs[:100]...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	before := slices.Clone(mixed)
	if got, _ := RefTree(mixed); got != want {
		t.Error("the same set gives another tree")
	}
	if !slices.Equal(before, mixed) {
		t.Error("the caller's slice was changed")
	}
}

func TestSimilarSetsShareRefNodes(t *testing.T) {
	refs := someRefs("similar", 30000, 1)
	_, nodes := RefTree(refs)
	old := nodeSet{}
	old.add(nodes...)
	_, again := RefTree(append(slices.Clone(refs), EpochRef{ID{77, 5}, shoal.EpochID{1}}))
	fresh := 0
	for _, n := range again {
		if _, err := old.fetch(blake3.Sum256(n)); err != nil {
			fresh++
		}
	}
	if fresh > 5 {
		t.Errorf("one more ref changed %d of %d nodes", fresh, len(again))
	}
}

func TestRefTreeLimitIsKept(t *testing.T) {
	root, nodes := RefTree(someRefs("limit", 2000, 1))
	store := nodeSet{}
	store.add(nodes...)
	if _, err := ReadRefTree(root, 1999, store.fetch); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestHostileRefTreesAreRefused(t *testing.T) {
	refs := someRefs("hostile", 3000, 2)
	_, good := RefTree(refs)
	leaf := encodeLeaf(refs[:100])
	leafHash := blake3.Sum256(leaf)
	inner := func(height int, children ...[]byte) []byte {
		var hashes [][32]byte
		for _, c := range children {
			hashes = append(hashes, blake3.Sum256(c))
		}
		return encodeInner(height, hashes)
	}
	rows := map[string]struct {
		root  []byte
		nodes [][]byte
		want  error
	}{
		"missing node":            {good[len(good)-1], good[1:], ErrNotFound},
		"node named twice":        {inner(1, leaf, leaf), [][]byte{leaf}, ErrMalformed},
		"inner node over one":     {inner(1, leaf), [][]byte{leaf}, ErrMalformed},
		"cut too early":           {inner(1, encodeLeaf(refs[:10]), encodeLeaf(refs[10:20])), [][]byte{encodeLeaf(refs[:10]), encodeLeaf(refs[10:20])}, ErrMalformed},
		"leaf too deep":           {inner(2, leaf), [][]byte{leaf}, ErrMalformed},
		"children in wrong order": {inner(1, encodeLeaf(refs[100:200]), leaf), [][]byte{leaf, encodeLeaf(refs[100:200])}, ErrMalformed},
	}
	for name, row := range rows {
		store := nodeSet{}
		store.add(row.nodes...)
		store.add(row.root)
		if _, err := ReadRefTree(blake3.Sum256(row.root), anyNumber, store.fetch); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
	swapped := nodeSet{leafHash: encodeLeaf(refs[:99])}
	if _, err := ReadRefTree(leafHash, anyNumber, swapped.fetch); !errors.Is(err, ErrMalformed) {
		t.Errorf("node under another's hash: got %v", err)
	}
}

func TestMalformedRefNodesAreRefused(t *testing.T) {
	refs := someRefs("node", 10, 2)
	leaf := encodeLeaf(refs)
	twice := append(bytes.Clone(leaf), leaf[2:]...)
	for name, bad := range map[string][]byte{
		"nothing":            nil,
		"no children":        {nodeFormat, 0},
		"other format":       append([]byte{9}, leaf[1:]...),
		"too high":           append([]byte{nodeFormat, maxHeight + 1}, make([]byte, 32)...),
		"half a hash":        append([]byte{nodeFormat, 1}, make([]byte, 16)...),
		"ends in an ID":      leaf[:len(leaf)-1],
		"ends in a group":    append(bytes.Clone(leaf), 1, 2, 3),
		"refs not ascending": twice,
		"empty epoch":        encodeLeaf([]EpochRef{{ID: ID{1}}}),
		"too many":           encodeLeaf(someRefs("many", maxNode+1, 1)),
	} {
		if _, err := DecodeRefNode(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := DecodeRefNode(make([]byte, MaxRefNode+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: got %v", err)
	}
}

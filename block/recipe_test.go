package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// someRecipe returns n refs with IDs that look like keyed hashes.
func someRecipe(seed string, n int) Recipe {
	raw := pseudoRandom(seed, 36*n)
	r := make(Recipe, n)
	for i := range r {
		r[i] = Ref{ID: ID(raw[36*i:]), Size: binary.BigEndian.Uint32(raw[36*i+32:])%MaxSize + 1}
	}
	return r
}

func drawRecipe(rt *rapid.T) Recipe {
	n := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 20000),
		rapid.SampledFrom([]int{InlineRecipe, minPart - 1, minPart, minPart + 1, maxPart})).Draw(rt, "refs")
	return someRecipe(rapid.StringN(1, 3, -1).Draw(rt, "seed"), n)
}

func TestRecipeDecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := drawRecipe(rt)
		got, err := DecodeRecipe(r.Encode())
		if err != nil || !slices.Equal(got, r) {
			rt.Fatalf("%d refs came back as %d: %v", len(r), len(got), err)
		}
		if err := got.Validate(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestRecipePartsJoinToTheRecipe(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	rapid.Check(t, func(rt *rapid.T) {
		r := drawRecipe(rt)
		parts, refs := keys.SplitRecipe(r)
		if len(parts) != len(refs) {
			rt.Fatalf("%d parts, %d refs", len(parts), len(refs))
		}
		for i, p := range parts {
			if len(p) > MaxSize || refs[i] != (Ref{ID: keys.ID(p), Size: uint32(len(p))}) {
				rt.Fatalf("part %d is not what its ref says", i)
			}
		}
		got, err := JoinRecipe(parts)
		if err != nil || !slices.Equal(got, r) {
			rt.Fatalf("%d refs came back as %d: %v", len(r), len(got), err)
		}
	})
}

func TestEditOfALongRecipeChangesFewParts(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	r := someRecipe("long", 30000)
	_, old := keys.SplitRecipe(r)
	had := make(map[ID]bool)
	for _, ref := range old {
		had[ref.ID] = true
	}
	for _, at := range []int{0, 1, 9999, 29999} {
		edited := slices.Insert(slices.Clone(r), at, someRecipe("new", 2)...)
		_, refs := keys.SplitRecipe(edited)
		fresh := 0
		for _, ref := range refs {
			if !had[ref.ID] {
				fresh++
			}
		}
		if fresh > 4 {
			t.Errorf("insertion at %d changed %d of %d parts", at, fresh, len(refs))
		}
	}
}

func TestRecipePartsCutElsewhereAreRefused(t *testing.T) {
	r := someRecipe("cut", 3000)
	parts, _ := (&Keys{}).SplitRecipe(r)
	if len(parts) < 2 {
		t.Fatalf("%d parts", len(parts))
	}
	for name, bad := range map[string][][]byte{
		"one part for all": {r.Encode()},
		"too early":        {r[:300].Encode(), r[300:].Encode()},
		"empty part":       append(slices.Clone(parts), Recipe{}.Encode()),
		"trailing byte":    append(slices.Clone(parts[:len(parts)-1]), append(bytes.Clone(parts[len(parts)-1]), 0)),
		"no bytes":         {nil},
	} {
		if _, err := JoinRecipe(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRecipeSizesAndOffsetsAddUp(t *testing.T) {
	r := Recipe{{ID{1}, 10}, {ID{2}, MaxSize}, {ID{3}, 5}}
	if r.Size() != MaxSize+15 || r.Offset(0) != 0 || r.Offset(2) != MaxSize+10 {
		t.Errorf("size %d, offsets %d and %d", r.Size(), r.Offset(0), r.Offset(2))
	}
	if (Recipe{}).Size() != 0 {
		t.Error("an empty file has a size")
	}
}

func TestInvalidRefsAreRefused(t *testing.T) {
	for name, ref := range map[string]Ref{
		"no size":  {ID{1}, 0},
		"too big":  {ID{1}, MaxSize + 1},
		"empty ID": {ID{}, 1},
	} {
		if err := (Recipe{ref}).Validate(); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s: Validate says %v", name, err)
		}
		if _, err := DecodeRecipe(Recipe{ref}.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: DecodeRecipe says %v", name, err)
		}
	}
}

func TestContentIDTellsRecipesApart(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	r := someRecipe("content", 300)
	seen := make(map[ContentID]string)
	note := func(what string, c ContentID) {
		if other := seen[c]; other != "" {
			t.Errorf("%s and %s have one content ID", what, other)
		}
		seen[c] = what
	}
	swapped := slices.Clone(r)
	swapped[0], swapped[1] = r[1], r[0]
	resized := slices.Clone(r)
	resized[299].Size++
	note("empty file", keys.ContentID(nil))
	note("file", keys.ContentID(r))
	note("longer file", keys.ContentID(append(slices.Clone(r), Ref{ID{1}, 1})))
	note("blocks in other order", keys.ContentID(swapped))
	note("other size", keys.ContentID(resized))
	note("other folder", (&Keys{}).ContentID(r))
	note("block with the recipe's bytes", ContentID(keys.ID(r.Encode())))
	if keys.ContentID(slices.Clone(r)) != keys.ContentID(r) {
		t.Error("equal recipes have different content IDs")
	}
}

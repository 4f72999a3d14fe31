package block

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// FuzzOpen gives Open anything. Nobody without the key can make something that opens, so all of it is corrupt.
func FuzzOpen(f *testing.F) {
	for _, v := range buildSealVectors() {
		f.Add([]byte(v.Sealed))
	}
	f.Fuzz(func(t *testing.T, sealed []byte) {
		before := bytes.Clone(sealed)
		var corrupt *CorruptError
		_, err := Open(nil, goldenSealKey, goldenEpoch, &goldenKeys, ID{1}, sealed)
		if !errors.As(err, &corrupt) {
			t.Fatalf("got %v", err)
		}
		if !bytes.Equal(before, sealed) {
			t.Fatal("the sealed block was changed")
		}
	})
}

// FuzzOpenInside is somebody with the key, who can seal what he likes: under the ID of plain it opens to plain or not at all.
func FuzzOpenInside(f *testing.F) {
	word := []byte("shoal")
	f.Add(false, inside(word, []byte{0}, 5, 5), word)
	f.Add(true, inside(word, []byte{0}, 5, 5), word)
	text := bytes.Repeat([]byte("text "), 100)
	frame := deflate(nil, text, On)
	f.Add(true, inside(frame, make([]byte, Padme(len(frame)+trailerSize)-trailerSize-len(frame)), uint32(len(text)), uint32(len(frame))), text)
	f.Fuzz(func(t *testing.T, compressed bool, inner, plain []byte) {
		flags := byte(0)
		if compressed {
			flags = flagCompressed
		}
		id := goldenKeys.ID(plain)
		got, err := Open(nil, goldenSealKey, goldenEpoch, &goldenKeys, id, sealRaw(id, flags, inner))
		if err == nil && !bytes.Equal(got, plain) {
			t.Fatalf("opened to %x", got)
		}
		if cap(got) > MaxSealed+1<<16 {
			t.Fatalf("took %d bytes", cap(got))
		}
	})
}

// FuzzSealThenOpen: what was sealed opens to the same bytes.
func FuzzSealThenOpen(f *testing.F) {
	f.Add([]byte{0}, uint8(0))
	f.Add(bytes.Repeat([]byte("shoal "), 1000), uint8(On))
	f.Fuzz(func(t *testing.T, plain []byte, c uint8) {
		id := goldenKeys.ID(plain)
		nonce := bytes.NewReader([]byte("golden nonce"))
		sealed, err := Seal(nil, goldenSealKey, goldenEpoch, id, plain, Compression(c%4), nonce)
		if len(plain) == 0 || len(plain) > MaxSize {
			if !errors.Is(err, ErrSize) {
				t.Fatalf("sealing %d bytes: %v", len(plain), err)
			}
			return
		}
		if err != nil || len(sealed) < MinSealed || len(sealed) > headSize+Padme(len(plain)+trailerSize)+tagSize {
			t.Fatalf("%d bytes sealed to %d: %v", len(plain), len(sealed), err)
		}
		got, err := Open(nil, goldenSealKey, goldenEpoch, &goldenKeys, id, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened to %d bytes: %v", len(got), err)
		}
		if _, err := Open(nil, goldenSealKey, shoal.EpochID{}, &goldenKeys, id, sealed); !errors.Is(err, ErrTag) {
			t.Fatalf("under another epoch: %v", err)
		}
	})
}

// FuzzDecodeRecipe: what is accepted is valid and encodes to the same bytes.
func FuzzDecodeRecipe(f *testing.F) {
	f.Add(Recipe{}.Encode())
	f.Add(someRecipe("fuzz", 3).Encode())
	f.Add([]byte{recipeFormat, 1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecipe(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Encode(), data) {
			t.Fatal("encodes to something else")
		}
		parts, _ := goldenKeys.SplitRecipe(r)
		if again, err := JoinRecipe(parts); err != nil || !bytes.Equal(again.Encode(), data) {
			t.Fatalf("parts do not join: %v", err)
		}
	})
}

// FuzzJoinRecipe: parts that join are the parts that the recipe splits into.
func FuzzJoinRecipe(f *testing.F) {
	parts, _ := goldenKeys.SplitRecipe(someRecipe("fuzz", 600))
	f.Add(bytes.Join(parts, nil), uint32(len(parts[0])))
	f.Add([]byte{recipeFormat}, uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint32) {
		first := int(at) % (len(data) + 1)
		in := [][]byte{data[:first], data[first:]}
		r, err := JoinRecipe(in)
		if err != nil {
			return
		}
		out, _ := goldenKeys.SplitRecipe(r)
		if len(out) != 2 || !bytes.Equal(out[0], in[0]) || !bytes.Equal(out[1], in[1]) {
			t.Fatal("the recipe splits in another way")
		}
	})
}

// FuzzDecodeRefNode: what is accepted encodes to the same bytes.
func FuzzDecodeRefNode(f *testing.F) {
	f.Add(encodeLeaf(someRefs("fuzz", 5, 2)))
	f.Add(encodeInner(2, [][32]byte{{1}, {2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		node, err := DecodeRefNode(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		if !bytes.Equal(encodeNode(node), data) {
			t.Fatal("encodes to something else")
		}
	})
}

// FuzzParseCID: what is accepted is what the ID prints, in base32.
func FuzzParseCID(f *testing.F) {
	f.Add(ID{1}.CIDString())
	f.Add("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	f.Add("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseCID(s)
		if err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		if back, err := ParseCID(id.CIDString()); back != id || err != nil {
			t.Fatalf("%q: prints as %q", s, id.CIDString())
		}
	})
}

// FuzzReadRefTree: nodes that somebody else sends, which hash to what was asked for because they chose that, are a set in order or an error; and
// reading ends.
func FuzzReadRefTree(f *testing.F) {
	var refs []EpochRef
	for i := range 300 {
		refs = append(refs, EpochRef{ID: ID(blake3.Sum256([]byte{byte(i), byte(i >> 8)})), Epoch: shoal.EpochID{1}})
	}
	for _, n := range []int{1, 3, 300} {
		_, nodes := RefTree(refs[:n])
		f.Add(nodes[len(nodes)-1], nodes[0], uint16(1000))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, limit uint16) {
		nodes := map[[32]byte][]byte{blake3.Sum256(a): a, blake3.Sum256(b): b}
		asked := 0
		got, err := ReadRefTree(blake3.Sum256(a), int(limit), func(hash [32]byte) ([]byte, error) {
			if asked++; asked > 100_000 {
				t.Fatal("never ends")
			}
			if data := nodes[hash]; data != nil {
				return data, nil
			}
			return nil, ErrNotFound
		})
		if err != nil {
			return
		}
		if root, _ := RefTree(got); root != blake3.Sum256(a) || len(got) > int(limit) {
			t.Fatalf("%d references of at most %d", len(got), limit)
		}
	})
}

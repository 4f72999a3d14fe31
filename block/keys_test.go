package block

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	other "lukechampine.com/blake3"

	"github.com/shoalmesh/shoal"
)

// otherKeyed is keyed BLAKE3 by another implementation.
func otherKeyed(key [32]byte, data []byte) [32]byte {
	h := other.New(32, key[:])
	h.Write(data)
	return [32]byte(h.Sum(nil))
}

func TestNamesAreWhatAnotherImplementationComputes(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	for _, n := range []int{0, 1, 63, 64, 65, 1024, 1025, 8192, 8193, 100_000, MaxSize} {
		data := pseudoRandom("other", n)
		if keys.ID(data) != otherKeyed(testKey, data) {
			t.Errorf("block ID of %d bytes differs", n)
		}
	}
	for _, n := range []int{0, 1, 113, 114, 5000} {
		r := someRecipe("other", n)
		var key [32]byte
		other.DeriveKey(key[:], contextContent, testKey[:])
		if keys.ContentID(r) != otherKeyed(key, r.Encode()) {
			t.Errorf("content ID of %d refs differs", n)
		}
	}
	var key [32]byte
	other.DeriveKey(key[:], contextDigest, testKey[:])
	part := pseudoRandom("part", 300)
	in := append([]byte{5}, "label"...)
	in = append(binary.AppendUvarint(in, 300), part...)
	if keys.Digest("label", part, nil) != otherKeyed(key, append(in, 0)) {
		t.Error("labelled digest differs")
	}
}

func TestDigestTellsPartsApart(t *testing.T) {
	k := &Keys{}
	seen := make(map[[32]byte]string)
	for name, sum := range map[string][32]byte{
		"ab,c": k.Digest("l", []byte("ab"), []byte("c")), "a,bc": k.Digest("l", []byte("a"), []byte("bc")),
		"abc": k.Digest("l", []byte("abc")), "other label": k.Digest("la", []byte("bc")), "no parts": k.Digest("l"),
		"empty part": k.Digest("l", nil), "block": k.ID([]byte("\x01l")),
	} {
		if seen[sum] != "" {
			t.Errorf("%s and %s are the same", name, seen[sum])
		}
		seen[sum] = name
	}
}

func TestKeysMayBeUsedByManyAtOnce(t *testing.T) {
	data := pseudoRandom("many", 10_000)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			keys := &Keys{BlockID: [32]byte{byte(worker % 3)}}
			want := ID(otherKeyed(keys.BlockID, data))
			for range 50 {
				if keys.ID(data) != want {
					t.Error("another ID than alone")
				}
			}
		})
	}
	wg.Wait()
}

func TestMoreKeysThanAreCachedWork(t *testing.T) {
	for i := range 2*maxCachedKeys + 1 {
		keys := &Keys{BlockID: [32]byte{byte(i), byte(i >> 8)}}
		if keys.ID(nil) != otherKeyed(keys.BlockID, nil) {
			t.Fatalf("key %d: wrong ID", i)
		}
	}
	if n := len(folderHashersCache.m); n > maxCachedKeys {
		t.Errorf("%d keys are cached", n)
	}
}

func TestBlockIDsAreCIDs(t *testing.T) {
	id := ID{1, 2, 3}
	back, err := ParseCID(id.CIDString())
	if back != id || err != nil {
		t.Fatalf("%s parses to %x, %v", id, back[:], err)
	}
	c, err := cid.Decode(id.String())
	if err != nil || c.Type() != cid.Raw {
		t.Fatalf("%s: %v", id, err)
	}
	mh, err := multihash.Decode(c.Hash())
	if err != nil || mh.Name != hashName || !bytes.Equal(mh.Digest, id[:]) {
		t.Errorf("multihash %+v, %v", mh, err)
	}
}

func TestOtherCIDsAreNoBlockIDs(t *testing.T) {
	of := func(version, codec, code uint64, hash []byte) string {
		mh, err := multihash.Encode(hash, code)
		if err != nil {
			t.Fatal(err)
		}
		if version == 0 {
			return cid.NewCidV0(mh).String()
		}
		return cid.NewCidV1(codec, mh).String()
	}
	hash := bytes.Repeat([]byte{7}, 32)
	for name, s := range map[string]string{
		"empty":        "",
		"no CID":       "hello",
		"version 0":    of(0, cid.DagProtobuf, multihash.SHA2_256, hash),
		"plain BLAKE3": of(1, cid.Raw, multihash.BLAKE3, hash),
		"other codec":  of(1, cid.DagCBOR, hashCode, hash),
		"short hash":   of(1, cid.Raw, hashCode, hash[:31]),
		"long hash":    of(1, cid.Raw, hashCode, append(hash, 7)),
		"zero ID":      ID{}.CIDString(),
		"too long":     strings.Repeat("b", 1000),
	} {
		if id, err := ParseCID(s); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s: %x, %v", name, id[:], err)
		}
	}
}

func TestPadmeFollowsThePaper(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 7: 7, 8: 8, 9: 10, 10: 10, 100: 104, 1000: 1024, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15} {
		if got := Padme(n); got != want {
			t.Errorf("%d is padded to %d, want %d", n, got, want)
		}
	}
	last := 0
	for n := range 2 * MaxSize {
		p := Padme(n)
		if p < n || p < last || Padme(p) != p || float64(p) > 1.12*float64(n) {
			t.Fatalf("%d is padded to %d", n, p)
		}
		last = p
	}
	if maxInner != Padme(MaxSize+trailerSize) || MinSealed != headSize+Padme(1+trailerSize)+tagSize {
		t.Errorf("MaxSealed and MinSealed do not follow from Padme")
	}
}

// TestHotPathsDoNotAllocate holds what a block costs the allocator: nothing but the AES key schedule, which crypto/aes makes in two pieces.
func TestHotPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops things on purpose under the race detector")
	}
	const keySchedule = 2
	data := pseudoRandom("allocations", MaxSize)
	recipe := someRecipe("allocations", 1000)
	keys := &Keys{BlockID: testKey}
	c, r, buf := NewChunker(nil, testKey), bytes.NewReader(data), make([]byte, MaxSize)
	id, room := keys.ID(data), make([]byte, 0, MaxSealed+64<<10)
	sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, id, data, Off, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []struct {
		name string
		most float64
		run  func() error
	}{
		{"ID", 0, func() error { keys.ID(data); return nil }},
		{"ContentID", 0, func() error { keys.ContentID(recipe); return nil }},
		{"chunker", 0, func() error {
			r.Reset(data)
			c.Reset(r)
			for {
				if _, err := c.Next(buf); err != nil {
					return nil
				}
			}
		}},
		{"Seal", keySchedule, func() error {
			_, err := Seal(room, SealKey{}, shoal.EpochID{}, id, data, Off, rand.Reader)
			return err
		}},
		{"Open", keySchedule, func() error {
			_, err := Open(room, SealKey{}, shoal.EpochID{}, keys, id, sealed)
			return err
		}},
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := path.run(); err != nil {
				t.Fatal(err)
			}
		})
		if n >= path.most+1 { // a garbage collection may empty a pool in between
			t.Errorf("%s allocates %v times, at most %v are expected", path.name, n, path.most)
		}
	}
}

package block

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestSealedBlockOpensToTheSameBytes(t *testing.T) {
	keys := &Keys{BlockID: [32]byte{1}}
	epoch := shoal.EpochID{2}
	random := make([]byte, MaxSize)
	rand.Read(random)
	for name, plain := range map[string][]byte{
		"one byte": {7},
		"text":     bytes.Repeat([]byte("the quick brown fox "), 4000),
		"random":   random,
		"zeros":    make([]byte, MaxSize),
	} {
		for _, c := range []Compression{Auto, Off, On} {
			id := keys.ID(plain)
			sealed, err := Seal([]byte("before"), SealKey{3}, epoch, id, plain, c, rand.Reader)
			if err != nil {
				t.Fatal(name, err)
			}
			if got := len(sealed) - 6; got < MinSealed || got > MaxSealed {
				t.Errorf("%s: sealed to %d bytes", name, got)
			}
			got, err := Open([]byte("head"), SealKey{3}, epoch, keys, id, sealed[6:])
			if err != nil {
				t.Fatal(name, c, err)
			}
			if !bytes.Equal(got, append([]byte("head"), plain...)) {
				t.Errorf("%s: opened to something else", name)
			}
		}
	}
}

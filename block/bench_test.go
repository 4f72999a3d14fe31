package block

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"testing"

	"github.com/shoalmesh/shoal"
)

// benchInputs are 8 MiB each: what does not compress, and what does.
func benchInputs() map[string][]byte {
	return map[string][]byte{"random": pseudoRandom("bench", 8<<20), "text": pseudoText("bench", 8<<20)}
}

func BenchmarkChunk(b *testing.B) {
	for name, data := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, MaxSize)
			r := bytes.NewReader(data)
			c := NewChunker(r, [32]byte{1})
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(data)
				c.Reset(r)
				for {
					if _, err := c.Next(buf); err == io.EOF {
						break
					}
				}
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	data := pseudoRandom("bench", TargetSize)
	keys := &Keys{}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		keys.ID(data)
	}
}

func BenchmarkSeal(b *testing.B) {
	for name, input := range benchInputs() {
		for _, c := range []Compression{Auto, Off, Tight} {
			b.Run(fmt.Sprintf("%s/%v", name, c), func(b *testing.B) {
				data := input[:TargetSize]
				keys := &Keys{}
				id := keys.ID(data)
				dst := make([]byte, 0, MaxSealed+64<<10)
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := Seal(dst, SealKey{}, shoal.EpochID{}, id, data, c, rand.Reader); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for name, input := range benchInputs() {
		b.Run(name, func(b *testing.B) {
			data := input[:TargetSize]
			keys := &Keys{}
			id := keys.ID(data)
			sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, id, data, Auto, rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, MaxSealed)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(dst, SealKey{}, shoal.EpochID{}, keys, id, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkContentID(b *testing.B) {
	r := make(Recipe, 4096)
	for i := range r {
		r[i] = Ref{ID: ID{byte(i), byte(i >> 8)}, Size: TargetSize}
	}
	keys := &Keys{}
	b.ReportAllocs()
	for b.Loop() {
		keys.ContentID(r)
	}
}

package packstore

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
)

func benchStore(b *testing.B) *Store {
	s, err := Open(b.Context(), Config{Dir: b.TempDir(), Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// BenchmarkPut is without Sync: what the store costs beside the disk.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchStore(b)
			_, sealed := blocktest.Block(0, size)
			hash := block.SealedHash(sealed)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k, _ := blocktest.Block(i, 1)
				k.Sealed = hash
				if err := s.Put(b.Context(), k, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchStore(b)
			const n = 200
			var keys [n]block.Key
			for i := range keys {
				k, sealed := blocktest.Block(i, size)
				if err := s.Put(b.Context(), k, sealed); err != nil {
					b.Fatal(err)
				}
				keys[i] = k
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(b.Context(), keys[i%n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

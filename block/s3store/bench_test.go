package s3store

import (
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/packstore"
)

// stores are what is measured: this store over loopback, and packs on the same disk.
var stores = map[string]func(b *testing.B) block.Store{
	"bucket": func(b *testing.B) block.Store {
		r := newRig(b)
		c := r.config()
		c.PackSize, c.MissRefresh, c.Checkpoint = 0, time.Hour, 0
		return r.open(c)
	},
	"disk": func(b *testing.B) block.Store {
		s, err := packstore.Open(b.Context(), packstore.Config{Dir: b.TempDir(), Rand: rand.Reader})
		must(b, err)
		b.Cleanup(func() { s.Close() })
		return s
	},
}

const benchSize = 256 << 10

// BenchmarkPutSync puts 64 MiB and makes them durable.
func BenchmarkPutSync(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			sealed := make([]byte, benchSize)
			n := 0
			b.SetBytes(256 * benchSize)
			for b.Loop() {
				for range 256 {
					n++
					copy(sealed, fmt.Sprint(n))
					must(b, s.Put(b.Context(), block.Key{ID: block.ID{byte(n), byte(n >> 8), byte(n >> 16)}}, sealed))
				}
				must(b, s.Sync(b.Context()))
			}
		})
	}
}

// BenchmarkSmallSync makes one block of 4 KiB durable: what a change of a small file waits for.
func BenchmarkSmallSync(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			n := 0
			for b.Loop() {
				n++
				k, sealed := blocktest.Block(n, 4<<10)
				must(b, s.Put(b.Context(), k, sealed))
				must(b, s.Sync(b.Context()))
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			var keys []block.Key
			sealed := make([]byte, benchSize)
			for range 200 {
				_, err := io.ReadFull(rand.Reader, sealed)
				must(b, err)
				k := block.Key{ID: block.ID{byte(len(keys))}}
				must(b, s.Put(b.Context(), k, sealed))
				keys = append(keys, k)
			}
			must(b, s.Sync(b.Context()))
			b.SetBytes(benchSize)
			for i := 0; b.Loop(); i++ {
				_, err := s.Get(b.Context(), keys[i%len(keys)])
				must(b, err)
			}
		})
	}
}

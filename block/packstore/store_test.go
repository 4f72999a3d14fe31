package packstore

import (
	"crypto/rand"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
)

func TestPackStoreKeepsTheContract(t *testing.T) {
	blocktest.Run(t, func(t *testing.T) block.Store {
		s, err := Open(t.Context(), Config{Dir: t.TempDir(), Rand: rand.Reader, PackSize: 20_000, Batch: 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

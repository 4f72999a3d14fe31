package packstore

import (
	"crypto/rand"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal/block/blocktest"
)

func TestMorePacksThanMayBeOpenCanBeReadAtOnce(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Rand: rand.Reader, PackSize: 1})
	must(t, err)
	defer s.Close()
	const packs = maxOpen + 20
	for i := range packs { // each in a pack of its own
		k, sealed := blocktest.Block(i, 100)
		must(t, s.Put(t.Context(), k, sealed))
	}
	if got := s.Stats().Packs; got < packs {
		t.Fatalf("%d packs", got)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2 * packs {
				k, _ := blocktest.Block((i*7+worker)%packs, 100)
				if _, err := s.Get(t.Context(), k); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(s.handles.open); n > maxOpen {
		t.Errorf("%d packs are open", n)
	}
}

package packstore

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
)

// rig is a store on a fake disk; the index lies in a real directory.
type rig struct {
	t    testing.TB
	disk *fakeDisk
	dir  string
	s    *Store
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "index") // rapid checks of one test share t
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, disk: newFakeDisk(), dir: dir}
	r.open()
	t.Cleanup(r.abandon)
	return r
}

func (r *rig) config() Config {
	seed := [32]byte{1}
	return Config{Dir: r.dir, Rand: rand.NewChaCha8(seed), PackSize: 8000, Batch: 7}
}

func (r *rig) open() {
	r.t.Helper()
	s, err := open(context.Background(), r.config(), r.disk)
	if err != nil {
		r.t.Fatal("open:", err)
	}
	s.index.db.NoSync = true // the fake crash spares the index; TestOldOrLostIndexIsBuiltAgain does not
	r.s = s
}

// abandon ends the store as a crash does: nothing is committed, only locks are released.
func (r *rig) abandon() {
	if r.s != nil {
		r.s.handles.close()
		r.s.index.close()
		r.s = nil
	}
}

// reopen closes the store and opens it again.
func (r *rig) reopen() {
	r.t.Helper()
	if err := r.s.Close(); err != nil {
		r.t.Fatal("close:", err)
	}
	r.open()
}

func (r *rig) put(n, size int) block.Key {
	r.t.Helper()
	k, sealed := blocktest.Block(n, size)
	if err := r.s.Put(context.Background(), k, sealed); err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *rig) sync() {
	r.t.Helper()
	if err := r.s.Sync(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) delete(k block.Key) {
	r.t.Helper()
	if err := r.s.Delete(context.Background(), k); err != nil {
		r.t.Fatal(err)
	}
}

// check checks the store, and that it holds exactly the blocks of want.
func (r *rig) check(want map[block.Key][]byte) {
	r.t.Helper()
	if err := r.s.Check(context.Background()); err != nil {
		r.t.Error("check:", err)
	}
	for k, sealed := range want {
		got, err := r.s.Get(context.Background(), k)
		if err != nil || !bytes.Equal(got, sealed) {
			r.t.Errorf("block %x: %v", k.ID[:3], err)
		}
	}
	n := 0
	err := r.s.Keys(context.Background(), func(k block.Key, size int) error {
		if n++; len(want[k]) != size {
			r.t.Errorf("block %x of %d bytes should not be there", k.ID[:3], size)
		}
		return nil
	})
	if err != nil || n != len(want) {
		r.t.Errorf("%d blocks are listed, want %d (%v)", n, len(want), err)
	}
}

// blocks returns what Block makes of these numbers, 1,000 bytes each.
func blocks(numbers ...int) map[block.Key][]byte {
	m := make(map[block.Key][]byte)
	for _, n := range numbers {
		k, sealed := blocktest.Block(n, 1000)
		m[k] = sealed
	}
	return m
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// one returns the key of block n of 1,000 bytes.
func one(t testing.TB, n int) block.Key {
	t.Helper()
	k, _ := blocktest.Block(n, 1000)
	return k
}

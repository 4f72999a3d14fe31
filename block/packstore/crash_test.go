package packstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// model is what a store must and may hold after a crash.
type model struct {
	now, durable map[block.Key][]byte
	touched      map[block.Key]bool // put or deleted since the last sync: may be either way
}

func TestCrashAtAnyPointLosesNothingThatWasSynced(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		m := &model{now: blocks(), durable: blocks(), touched: map[block.Key]bool{}}
		for range rapid.IntRange(1, 3).Draw(rt, "crashes") {
			r.disk.stopAt = rapid.IntRange(1, 120).Draw(rt, "stop at")
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
			for range 200 {
				if err := step(r.s, m, rng); err != nil {
					break
				}
			}
			r.abandon()
			r.disk = r.disk.crash(rng)
			if rng.IntN(4) == 0 {
				if err := removeIndex(r.dir); err != nil {
					rt.Fatal(err)
				}
			}
			r.open()
			m.afterCrash(rt, r.s)
		}
		r.abandon()
	})
}

// step does one random thing to the store and the model.
func step(s *Store, m *model, rng *rand.Rand) error {
	ctx := context.Background()
	k, sealed := blocktest.Block(rng.IntN(40), 1+rng.IntN(4)*700)
	switch rng.IntN(10) {
	case 0:
		if err := s.Sync(ctx); err != nil {
			return err
		}
		m.durable = make(map[block.Key][]byte)
		for k, v := range m.now {
			m.durable[k] = v
		}
		m.touched = make(map[block.Key]bool)
	case 1:
		_, err := s.Compact(ctx, 0.7)
		return err
	case 2, 3, 4:
		m.touched[k] = true
		if err := s.Delete(ctx, k); err != nil {
			return err
		}
		delete(m.now, k)
	default:
		m.touched[k] = true
		if err := s.Put(ctx, k, sealed); err != nil {
			return err
		}
		m.now[k] = sealed
	}
	return nil
}

// afterCrash compares the store with the model, and takes over what it holds.
func (m *model) afterCrash(rt *rapid.T, s *Store) {
	ctx := context.Background()
	if err := s.Check(ctx); err != nil {
		rt.Fatal("check after crash:", err)
	}
	held := make(map[block.Key][]byte)
	err := s.Keys(ctx, func(k block.Key, size int) error { held[k] = nil; return nil })
	if err != nil {
		rt.Fatal(err)
	}
	for k := range held {
		sealed, err := s.Get(ctx, k)
		if err != nil {
			rt.Fatal("get after crash:", err)
		}
		if held[k] = sealed; m.durable[k] == nil && !m.touched[k] {
			rt.Fatalf("block %x has come back", k.ID[:3])
		}
	}
	for k := range m.durable {
		if held[k] == nil && !m.touched[k] {
			rt.Fatalf("block %x is lost", k.ID[:3])
		}
	}
	m.now, m.durable, m.touched = held, make(map[block.Key][]byte), make(map[block.Key]bool)
	for k, v := range held {
		m.durable[k] = v
	}
}

func TestBlocksSurviveReopening(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		r.put(i, 1000)
	}
	for k := range blocks(3, 49) {
		r.delete(k)
	}
	want := blocks(upTo(49)...)
	for k := range blocks(3) {
		delete(want, k)
	}
	r.check(want)
	r.reopen()
	r.check(want)
}

func TestOldOrLostIndexIsBuiltAgain(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, index string){
		"lost":  func(t *testing.T, index string) { must(t, os.Remove(index)) },
		"empty": func(t *testing.T, index string) { must(t, os.Truncate(index, 0)) },
		"cut":   func(t *testing.T, index string) { must(t, os.Truncate(index, 5000)) },
		"zeroed": func(t *testing.T, index string) {
			must(t, os.WriteFile(index, make([]byte, 64<<10), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i := range 40 {
				r.put(i, 1000)
			}
			for k := range blocks(0, 20, 39) {
				r.delete(k)
			}
			want := blocks(upTo(40)...)
			for k := range blocks(0, 20, 39) {
				delete(want, k)
			}
			must(t, r.s.Close())
			harm(t, r.dir+"/"+indexName)
			r.open()
			r.check(want)
		})
	}
}

func TestIndexFromABackupIsBuiltAgain(t *testing.T) {
	for name, after := range map[string]func(r *rig){
		"packs have come":          func(r *rig) {},
		"and one was deleted from": func(r *rig) { r.delete(one(r.t, 15)); r.put(15, 1000) },
		"and others are gone": func(r *rig) {
			for k := range blocks(upTo(9)...) {
				r.delete(k)
			}
			_, err := r.s.Compact(r.t.Context(), 0.9)
			must(r.t, err)
			for i := range 9 {
				r.put(i, 1000)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i := range 10 {
				r.put(i, 1000)
			}
			must(t, r.s.Close())
			old, err := os.ReadFile(r.dir + "/" + indexName)
			must(t, err)
			r.open()
			for i := range 30 {
				r.put(10+i, 1000)
			}
			r.t = t
			after(r)
			must(t, r.s.Close())
			must(t, os.WriteFile(r.dir+"/"+indexName, old, 0o600))
			r.open()
			r.check(blocks(upTo(40)...))
		})
	}
}

func TestOldDeletionDoesNotRemoveWhatWasPutAgain(t *testing.T) {
	r := newRig(t)
	for i := range 8 { // pack 1: full, and mostly live later
		r.put(i, 1000)
	}
	r.put(10, 1000) // pack 2: will be compacted; it holds the deletion of block 0 of pack 1
	r.delete(one(t, 0))
	r.put(0, 1000)
	for i := range 20 {
		r.put(20+i, 1000)
	}
	r.delete(one(t, 10))
	for i := range 8 {
		r.delete(one(t, 20+i))
	}
	before := r.s.current.Number
	_, err := r.s.Compact(t.Context(), 0.75)
	must(t, err)
	if r.disk.names[packName(1)] == nil || r.disk.names[packName(2)] != nil || before == 2 {
		t.Fatal("the test does not compact the pack it means")
	}
	want := blocks(append(upTo(8), 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39)...)
	r.check(want)
	must(t, r.s.Close())
	must(t, removeIndex(r.dir))
	r.open()
	r.check(want)
}

func TestTornTailIsCut(t *testing.T) {
	r := newRig(t)
	r.put(1, 1000)
	r.sync()
	r.put(2, 1000)
	r.abandon()
	pack := r.disk.names[packName(1)]
	pack.data = pack.data[:len(pack.data)-1]
	r.open()
	r.check(blocks(1))
	if got, want := len(pack.data), packfile.FirstRecord+packfile.RecordHeadSize+1000; got != want {
		t.Errorf("the pack has %d bytes, want %d", got, want)
	}
	r.put(2, 1000)
	r.check(blocks(1, 2))
}

func TestFullDiskRefusesAndKeepsWhatIsThere(t *testing.T) {
	r := newRig(t)
	r.put(1, 1000)
	r.disk.room = 2000
	k, sealed := blocktest.Block(2, 1000)
	for range 3 {
		if err := r.s.Put(t.Context(), k, sealed); !errors.Is(err, errFull) {
			t.Fatalf("put on a full disk: %v", err)
		}
	}
	r.check(blocks(1))
	r.disk.room = 0
	r.put(2, 1000)
	r.check(blocks(1, 2))
	r.reopen()
	r.check(blocks(1, 2))
}

func TestFailedSyncStopsWritingUntilReopened(t *testing.T) {
	r := newRig(t)
	r.put(1, 1000)
	r.disk.badSync = true
	if err := r.s.Sync(t.Context()); !errors.Is(err, errSync) {
		t.Fatalf("sync: %v", err)
	}
	r.disk.badSync = false
	k, sealed := blocktest.Block(2, 1000)
	if err := r.s.Put(t.Context(), k, sealed); !errors.Is(err, errSync) {
		t.Errorf("put after a failed sync: %v", err)
	}
	if err := r.s.Sync(t.Context()); !errors.Is(err, errSync) {
		t.Errorf("second sync: %v", err)
	}
	r.abandon()
	r.open()
	r.put(2, 1000)
	r.check(blocks(1, 2))
}

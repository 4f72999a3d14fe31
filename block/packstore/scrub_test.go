package packstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// offsetOf returns where the record of block n begins, and its pack's file.
func (r *rig) offsetOf(n int) (*fakeFile, int) {
	r.t.Helper()
	k, _ := blocktest.Block(n, 1000)
	copies, err := r.s.lookup(k)
	if err != nil || len(copies) != 1 {
		r.t.Fatalf("block %d: %d copies, %v", n, len(copies), err)
	}
	return r.disk.names[packName(copies[0].place.Pack)], int(copies[0].place.Offset)
}

func TestDamageIsFoundAndHealed(t *testing.T) {
	for name, at := range map[string]int{"in the block": packfile.RecordHeadSize + 500, "in the magic": 0, "in the key": 20} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i := range 20 {
				r.put(i, 1000)
			}
			pack, offset := r.offsetOf(3)
			pack.data[offset+at] ^= 0x10
			k, sealed := blocktest.Block(3, 1000)
			if name == "in the block" {
				var corrupt *block.CorruptError
				if _, err := r.s.Get(t.Context(), k); !errors.As(err, &corrupt) || !errors.Is(err, ErrDamaged) {
					t.Errorf("get: %v", err)
				}
				if err := r.s.Check(t.Context()); !errors.Is(err, ErrDamaged) {
					t.Errorf("check: %v", err)
				}
			}
			var reported []block.Key
			must(t, r.s.Scrub(t.Context(), func(k block.Key, err error) error {
				reported = append(reported, k)
				return nil
			}))
			if wantDamage := name == "in the block"; (len(reported) == 1 && reported[0] == k) != wantDamage {
				t.Errorf("reported %d blocks", len(reported))
			}
			r.delete(k)
			must(t, r.s.Put(t.Context(), k, sealed))
			r.check(blocks(upTo(20)...))
		})
	}
}

func TestDamagedRecordCostsNoOtherWhenTheIndexIsLost(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.put(i, 1000)
	}
	pack, offset := r.offsetOf(3)
	pack.data[offset+20] ^= 0x10
	must(t, r.s.Close())
	must(t, removeIndex(r.dir))
	r.open()
	want := blocks(upTo(20)...)
	for k := range blocks(3) {
		delete(want, k)
	}
	r.check(want)
}

func TestOneDamagedPackHeaderIsHarmless(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.put(i, 1000)
	}
	must(t, r.s.Close())
	for _, f := range r.disk.names {
		f.data[20] ^= 1
	}
	must(t, removeIndex(r.dir))
	r.open()
	r.check(blocks(upTo(20)...))
}

func TestPackWithoutHeaderIsSetAside(t *testing.T) {
	for name, indexLost := range map[string]bool{"index lost": true, "index there": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for i := range 20 {
				r.put(i, 1000)
			}
			newest := packName(r.s.current.Number)
			_, count := blocks(), 0
			want := blocks(upTo(20)...)
			for k := range want {
				if copies, _ := r.s.lookup(k); packName(copies[0].place.Pack) == newest {
					delete(want, k)
					count++
				}
			}
			if count == 0 {
				t.Fatal("the newest pack is empty")
			}
			must(t, r.s.Close())
			clear(r.disk.names[newest].data[:packfile.FirstRecord])
			if indexLost {
				must(t, removeIndex(r.dir))
			}
			r.open()
			r.check(want)
			if r.disk.names[newest+damagedSuffix] == nil {
				t.Error("the damaged pack is gone")
			}
		})
	}
}

func TestBlockThatContainsARecordDoesNotForgeOne(t *testing.T) {
	r := newRig(t)
	victim := r.put(1, 1000)
	copies, err := r.s.lookup(victim)
	must(t, err)
	forged := packfile.Record{Kind: packfile.KindDeletion, Key: victim, Gone: copies[0].place}
	head := forged.Encode(&[32]byte{}, uint32(r.s.end)+packfile.RecordHeadSize) // all right, but for the salt
	k, _ := blocktest.Block(2, 1)
	k.Sealed = [32]byte{}
	must(t, r.s.Put(t.Context(), k, head[:]))
	pack := r.disk.names[packName(1)]
	must(t, r.s.Close())
	pack.data[len(pack.data)-packfile.RecordHeadSize-packfile.RecordHeadSize+20] ^= 1 // the record around it is damaged, so the walker looks inside
	must(t, removeIndex(r.dir))
	r.open()
	if _, err := r.s.Get(t.Context(), victim); err != nil {
		t.Errorf("the block is gone: %v", err)
	}
}

func TestCompactFreesWhatWasDeletedAndNothingElse(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		r.put(i, 1000)
	}
	want := blocks()
	for i := range 100 {
		k, sealed := blocktest.Block(i, 1000)
		if i%4 == 0 {
			want[k] = sealed
		} else {
			r.delete(k)
		}
	}
	before := r.s.Stats()
	freed, err := r.s.Compact(t.Context(), 0.5)
	must(t, err)
	after := r.s.Stats()
	if freed < 50_000 || before.Bytes-after.Bytes != freed || after.Live != before.Live {
		t.Errorf("freed %d: %+v became %+v", freed, before, after)
	}
	r.check(want)
	r.reopen()
	r.check(want)
	must(t, r.s.Close())
	must(t, removeIndex(r.dir))
	r.open()
	r.check(want)
}

func TestCompactingTwiceFindsNothingToDo(t *testing.T) {
	r := newRig(t)
	for i := range 30 {
		r.put(i, 1000)
	}
	for k := range blocks(1, 2, 3, 4, 5, 6) {
		r.delete(k)
	}
	_, err := r.s.Compact(t.Context(), 0.5)
	must(t, err)
	packs := r.s.current.Number
	if freed, err := r.s.Compact(t.Context(), 0.5); freed != 0 || err != nil || r.s.current.Number != packs {
		t.Errorf("freed %d, %v; pack %d became %d", freed, err, packs, r.s.current.Number)
	}
}

func TestCompactKeepsAPackWithADamagedLiveBlock(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.put(i, 1000)
	}
	for k := range blocks(0, 1, 2, 4, 5, 6) {
		r.delete(k)
	}
	pack, offset := r.offsetOf(3)
	pack.data[offset+packfile.RecordHeadSize] ^= 1
	if _, err := r.s.Compact(t.Context(), 0.5); !errors.Is(err, ErrDamaged) {
		t.Errorf("compact: %v", err)
	}
	if r.disk.names[packName(1)] == nil {
		t.Error("the damaged pack was removed")
	}
}

func TestReadersGoOnWhileCompacting(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Rand: rand.Reader, PackSize: 8000, Batch: 7})
	must(t, err)
	defer s.Close()
	for i := range 200 {
		k, sealed := blocktest.Block(i, 1000)
		must(t, s.Put(t.Context(), k, sealed))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends before the test does: see <-done
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			k, sealed := blocktest.Block(i%50*4, 1000)
			if got, err := s.Get(context.Background(), k); err != nil || !bytes.Equal(got, sealed) {
				t.Errorf("get while compacting: %v", err)
				return
			}
		}
	}()
	for round := range 3 {
		for i := range 200 {
			if k, _ := blocktest.Block(i, 1000); i%4 == round+1 {
				must(t, s.Delete(t.Context(), k))
			}
		}
		_, err := s.Compact(t.Context(), 0.95)
		must(t, err)
	}
	cancel()
	<-done
	must(t, s.Check(t.Context()))
}

func TestDirectoryBelongsToOneStoreAtATime(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "store"), Rand: rand.Reader}
	s, err := Open(t.Context(), c)
	must(t, err)
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrInUse) {
		t.Errorf("second open: %v", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	s, err = Open(t.Context(), c)
	must(t, err)
	must(t, s.Close())
}

func TestClosedStoreSaysSo(t *testing.T) {
	r := newRig(t)
	k := r.put(1, 1000)
	must(t, r.s.Close())
	_, sealed := blocktest.Block(2, 10)
	_, errGet := r.s.Get(t.Context(), k)
	_, errHas := r.s.Has(t.Context(), k)
	for name, err := range map[string]error{
		"put":    r.s.Put(t.Context(), block.Key{}, sealed),
		"delete": r.s.Delete(t.Context(), k),
		"sync":   r.s.Sync(t.Context()),
		"check":  r.s.Check(t.Context()),
		"get":    errGet,
		"has":    errHas,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigOutOfRangeIsRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"directory": {Rand: rand.Reader},
		"random":    {Dir: "x"},
		"pack size": {Dir: "x", Rand: rand.Reader, PackSize: 1 << 40},
		"batch":     {Dir: "x", Rand: rand.Reader, Batch: -1},
	} {
		if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileNamesOfPacks(t *testing.T) {
	for name, want := range map[string]bool{
		packName(0x1a): true, "0000001a.pack.damaged": true,
		"1a.pack": false, "0000001A.pack": false, "index.db": false, ".pack": false, "+000001a.pack": false,
	} {
		if _, _, ok := packNumber(name); ok != want {
			t.Errorf("%q counts as a pack: %v", name, ok)
		}
	}
}

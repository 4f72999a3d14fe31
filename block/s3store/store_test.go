package s3store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

func TestS3StoreKeepsTheContract(t *testing.T) {
	blocktest.Run(t, func(t *testing.T) block.Store {
		r := newRig(t)
		c := r.config()
		c.MissRefresh = time.Hour // the suite has one process
		s, err := Open(t.Context(), c)
		must(t, err)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestWhatOneSyncedTheOtherHas(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	puts(t, a, 0, 30)
	must(t, b.Refresh(t.Context()))
	puts(t, b, 20, 50)
	for _, s := range []*Store{a, b, r.open(r.config())} {
		holds(t, s, seq(0, 50)...)
	}
	if st := a.Stats(); st.Bytes-st.Live != int64(st.Packs)*128 {
		t.Errorf("blocks lie in the bucket twice: %+v", st)
	}
}

func TestUnsyncedBlocksAreLostAndNothingElse(t *testing.T) {
	r := newRig(t)
	c := r.config()
	s := r.open(c)
	puts(t, s, 0, 5)
	put(t, s, 7)
	abandon(s)
	again := r.open(c)
	holds(t, again, seq(0, 5)...)
	if left, err := filepath.Glob(filepath.Join(c.Dir, spoolPattern)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestIndexIsBuiltAgain(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"missing":   os.Remove,
		"garbage":   func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("garbage ", 1000)), 0o600) },
		"cut":       func(path string) error { return os.Truncate(path, 5000) },
		"undamaged": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.config()
			s := r.open(c)
			puts(t, s, 0, 50)
			must(t, s.Delete(t.Context(), block.Key(must1(blocktest.Block(3, 1000)))))
			must(t, s.Sync(t.Context()))
			must(t, s.Close())
			must(t, harm(filepath.Join(c.Dir, indexName)))
			holds(t, r.open(c), append(seq(0, 3), seq(4, 50)...)...)
		})
	}
}

func must1(k block.Key, _ []byte) block.Key { return k }

func must2(_ block.Key, sealed []byte) []byte { return sealed }

func TestIndexOfAnotherStoreIsThrownAway(t *testing.T) {
	r, other := newRig(t), newRig(t)
	c := r.config()
	s := r.open(c)
	puts(t, s, 0, 3)
	must(t, s.Close())
	c.Target = other.config().Target
	holds(t, other.open(c))
}

func TestACacheDirectoryBelongsToOneProcess(t *testing.T) {
	r := newRig(t)
	c := r.config()
	r.open(c)
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	must(t, s.Close())
	must(t, s.Close())
	k, sealed := blocktest.Block(1, 10)
	_, getErr := s.Get(t.Context(), k)
	_, compactErr := s.Compact(t.Context(), 0.5)
	for name, err := range map[string]error{"put": s.Put(t.Context(), k, sealed), "sync": s.Sync(t.Context()), "get": getErr, "compact": compactErr, "delete": s.Delete(t.Context(), k)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALostAnchorIsNoEmptyStore(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	puts(t, s, 0, 3)
	must(t, os.Remove(filepath.Join(r.line.Dir(t, r.url), anchorObject)))
	if _, err := Open(t.Context(), r.config()); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func TestAServerThatIgnoresConditionsIsRefused(t *testing.T) {
	r := newRig(t)
	r.line.Fail(every(func(method, _ string) s3test.Fault {
		if method == "PUT" {
			return s3test.Fault{Status: 200} // whatever the condition
		}
		return s3test.Fault{}
	}))
	if _, err := Open(t.Context(), r.config()); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

func TestDamageInTheBucketIsNoticed(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	puts(t, s, 0, 3)
	packs, err := filepath.Glob(filepath.Join(r.line.Dir(t, r.url), "packs", "*"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	raw, err := os.ReadFile(packs[0])
	must(t, err)
	k, sealed := blocktest.Block(1, 1000)
	at := strings.Index(string(raw), string(sealed))
	raw[at+500] ^= 1
	f, err := os.OpenFile(packs[0], os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(raw, 0)
	must(t, errors.Join(err, f.Close()))
	var corrupt *block.CorruptError
	if _, err := s.Get(t.Context(), k); !errors.As(err, &corrupt) || !errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v", err)
	}
	var found []block.Key
	must(t, s.Scrub(t.Context(), func(k block.Key, err error) error { found = append(found, k); return nil }))
	if len(found) != 1 || found[0] != k {
		t.Errorf("scrub found %v", found)
	}
	if err := s.Check(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("check: %v", err)
	}
	// The owner deletes the copy and puts it again.
	must(t, s.Delete(t.Context(), k))
	must(t, s.Sync(t.Context()))
	must(t, s.Put(t.Context(), k, sealed))
	must(t, s.Sync(t.Context()))
	holds(t, s, 0, 1, 2)
}

func TestWhatIsDamagedOnItsWayIsAskedForAgain(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	puts(t, s, 0, 3)
	other := r.open(r.config())
	puts(t, s, 3, 6)
	once := false
	r.line.Fail(every(func(method, path string) s3test.Fault {
		once = !once
		return s3test.Fault{Garbled: method == "GET" && once}
	}))
	must(t, other.Refresh(context.Background()))
	for n := range 6 {
		k, _ := blocktest.Block(n, 1000)
		if _, err := other.Get(t.Context(), k); err != nil {
			t.Errorf("block %d: %v", n, err)
		}
	}
}

package blocktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Run checks that the stores which newStore returns, empty ones, keep the contract of block.Store. newStore registers its
// own clean-up.
func Run(t *testing.T, newStore func(t *testing.T) block.Store) {
	for name, test := range map[string]func(*testing.T, block.Store){
		"GetReturnsWhatWasPut":            getReturnsWhatWasPut,
		"MissingBlockIsErrNotFound":       missingBlock,
		"KeyThatDoesNotFitIsRefused":      misfits,
		"ZeroHashStandsForAnyCopy":        anyCopy,
		"CopiesOfOneBlockLieSideBySide":   copies,
		"EveryPartOfTheKeyCounts":         keyParts,
		"DeletedBlockIsGone":              deletion,
		"CallerOwnsTheSlices":             slicesAreOwned,
		"EndedContextIsRefused":           endedContext,
		"ManyAtOnceDoNotDisturbEachOther": concurrency,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			test(t, s)
			if err := s.Sync(t.Context()); err != nil {
				t.Errorf("sync: %v", err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("check afterwards: %v", err)
			}
		})
	}
	t.Run("BehavesLikeAMap", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) { likeMap(t, rt, newStore(t)) })
	})
}

// Block returns the n-th block of a made-up folder: a key that fits, and size sealed bytes that nobody can open.
func Block(n, size int) (block.Key, []byte) {
	sealed := bytes.Repeat([]byte(fmt.Sprintf("sealed block %d. ", n)), size/15+1)[:size]
	k := block.Key{Folder: shoal.FolderID{1}, Epoch: shoal.EpochID{2}, ID: block.ID{3, byte(n), byte(n >> 8), byte(n >> 16)}}
	k.Sealed = block.SealedHash(sealed)
	return k, sealed
}

func put(t testing.TB, s block.Store, k block.Key, sealed []byte) {
	t.Helper()
	if err := s.Put(context.Background(), k, sealed); err != nil {
		t.Errorf("put: %v", err) // not Fatal: also called from goroutines
	}
}

// holds checks that k gives exactly sealed; nil means that it gives nothing.
func holds(t testing.TB, s block.Store, k block.Key, sealed []byte) {
	t.Helper()
	got, err := s.Get(context.Background(), k)
	if sealed == nil && !errors.Is(err, block.ErrNotFound) || sealed != nil && err != nil {
		t.Errorf("get %s: %v", k.ID.Short(), err)
	} else if !bytes.Equal(got, sealed) {
		t.Errorf("get %s: other bytes than were put", k.ID.Short())
	}
	has, err := s.Has(context.Background(), k)
	if err != nil || has != (sealed != nil) {
		t.Errorf("has %s: %v, %v", k.ID.Short(), has, err)
	}
}

func getReturnsWhatWasPut(t *testing.T, s block.Store) {
	for n, size := range []int{1, 100, block.MaxSealed} {
		k, sealed := Block(n, size)
		put(t, s, k, sealed)
		holds(t, s, k, sealed)
		put(t, s, k, sealed)
		holds(t, s, k, sealed)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	k, sealed := Block(1, 100)
	holds(t, s, k, sealed)
}

func missingBlock(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	holds(t, s, k, nil)
	put(t, s, k, sealed)
	other, _ := Block(2, 100)
	holds(t, s, other, nil)
}

func misfits(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	for name, bad := range map[string][]byte{
		"other bytes": append(bytes.Clone(sealed), 0),
		"no bytes":    nil,
	} {
		if err := s.Put(t.Context(), k, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := s.Put(t.Context(), block.Key{ID: block.ID{1}}, nil); err == nil {
		t.Error("no bytes without a hash: accepted")
	}
	if err := s.Put(t.Context(), block.Key{ID: block.ID{1}}, make([]byte, block.MaxSealed+1)); err == nil {
		t.Error("too many bytes: accepted")
	}
	holds(t, s, k, nil)
}

func anyCopy(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	whole := k
	whole.Sealed = [32]byte{}
	holds(t, s, whole, nil)
	put(t, s, whole, sealed)
	holds(t, s, k, sealed)
	holds(t, s, whole, sealed)
	if err := s.Delete(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	holds(t, s, k, nil)
}

func copies(t *testing.T, s block.Store) {
	a, sealedA := Block(1, 100)
	b, sealedB := Block(1, 200)
	put(t, s, a, sealedA)
	put(t, s, b, sealedB)
	holds(t, s, a, sealedA)
	holds(t, s, b, sealedB)
	if err := s.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	holds(t, s, a, nil)
	holds(t, s, block.Key{Folder: a.Folder, Epoch: a.Epoch, ID: a.ID}, sealedB)
}

func keyParts(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	put(t, s, k, sealed)
	for name, change := range map[string]func(*block.Key){
		"folder": func(k *block.Key) { k.Folder[0]++ },
		"epoch":  func(k *block.Key) { k.Epoch[0]++ },
		"ID":     func(k *block.Key) { k.ID[0]++ },
		"hash":   func(k *block.Key) { k.Sealed[0]++ },
	} {
		other := k
		change(&other)
		if has, err := s.Has(t.Context(), other); err != nil || has {
			t.Errorf("other %s: %v, %v", name, has, err)
		}
	}
}

func deletion(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	if err := s.Delete(t.Context(), k); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	put(t, s, k, sealed)
	for range 2 {
		if err := s.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		holds(t, s, k, nil)
	}
	put(t, s, k, sealed)
	holds(t, s, k, sealed)
}

func slicesAreOwned(t *testing.T, s block.Store) {
	k, sealed := Block(1, 100)
	mine := bytes.Clone(sealed)
	put(t, s, k, mine)
	clear(mine)
	got, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	clear(got)
	holds(t, s, k, sealed)
}

func endedContext(t *testing.T, s block.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, sealed := Block(1, 100)
	if err := s.Put(ctx, k, sealed); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Get(ctx, k); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v", err)
	}
}

func concurrency(t *testing.T, s block.Store) {
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				k, sealed := Block(i, 50+i)
				put(t, s, k, sealed)
				own, ownSealed := Block(1000*(worker+1)+i, 60)
				put(t, s, own, ownSealed)
				holds(t, s, k, sealed)
				holds(t, s, own, ownSealed)
				if i%3 == 0 {
					if err := s.Delete(t.Context(), own); err != nil {
						t.Errorf("delete: %v", err)
					}
					holds(t, s, own, nil)
				}
				if i%20 == 0 {
					if err := s.Sync(t.Context()); err != nil {
						t.Errorf("sync: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		k, sealed := Block(i, 50+i)
		holds(t, s, k, sealed)
	}
}

// likeMap does random things to the store and to a map, and compares.
func likeMap(t *testing.T, rt *rapid.T, s block.Store) {
	model := make(map[block.Key][]byte)
	draw := func(rt *rapid.T) (block.Key, []byte) {
		return Block(rapid.IntRange(0, 5).Draw(rt, "block"), rapid.IntRange(1, 3).Draw(rt, "size")*1000)
	}
	rt.Repeat(map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			k, sealed := draw(rt)
			put(t, s, k, sealed)
			model[k] = sealed
		},
		"delete": func(rt *rapid.T) {
			k, _ := draw(rt)
			if err := s.Delete(t.Context(), k); err != nil {
				rt.Fatal(err)
			}
			delete(model, k)
		},
		"sync": func(rt *rapid.T) {
			if err := s.Sync(t.Context()); err != nil {
				rt.Fatal(err)
			}
		},
		"get": func(rt *rapid.T) {
			k, _ := draw(rt)
			got, err := s.Get(t.Context(), k)
			if want := model[k]; !bytes.Equal(got, want) || (err == nil) != (want != nil) {
				rt.Fatalf("get gave %d bytes (%v), want %d", len(got), err, len(want))
			}
		},
	})
	if err := s.Check(t.Context()); err != nil {
		rt.Fatal(err)
	}
}

// Package kvtest holds the suite that every implementation of kv.Store passes.
package kvtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal/index/kv"
)

// Run checks the contract of kv.Store. open returns an empty store each time.
func Run(t *testing.T, open func(t *testing.T) kv.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, kv.Store){
		"WhatWasPutIsFound":            put,
		"FailedUpdateLeavesNothing":    failed,
		"PanickingUpdateLeavesNothing": panicking,
		"ViewSeesOneMoment":            snapshot,
		"DropEmptiesABucket":           drop,
		"CloseWaitsForUpdates":         closeMeanwhile,
		"ConcurrentUpdatesAllCount":    concurrent,
		"ClosedStoreRefuses":           closed,
		"EmptyValueIsNotAbsence":       emptyValue,
		"ChangingInViewPanics":         viewPut,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	t.Run("BehavesLikeASortedMap", func(t *testing.T) {
		store := open(t)
		rapid.Check(t, func(rt *rapid.T) { model(rt, store) })
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s kv.Store) {
	must(t, s.Update(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("k"), []byte("v"))
		if got := tx.Bucket("a").Get([]byte("k")); string(got) != "v" {
			t.Errorf("in the update: %q", got)
		}
		return nil
	}))
	must(t, s.View(func(tx kv.Tx) error {
		if got := tx.Bucket("a").Get([]byte("k")); string(got) != "v" {
			t.Errorf("after the update: %q", got)
		}
		if got := tx.Bucket("b").Get([]byte("k")); got != nil {
			t.Errorf("in another bucket: %q", got)
		}
		return nil
	}))
}

func emptyValue(t *testing.T, s kv.Store) {
	must(t, s.Update(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("k"), nil)
		return nil
	}))
	must(t, s.View(func(tx kv.Tx) error {
		if got := tx.Bucket("a").Get([]byte("k")); got == nil || len(got) != 0 {
			t.Errorf("empty value reads as %v", got)
		}
		return nil
	}))
}

var errTest = errors.New("test")

func failed(t *testing.T, s kv.Store) {
	if err := s.Update(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("k"), []byte("v"))
		return errTest
	}); !errors.Is(err, errTest) {
		t.Errorf("error: %v", err)
	}
	absent(t, s)
}

func absent(t *testing.T, s kv.Store) {
	t.Helper()
	must(t, s.View(func(tx kv.Tx) error {
		if got := tx.Bucket("a").Get([]byte("k")); got != nil {
			t.Errorf("found %q", got)
		}
		return nil
	}))
}

func panicking(t *testing.T, s kv.Store) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = s.Update(func(tx kv.Tx) error {
			tx.Bucket("a").Put([]byte("k"), []byte("v"))
			panic("test")
		})
	}()
	absent(t, s)
	put(t, s)
}

func viewPut(t *testing.T, s kv.Store) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_ = s.View(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("k"), []byte("v"))
		return nil
	})
}

func snapshot(t *testing.T, s kv.Store) {
	put(t, s)
	must(t, s.View(func(tx kv.Tx) error {
		updated := make(chan error)
		var wg sync.WaitGroup
		wg.Go(func() {
			updated <- s.Update(func(tx kv.Tx) error {
				tx.Bucket("a").Put([]byte("k"), []byte("newer"))
				return nil
			})
		})
		must(t, <-updated)
		wg.Wait()
		if got := tx.Bucket("a").Get([]byte("k")); string(got) != "v" {
			t.Errorf("the view changed to %q", got)
		}
		return nil
	}))
}

func drop(t *testing.T, s kv.Store) {
	put(t, s)
	must(t, s.Update(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("l"), []byte("v"))
		tx.Drop("a")
		if k, _ := tx.Bucket("a").Cursor().Seek(nil); k != nil {
			t.Errorf("after the drop: %q", k)
		}
		tx.Bucket("a").Put([]byte("m"), []byte("v"))
		tx.Drop("never was")
		return nil
	}))
	must(t, s.View(func(tx kv.Tx) error {
		if got := keys(tx.Bucket("a")); !slices.Equal(got, []string{"m"}) {
			t.Errorf("keys %q", got)
		}
		return nil
	}))
}

func keys(b kv.Bucket) []string {
	var out []string
	c := b.Cursor()
	for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
		out = append(out, string(k))
	}
	return out
}

func concurrent(t *testing.T, s kv.Store) {
	const writers, each = 8, 10
	var wg sync.WaitGroup
	errs := make(chan error, 2*writers*each)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				errs <- s.Update(func(tx kv.Tx) error {
					tx.Bucket("a").Put(fmt.Appendf(nil, "%d.%d", w, i), []byte{1})
					return nil
				})
				if err := s.Update(func(tx kv.Tx) error {
					tx.Bucket("a").Put(fmt.Appendf(nil, "bad %d.%d", w, i), []byte{1})
					return errTest
				}); !errors.Is(err, errTest) {
					errs <- fmt.Errorf("failing update returned %w", err)
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
	must(t, s.View(func(tx kv.Tx) error {
		if n := len(keys(tx.Bucket("a"))); n != writers*each {
			t.Errorf("%d keys, want %d", n, writers*each)
		}
		return nil
	}))
}

// closeMeanwhile closes the store while many update it: each update is there, or was refused.
func closeMeanwhile(t *testing.T, s kv.Store) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				err := s.Update(func(tx kv.Tx) error { tx.Bucket("a").Put([]byte("k"), []byte("v")); return nil })
				if errors.Is(err, kv.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	must(t, s.Close())
	wg.Wait()
}

func closed(t *testing.T, s kv.Store) {
	must(t, s.Close())
	must(t, s.Close())
	nothing := func(kv.Tx) error { return nil }
	if err := s.Update(nothing); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("update: %v", err)
	}
	if err := s.View(nothing); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("view: %v", err)
	}
}

// model runs random changes in one update and holds gets and walks against a plain map, inside the update and after it.
func model(t *rapid.T, s kv.Store) {
	want := map[string]string{}
	fail := false
	err := s.View(func(tx kv.Tx) error { load(tx, want); return nil })
	if err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(want)
	key := rapid.StringMatching(`[a-c]{1,3}`)
	err = s.Update(func(tx kv.Tx) error {
		nested(t, tx, want, key)
		b := tx.Bucket("a")
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			k := key.Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				v := rapid.StringN(0, 3, 8).Draw(t, "value")
				b.Put([]byte(k), []byte(v))
				want[k] = v
			case 2:
				b.Delete([]byte(k))
				delete(want, k)
			}
			compare(t, b, want, key.Draw(t, "seek"))
		}
		if fail = rapid.IntRange(0, 4).Draw(t, "fail") == 0; fail {
			return errTest
		}
		return nil
	})
	if fail != (err != nil) {
		t.Fatalf("update: %v", err)
	}
	if fail {
		want = before
	}
	err = s.View(func(tx kv.Tx) error { compare(t, tx.Bucket("a"), want, "b"); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

// nested changes a key in a nested transaction, which fails or not.
func nested(t *rapid.T, tx kv.Tx, want map[string]string, key *rapid.Generator[string]) {
	k, other := key.Draw(t, "nested key"), key.Draw(t, "nested deletion")
	fail := rapid.Bool().Draw(t, "nested fails")
	err := tx.Nested(func(tx kv.Tx) error {
		b := tx.Bucket("a")
		b.Put([]byte(k), []byte("nested"))
		b.Delete([]byte(other))
		inside := maps.Clone(want)
		inside[k] = "nested"
		delete(inside, other)
		compare(t, b, inside, k)
		if fail {
			return errTest
		}
		maps.Copy(want, inside)
		delete(want, other)
		return nil
	})
	if fail != (err != nil) {
		t.Fatalf("nested: %v", err)
	}
	compare(t, tx.Bucket("a"), want, other)
}

func load(tx kv.Tx, into map[string]string) {
	c := tx.Bucket("a").Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		into[string(k)] = string(v)
	}
}

func compare(t *rapid.T, b kv.Bucket, want map[string]string, from string) {
	sorted := slices.Sorted(maps.Keys(want))
	for _, start := range []string{"", from} {
		i, _ := slices.BinarySearch(sorted, start)
		c := b.Cursor()
		for k, v := c.Seek([]byte(start)); k != nil; k, v = c.Next() {
			if i >= len(sorted) || sorted[i] != string(k) || !bytes.Equal(v, []byte(want[string(k)])) {
				t.Fatalf("walk from %q at %d: %q=%q, want %q", start, i, k, v, sorted)
			}
			i++
		}
		if i != len(sorted) {
			t.Fatalf("walk from %q ended at %d of %q", start, i, sorted)
		}
	}
	if got := b.Get([]byte(from)); string(got) != want[from] || (got == nil) != !has(want, from) {
		t.Fatalf("get %q: %q, want %q", from, got, want[from])
	}
}

func has(m map[string]string, k string) bool { _, ok := m[k]; return ok }

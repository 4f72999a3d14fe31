package s3store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

// A third of all requests meets a fault: two stores go on working, some of their calls fail, and what a Sync acknowledged is there.
func TestFaultsOnTheLineLoseNothing(t *testing.T) {
	r := newRig(t)
	config := func() Config {
		c := r.config()
		c.Tries = 3
		return c
	}
	stores := []*Store{r.open(config()), r.open(config())}
	rng := rand.New(rand.NewPCG(1, 2))
	r.line.Fail(every(func(string, string) s3test.Fault {
		switch rng.IntN(15) {
		case 0:
			return s3test.Fault{Status: 500}
		case 1:
			return s3test.Fault{Status: 503}
		case 2:
			return s3test.Fault{LoseAnswer: true}
		case 3:
			return s3test.Fault{Cut: true}
		case 4:
			return s3test.Fault{Garbled: true}
		}
		return s3test.Fault{}
	}))
	ctx := t.Context()
	durable := make(map[int]bool)
	waiting := []map[int]bool{{}, {}}
	failed := 0
	for n := range 60 {
		i := n % 2
		s := stores[i]
		put(t, s, n)
		waiting[i][n] = true
		if n%3 == 2 {
			if err := s.Sync(ctx); err != nil {
				failed++
				continue // it still waits
			}
			for n := range waiting[i] {
				durable[n] = true
			}
			clear(waiting[i])
		}
		if n%20 == 19 {
			if _, err := s.Compact(ctx, 0.9); err != nil {
				failed++
			}
		}
	}
	r.line.Fail(nil)
	t.Logf("%d calls failed, %d blocks are acknowledged", failed, len(durable))
	for i, s := range stores { // what waited for a better line
		must(t, s.Sync(ctx))
		for n := range waiting[i] {
			durable[n] = true
		}
	}
	holds(t, r.open(r.config()), seq(0, 60)...)
	if len(durable) != 60 {
		t.Errorf("%d blocks are durable", len(durable))
	}
}

func TestASyncThatFailedIsTriedAgain(t *testing.T) {
	for name, f := range map[string]s3test.Fault{"not done": {Status: 500}, "done": {LoseAnswer: true}} {
		for _, object := range []string{"packs", "ledger", "anchor"} {
			t.Run(name+" "+object, func(t *testing.T) {
				r := newRig(t)
				s := r.open(r.config())
				puts(t, s, 0, 2)
				put(t, s, 2)
				r.line.Fail(every(func(_, path string) s3test.Fault {
					if filepath.Base(filepath.Dir(path)) == object || filepath.Base(path) == object {
						return f
					}
					return s3test.Fault{}
				}))
				if err := s.Sync(t.Context()); !errors.Is(err, ErrServer) {
					t.Fatalf("sync: %v", err)
				}
				if _, err := s.Get(t.Context(), one(2)); err != nil {
					t.Errorf("what waits cannot be read: %v", err)
				}
				r.line.Fail(nil)
				put(t, s, 3)
				must(t, s.Sync(t.Context()))
				holds(t, r.open(r.config()), seq(0, 4)...)
			})
		}
	}
}

func TestSyncEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	put(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	r.line.Fail(every(func(string, string) s3test.Fault { cancel(); return s3test.Fault{Status: 503} }))
	if err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.line.Fail(nil)
	must(t, s.Sync(t.Context()))
	holds(t, s, 1)
}

// A bucket that somebody else filled: nothing of it is believed, kept whole in memory, or answered by a panic.
func TestHostileObjectsAreRefused(t *testing.T) {
	big := make([]byte, 40<<20)
	for _, tt := range []struct {
		object  string
		content []byte
	}{
		{"ledger/00000002", []byte("garbage")}, {"ledger/00000002", big}, {"ledger/00000002", nil},
		{"anchor", []byte("garbage")}, {"anchor", big}, {"anchor", nil},
	} {
		t.Run(fmt.Sprintf("%s of %d bytes", filepath.Base(tt.object), len(tt.content)), func(t *testing.T) {
			r := newRig(t)
			s := r.open(r.config())
			puts(t, s, 0, 2)
			must(t, os.WriteFile(filepath.Join(r.line.Dir(t, r.url), tt.object), tt.content, 0o600))
			if err := s.Refresh(t.Context()); err == nil {
				t.Error("believed")
			}
			if _, err := Open(t.Context(), r.config()); err == nil {
				t.Error("opened")
			}
			if _, err := s.Get(t.Context(), one(1)); err != nil {
				t.Errorf("what the index has cannot be read: %v", err)
			}
		})
	}
}

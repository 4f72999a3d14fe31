package s3store

import (
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

// Each check of a property makes buckets on a real server, so there are fewer of them than rapid's 100 unless asked for more with -rapid.checks.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "15", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse() // what the command line says comes last
	os.Exit(s3test.Main(m))
}

// rig is a bucket and stores on it.
type rig struct {
	t    testing.TB
	line *s3test.Line
	url  string
}

func newRig(t testing.TB) *rig {
	t.Helper()
	line := s3test.NewLine(t)
	return &rig{t: t, line: line, url: line.Bucket(t) + "/vault"}
}

// config is that of a store with small packs, in a directory of its own.
func (r *rig) config() Config {
	r.t.Helper()
	target, err := ParseURL(r.url)
	must(r.t, err)
	dir, err := os.MkdirTemp(r.t.TempDir(), "cache")
	must(r.t, err)
	return Config{
		Target: target, Dir: dir, Rand: rand.Reader, Now: time.Now, PackSize: 20_000, MissRefresh: -1, Grace: -1, Checkpoint: 8,
		Pause: time.Millisecond, Tries: 4,
	}
}

// open opens a store. It is abandoned at the end of the test, as a process that dies leaves it.
func (r *rig) open(c Config) *Store {
	r.t.Helper()
	s, err := Open(context.Background(), c)
	must(r.t, err)
	r.t.Cleanup(func() { abandon(s) })
	return s
}

// abandon lets go of what a dead process would: locks and descriptors. Nothing is said to the bucket.
func abandon(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.index.close()
	for _, sp := range []*spool{s.current, s.flushing} {
		if sp != nil && sp.file != nil {
			sp.file.Close()
		}
	}
	s.bucket.Close()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put puts block n of 1,000 bytes.
func put(t testing.TB, s *Store, n int) block.Key {
	t.Helper()
	k, sealed := blocktest.Block(n, 1000)
	must(t, s.Put(context.Background(), k, sealed))
	return k
}

func puts(t testing.TB, s *Store, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		put(t, s, n)
	}
	must(t, s.Sync(context.Background()))
}

// holds checks that a store has exactly the blocks of 1,000 bytes with these numbers.
func holds(t testing.TB, s *Store, numbers ...int) {
	t.Helper()
	ctx := context.Background()
	must(t, s.Refresh(ctx))
	for _, n := range numbers {
		k, sealed := blocktest.Block(n, 1000)
		if got, err := s.Get(ctx, k); err != nil || !bytes.Equal(got, sealed) {
			t.Errorf("block %d: %v", n, err)
		}
	}
	listed := 0
	err := s.Keys(ctx, func(block.Key, int) error { listed++; return nil })
	if err != nil || listed != len(numbers) {
		t.Errorf("%d blocks are listed, want %d (%v)", listed, len(numbers), err)
	}
	if err := s.Check(ctx); err != nil {
		t.Errorf("check: %v", err)
	}
}

func seq(from, to int) (out []int) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

// every makes a fault of what a request asks for; fn is called by one at a time.
func every(fn func(method, path string) s3test.Fault) func(*http.Request) s3test.Fault {
	var mu sync.Mutex
	return func(r *http.Request) s3test.Fault {
		mu.Lock()
		defer mu.Unlock()
		return fn(r.Method, r.URL.Path)
	}
}

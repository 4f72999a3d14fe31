package kv_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal/index/kv"
	"github.com/shoalmesh/shoal/index/kv/kvtest"
)

func all(string) bool { return true }

func openLater(t testing.TB, path string) *kv.Bolt {
	t.Helper()
	b, err := kv.OpenLater(path, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestBoltThatPutsThingsInPlaceLaterKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store { return openLater(t, filepath.Join(t.TempDir(), "db")) })
}

// content is what a bucket holds, by its cursor.
func content(t interface {
	Helper()
	Fatal(...any)
}, s kv.Store, bucket string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := s.View(func(tx kv.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
			out[string(k)] = string(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// After any changes, refused ones among them, and at any point a copy of the file as a crash leaves it, a bucket holds what was put into it; and neither memory
// nor log grow for ever.
func TestWhatComesLaterIsNeverLost(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		b, err := kv.OpenLater(path, all)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		want := map[string]string{}
		for i := range rapid.IntRange(1, 60).Draw(t, "commits") {
			next := maps.Clone(want)
			refused := errors.New("refused")
			fail := rapid.IntRange(0, 9).Draw(t, "fail") == 0
			err := b.Update(func(tx kv.Tx) error {
				if rapid.IntRange(0, 30).Draw(t, "drop") == 0 {
					tx.Drop("a")
					clear(next)
				}
				for range rapid.IntRange(1, 5).Draw(t, "changes") {
					k := fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "key"))
					if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
						tx.Bucket("a").Delete([]byte(k))
						delete(next, k)
						continue
					}
					tx.Bucket("a").Put([]byte(k), []byte(fmt.Sprint(i)))
					next[k] = fmt.Sprint(i)
				}
				if fail {
					return refused
				}
				return nil
			})
			if fail != errors.Is(err, refused) {
				t.Fatal(err)
			}
			if !fail {
				want = next
			}
			if got := content(t, b, "a"); !maps.Equal(got, want) {
				t.Fatalf("it holds %v instead of %v", got, want)
			}
			if rapid.IntRange(0, 5).Draw(t, "crash") == 0 {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				path += "x"
				if err := errors.Join(b.Close(), os.WriteFile(path, data, 0o600)); err != nil {
					t.Fatal(err)
				}
				if b, err = kv.OpenLater(path, all); err != nil {
					t.Fatal(err)
				}
				if got := content(t, b, "a"); !maps.Equal(got, want) {
					t.Fatalf("after a crash it holds %v instead of %v", got, want)
				}
			}
			if changes, logged := b.Waiting("a"); changes > 30 || logged > 90 {
				t.Fatalf("%d changes wait, %d are in the log", changes, logged)
			}
		}
	})
}

// A reader sees the moment in which it began, however much is put in place meanwhile.
func TestAReaderOfWhatComesLaterSeesOneMoment(t *testing.T) {
	b := openLater(t, filepath.Join(t.TempDir(), "db"))
	put := func(round int) {
		if err := b.Update(func(tx kv.Tx) error {
			for i := range 5 {
				tx.Bucket("a").Put([]byte(fmt.Sprint(round, i)), []byte("x"))
				tx.Bucket("b").Put([]byte(fmt.Sprint(round, i)), []byte("x"))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := range 300 {
			put(round)
		}
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		err := b.View(func(tx kv.Tx) error {
			count := func(bucket string) (n int) {
				c := tx.Bucket(bucket).Cursor()
				for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
					n++
				}
				return n
			}
			if x, y := count("a"), count("b"); x != y || x%5 != 0 {
				return fmt.Errorf("%d and %d", x, y)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := len(content(t, b, "a")); got != 1500 {
		t.Errorf("%d keys", got)
	}
}

// A log that makes no sense is damage.
func TestADamagedLogIsDamage(t *testing.T) {
	for name, entry := range map[string][]byte{
		"empty": {}, "cut off": {2, 1, 'k', 2, 'v', 1}, "miscounted": {2, 1, 'k', 2, 'v'}, "no key": {1, 0, 2, 'v'},
		"too long": binary.AppendUvarint([]byte{1}, 1<<40),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				log, err := tx.CreateBucket([]byte("a.log"))
				return errors.Join(err, log.Put(binary.BigEndian.AppendUint64(nil, 1), entry))
			})
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			if b, err := kv.OpenLater(path, all); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("%v, %v", b, err)
			}
		})
	}
}

func BenchmarkRandomKeys(b *testing.B) {
	for name, later := range map[string]func(string) bool{"at once": nil, "later": all} {
		b.Run(name, func(b *testing.B) {
			db, err := kv.Open(filepath.Join(b.TempDir(), "db"), kv.BoltOptions{NoSync: true, Later: later})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			r := rand.New(rand.NewPCG(1, 1))
			commit := func(n int) {
				err := db.Update(func(tx kv.Tx) error {
					for range n {
						k := binary.BigEndian.AppendUint64(nil, r.Uint64())
						tx.Bucket("a").Put(append(k, 0, 1, 200, 200, 200), []byte{0, 100})
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			for range 20 {
				commit(50_000)
			}
			b.ReportAllocs()
			for b.Loop() {
				commit(1000)
			}
		})
	}
}

// What is read of an entry, written again, reads the same; anything else is refused.
func FuzzLogEntry(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 1, 'k', 2, 'v', 1, 'l', 0})
	f.Add(binary.AppendUvarint([]byte{1, 1, 'k'}, 1<<40))
	f.Fuzz(func(t *testing.T, data []byte) {
		var keys, again []string
		var changes []byte
		n, err := kv.ReadEntry(data, func(k string, v []byte) {
			keys = append(keys, fmt.Sprintf("%q %v %q", k, v == nil, v))
			changes = kv.AppendChange(changes, k, v)
		})
		if err != nil {
			return
		}
		entry := append(binary.AppendUvarint(nil, uint64(n)), changes...)
		m, err := kv.ReadEntry(entry, func(k string, v []byte) { again = append(again, fmt.Sprintf("%q %v %q", k, v == nil, v)) })
		if err != nil || m != n || !slices.Equal(keys, again) {
			t.Fatalf("%v reads as %v, then as %v, %v", data, keys, again, err)
		}
	})
}

package kv_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/index/kv"
	"github.com/shoalmesh/shoal/index/kv/kvtest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Store { return kv.NewMemory(false) })
}

func TestBoltKeepsTheContract(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.Store { return openBolt(t, filepath.Join(t.TempDir(), "db")) })
}

func openBolt(t testing.TB, path string) *kv.Bolt {
	t.Helper()
	b, err := kv.Open(path, kv.BoltOptions{NoSync: true})
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

func putOne(t *testing.T, s kv.Store, key string) {
	t.Helper()
	if err := s.Update(func(tx kv.Tx) error { tx.Bucket("a").Put([]byte(key), []byte(key)); return nil }); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s kv.Store, key string) bool {
	t.Helper()
	found := false
	if err := s.View(func(tx kv.Tx) error { found = tx.Bucket("a").Get([]byte(key)) != nil; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCrashKeepsWhatWasDurable(t *testing.T) {
	for _, lose := range []bool{false, true} {
		m := kv.NewMemory(lose)
		putOne(t, m, "early")
		if err := m.Sync(); err != nil {
			t.Fatal(err)
		}
		putOne(t, m, "late")
		after := m.Crash()
		if !holds(t, after, "early") || holds(t, after, "late") == lose {
			t.Errorf("lose %v: early %v, late %v", lose, holds(t, after, "early"), holds(t, after, "late"))
		}
		if err := m.View(func(kv.Tx) error { return nil }); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("the crashed store still works: %v", err)
		}
	}
}

func TestOpenBoltIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openBolt(t, path)
	if _, err := kv.Open(path, kv.BoltOptions{}); !errors.Is(err, kv.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
}

func TestBoltSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	b := openBolt(t, path)
	putOne(t, b, "k")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if !holds(t, openBolt(t, path), "k") {
		t.Error("lost")
	}
}

func TestEmptyFileIsANewStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	putOne(t, openBolt(t, path), "k")
}

// A damaged file must come back as ErrDamaged, not as a panic or a fault, wherever the damage is.
func TestDamageIsAnErrorNotAPanic(t *testing.T) {
	t.Run("AfterClose", func(t *testing.T) {
		damageEverywhere(t, func(b *kv.Bolt, _ string) error { return b.Close() })
	})
	t.Run("AfterACrash", func(t *testing.T) { // the free pages are not in the file
		damageEverywhere(t, func(b *kv.Bolt, path string) error {
			data, err := os.ReadFile(path)
			return errors.Join(err, b.Close(), os.WriteFile(path, data, 0o600))
		})
	})
}

func damageEverywhere(t *testing.T, leave func(*kv.Bolt, string) error) {
	path := filepath.Join(t.TempDir(), "db")
	b := openBolt(t, path)
	for i := range 20 {
		if err := b.Update(func(tx kv.Tx) error {
			for k := range 200 {
				tx.Bucket("a").Put([]byte{byte(i), byte(k), 1}, bytes.Repeat([]byte{byte(k)}, 100))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := leave(b, path); err != nil {
		t.Fatal(err)
	}
	if err := useAll(path); err != nil {
		t.Fatalf("the sound file: %v", err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string]func([]byte) []byte{
		"ShortenedToAPage": func(d []byte) []byte { return d[:4096] },
		"ShortenedToHalf":  func(d []byte) []byte { return d[:len(d)/2&^4095] },
		"ShortenedToBytes": func(d []byte) []byte { return d[:100] },
		"Zeroed":           func(d []byte) []byte { return make([]byte, len(d)) },
		"MetaPagesZeroed":  func(d []byte) []byte { clear(d[:8192]); return d },
		"AllButMetaZeroed": func(d []byte) []byte { clear(d[8192:]); return d },
		"AllButMetaFilled": func(d []byte) []byte { fill(d[8192:], 0xff); return d },
		"PageHeadersMixed": func(d []byte) []byte {
			copy(d[4*4096:], d[5*4096:6*4096])
			copy(d[6*4096:], d[2*4096:3*4096])
			return d
		},
		"NotADatabase": func(d []byte) []byte { return bytes.Repeat([]byte("text "), 4000) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "db")
			if err := os.WriteFile(bad, damage(bytes.Clone(sound)), 0o600); err != nil {
				t.Fatal(err)
			}
			err := useAll(bad)
			if err != nil && !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("error is not ErrDamaged: %v", err)
			}
			if err == nil && name != "PageHeadersMixed" { // such a page may be free
				t.Error("not noticed")
			}
		})
	}
}

func fill(d []byte, with byte) {
	for i := range d {
		d[i] = with
	}
}

// useAll opens the store, reads and writes all, and returns the first error.
func useAll(path string) error {
	b, err := kv.Open(path, kv.BoltOptions{NoSync: true})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := b.View(func(tx kv.Tx) error {
		c := tx.Bucket("a").Cursor()
		n := 0
		for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
			n += len(v)
		}
		if n != 20*200*100 {
			return kv.ErrDamaged
		}
		return nil
	}); err != nil {
		return err
	}
	return b.Update(func(tx kv.Tx) error {
		for i := range 20 {
			tx.Bucket("a").Put([]byte{byte(i), 7, 1}, []byte("changed"))
		}
		return nil
	})
}

// TestAFileThatIsFoundDamagedIsLetGoOf opens the file again: what holds it open or mapped keeps it locked, and its room on the disk.
func TestAFileThatIsFoundDamagedIsLetGoOf(t *testing.T) {
	find := func(kv.Tx) error { return kv.ErrDamaged }
	for name, use := range map[string]func(b *kv.Bolt) error{
		"in a look":      func(b *kv.Bolt) error { return b.View(find) },
		"in an update":   func(b *kv.Bolt) error { return b.Update(find) },
		"after a commit": func(b *kv.Bolt) error { return errors.Join(put(b), b.View(find)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			b := openBolt(t, path)
			if err := use(b); !errors.Is(err, kv.ErrDamaged) {
				t.Fatal(err)
			}
			if err := put(b); !errors.Is(err, kv.ErrDamaged) {
				t.Errorf("used after damage: %v", err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := kv.Open(path, kv.BoltOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func put(b *kv.Bolt) error {
	return b.Update(func(tx kv.Tx) error {
		tx.Bucket("a").Put([]byte("k"), []byte("v"))
		return nil
	})
}

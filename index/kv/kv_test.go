package kv_test

import (
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

func openBolt(t *testing.T, path string) *kv.Bolt {
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

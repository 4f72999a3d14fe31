package blocktest

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal/block"
)

func TestMemKeepsTheContract(t *testing.T) {
	Run(t, func(*testing.T) block.Store { return NewMem() })
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	m := NewMem()
	a, sealedA := Block(1, 10)
	b, sealedB := Block(2, 10)
	put(t, m, a, sealedA)
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, m, b, sealedB)
	m.Crash()
	holds(t, m, a, sealedA)
	holds(t, m, b, nil)
}

func TestFullStoreRefusesAndKeeps(t *testing.T) {
	m := NewMem()
	m.Capacity = 15
	a, sealedA := Block(1, 10)
	b, sealedB := Block(2, 10)
	put(t, m, a, sealedA)
	if err := m.Put(t.Context(), b, sealedB); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	holds(t, m, a, sealedA)
}

func TestDamageIsNoticed(t *testing.T) {
	m := NewMem()
	k, sealed := Block(1, 10)
	put(t, m, k, sealed)
	if !m.Damage(k) {
		t.Fatal("nothing there")
	}
	var corrupt *block.CorruptError
	if _, err := m.Get(t.Context(), k); !errors.As(err, &corrupt) || corrupt.Block != k.ID {
		t.Errorf("get: %v", err)
	}
	if err := m.Check(t.Context()); !errors.As(err, &corrupt) {
		t.Errorf("check: %v", err)
	}
}

package index

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index/internal/pb"
)

func (d *device) signStatus(complete bool, exceptions ...Exception) []byte {
	d.world.t.Helper()
	var raw []byte
	d.update(func(tx *Tx) (err error) {
		raw, err = tx.SignStatus(Standing{Exceptions: exceptions, Complete: complete})
		return err
	})
	return raw
}

func (d *device) status(of *device) (s Status, ok bool) {
	d.world.t.Helper()
	d.view(func(tx *Tx) (err error) {
		s, ok, err = tx.Status(of.id.Device())
		return err
	})
	return s, ok
}

func (d *device) putStatus(of *device, raw []byte) (newer bool, err error) {
	err = d.f.Update(d.world.t.Context(), func(tx *Tx) (err error) {
		newer, err = tx.PutStatus(of.id.Device(), raw)
		return err
	})
	return newer, err
}

func TestStatusTellsReceivedAndApplied(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	dot := a.write(a.file("x", "one"), a.file("y", "two"))[1]
	b.pull(a)
	raw := b.signStatus(true, Exception{"x", ReasonOwed}, Exception{"y", ReasonError})
	newer, err := a.putStatus(b, raw)
	if !newer || err != nil {
		t.Fatalf("newer %v, %v", newer, err)
	}
	s, _ := a.status(b)
	frontier := map[shoal.JournalID]shoal.Seq{dot.Journal: dot.Seq}
	if !maps.Equal(s.Received, frontier) || !maps.Equal(s.Applied, frontier) || !s.Complete || s.Owed != 2 || s.OwedBytes != 200 ||
		len(s.Exceptions) != 2 || s.Exceptions[1] != (Exception{"y", ReasonError}) {
		t.Errorf("status %+v", s)
	}
	if bytes.Contains(raw, []byte("x")) && bytes.Contains(raw, []byte("\x0a\x01x")) {
		t.Error("paths are readable")
	}
	a.check()
}

func TestStatusTellsWhereAVaultKeepsItsCopies(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	for _, store := range []StoreID{{1, 15: 2}, {}} {
		var raw []byte
		b.update(func(tx *Tx) (err error) {
			raw, err = tx.SignStatus(Standing{Complete: true, Store: store})
			return err
		})
		if _, err := a.putStatus(b, raw); err != nil {
			t.Fatal(err)
		}
		if s, _ := a.status(b); s.Store != store {
			t.Errorf("store %x, want %x", s.Store, store)
		}
	}
	self := b.id.Device()
	mesh := w.roster.Mesh()
	folder := b.f.id
	for size, valid := range map[int]bool{0: true, 1: false, 15: false, 16: true, 17: false} {
		raw := signMessage(b.id, statusLabel, &pb.Status{Format: statusFormat, Mesh: mesh[:], Folder: folder[:], Device: self[:], Counter: 1, Store: make([]byte, size)})
		if _, err := DecodeStatus(raw); valid != (err == nil) || !valid && !errors.Is(err, ErrMalformed) {
			t.Errorf("a store of %d bytes: %v", size, err)
		}
	}
}

func TestOlderStatusIsNotKept(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	old := b.signStatus(false)
	fresh := b.signStatus(true)
	for _, c := range []struct {
		raw   []byte
		newer bool
	}{{old, true}, {fresh, true}, {old, false}, {fresh, false}} {
		if newer, err := a.putStatus(b, c.raw); newer != c.newer || err != nil {
			t.Errorf("newer %v, want %v: %v", newer, c.newer, err)
		}
	}
	if s, _ := a.status(b); !s.Complete || s.Counter != 2 {
		t.Errorf("status %+v", s)
	}
}

func TestStatusOfANewerDatabaseVoidsThatOfAnOlder(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	b.signStatus(true)
	old := b.signStatus(true)
	w.now = w.now.Add(2e9)
	b.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance}))
	fresh := b.signStatus(false)
	if newer, err := a.putStatus(b, fresh); !newer || err != nil {
		t.Fatalf("newer %v: %v", newer, err)
	}
	if newer, err := a.putStatus(b, old); newer || err != nil {
		t.Errorf("old one newer %v: %v", newer, err)
	}
}

// A device that was restored from an image must be heard: its own later statement comes back and is outlived.
func TestRestoredDeviceOutlivesItsFormerStatus(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	for range 5 {
		_, err := a.putStatus(b, b.signStatus(true))
		must(t, err)
	}
	w.now = w.now.Add(-3600e9) // and its clock is behind
	b.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance}))
	if newer, err := a.putStatus(b, b.signStatus(false)); newer || err != nil {
		t.Fatalf("newer %v: %v", newer, err)
	}
	var back []byte
	a.view(func(tx *Tx) error {
		all, err := tx.Statuses()
		back = all[b.id.Device()]
		return err
	})
	_, err := b.putStatus(b, back)
	must(t, err)
	if newer, err := a.putStatus(b, b.signStatus(false)); !newer || err != nil {
		t.Errorf("newer %v: %v", newer, err)
	}
	number := b.db.Number()
	b.open(b.db.Crash())
	if b.db.Number() != number {
		t.Errorf("number %d, then %d", number, b.db.Number())
	}
}

func TestStatusMustBeOfItsDevice(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	raw := b.signStatus(true)
	if _, err := a.putStatus(c, raw); !errors.Is(err, ErrForged) {
		t.Errorf("as another device's: %v", err)
	}
	spoiled := bytes.Clone(raw)
	spoiled[len(spoiled)-1] ^= 1
	if _, err := a.putStatus(b, spoiled); !errors.Is(err, ErrForged) {
		t.Errorf("badly signed: %v", err)
	}
	if _, err := a.putStatus(b, []byte("nothing")); !errors.Is(err, ErrMalformed) {
		t.Errorf("nonsense: %v", err)
	}
	w.revoke(b, a)
	if _, err := a.putStatus(b, raw); !errors.Is(err, ErrVoid) {
		t.Errorf("of a revoked device: %v", err)
	}
}

func TestTooManyExceptionsMakeAStatusIncomplete(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.signStatus(true, make([]Exception, MaxExceptions+1)...)
	if s, ok := a.status(a); !ok || s.Complete || len(s.Applied) != 0 || len(s.Exceptions) != 0 {
		t.Errorf("status %+v", s)
	}
}

package index

import (
	"errors"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestRecordNamesWhatItReplaces(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	seen := a.write(a.file("x", "one"))[0]
	b.pull(a)
	e := b.edit(b.file("x", "two"))
	c.write(c.file("x", "unseen"))
	b.pull(c)
	dot := b.write(e)[0]
	clear, _, err := splitRecord(b.batch(dot.Journal, 0).Records[0])
	must(t, err)
	part, _, err := decodeClear(clear)
	must(t, err)
	if !slices.Equal(part.replaces, []shoal.Dot{seen}) {
		t.Errorf("replaces %v", part.replaces)
	}
}

func TestOneCommitMayWriteAPathTwice(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	dots := a.write(a.file("x", "one"), a.file("x", "two"), a.file("y", "y"))
	b.pull(a)
	for _, d := range w.devices {
		if s := d.desired("x"); s.Record != dots[1] {
			t.Errorf("x: %+v", s)
		}
		d.check()
	}
}

func TestBadDraftLeavesNothing(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	id := a.write(a.file("x", "one"))[0].Journal
	for name, e := range map[string]Entry{
		"NoPath":     {Kind: shoal.KindFolder},
		"NoKind":     {Path: "y"},
		"BadVersion": {Path: "y", Kind: shoal.KindFolder, Version: make([]shoal.Dot, 1)},
	} {
		a.update(func(tx *Tx) error {
			if _, err := tx.Append([]Entry{a.file("good", "good"), e}); !errors.Is(err, shoal.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
			return nil // what the update did otherwise is kept
		})
	}
	if a.desired("good") != nil || a.frontier()[id].Seq != 1 {
		t.Error("something is left")
	}
	a.check()
	a.write(a.file("y", "two"))
	a.check()
}

func TestRevokedDeviceWritesNothing(t *testing.T) {
	w := newWorld(t, "a", "thief")
	a, thief := w.devices[0], w.devices[1]
	thief.write(thief.file("x", "one"))
	w.revoke(thief, a)
	err := thief.f.Update(t.Context(), func(tx *Tx) error { return second(tx.Append([]Entry{thief.file("y", "two")})) })
	if !errors.Is(err, ErrVoid) {
		t.Errorf("error: %v", err)
	}
	thief.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if thief.desired("x") == nil { // it is told by others to stop, not to destroy
		t.Error("its own records are gone")
	}
	thief.check()
}

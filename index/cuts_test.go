package index

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// revoke ends a device's membership; of its journals what `from` has counts.
func (w *world) revoke(d, from *device) {
	w.t.Helper()
	cuts := map[shoal.JournalID]mesh.Cut{}
	for id, pos := range from.frontier() {
		if id.Device == d.id.Device() {
			cuts[id] = mesh.Cut{Seq: pos.Seq, Head: pos.HeadHash}
		}
	}
	must(w.t, w.roster.Revoke(w.devices[0].id, d.id.Device(), cuts, w.now, w.chance))
	w.refresh()
}

func TestRecordsAfterARevocationAreVoid(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	thief.write(thief.file("x", "one"), thief.file("keep", "keep"))
	a.pull(thief)
	b.pull(thief)
	b.apply()
	id := thief.write(thief.edit(thief.file("x", "stolen")), thief.file("new", "new"), thief.edit(Entry{Path: "keep", Kind: shoal.KindTombstone}))[0].Journal
	b.pull(thief)
	b.apply()
	w.revoke(thief, a)
	var got Accepted
	b.update(func(tx *Tx) (err error) {
		got, err = tx.ApplyCuts()
		return err
	})
	if len(got.Paths) < 3 {
		t.Errorf("touched %q", got.Paths)
	}
	b.check()
	if s := b.desired("new"); s != nil {
		t.Errorf("new: %+v", s)
	}
	if s := b.desired("x"); s == nil || s.Recipe[0] != a.recipe("stolen", 1)[0] {
		t.Errorf("x must stay until what it replaced is here: %+v", s)
	}
	if pos := b.frontier()[id]; pos.Seq != 0 || pos.Head != nil {
		t.Errorf("frontier %+v", pos)
	}
	if missing := b.missing(a, id); len(missing) != 1 {
		t.Errorf("missing %v", missing)
	}
	b.stage(a, id)
	for p, content := range map[shoal.Path]string{"x": "one", "keep": "keep"} {
		if s := b.desired(p); s == nil || s.Recipe[0] != a.recipe(content, 1)[0] {
			t.Errorf("%s: %+v", p, s)
		}
	}
	b.view(func(tx *Tx) error {
		if problems, err := tx.Problems(); err != nil || len(problems) != 0 {
			t.Errorf("problems: %+v, %v", problems, err)
		}
		return nil
	})
	b.check()
	if _, err := b.accept(thief.batch(id, 2)); !errors.Is(err, ErrVoid) {
		t.Errorf("void batch: %v", err)
	}
}

// missing begins a transfer and returns the buckets to fetch.
func (d *device) missing(from *device, id shoal.JournalID) (missing []uint64) {
	d.world.t.Helper()
	from.view(func(tx *Tx) error {
		list, head, err := tx.Digests(id)
		d.update(func(tx *Tx) (err error) {
			missing, err = tx.Stage(id, head, list)
			return err
		})
		return err
	})
	return missing
}

// Nothing that the void records did touched what is below the cut: the transfer needs no bucket.
func TestCutOfNewPathsOnlyNeedsNoBucket(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	thief.write(thief.file("x", "one"))
	a.pull(thief)
	id := thief.write(thief.file("y", "two"))[0].Journal
	b.pull(thief)
	w.revoke(thief, a)
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if missing := b.missing(a, id); len(missing) != 0 {
		t.Errorf("missing %v", missing)
	}
	b.stage(a, id)
	if b.desired("y") != nil || b.desired("x") == nil || b.frontier()[id].Seq != 1 {
		t.Error("x must stay, y must go")
	}
	b.check()
}

func TestJournalThatIsNotNamedCountsForNothing(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	thief.write(thief.file("x", "one"))
	b.pull(thief)
	w.revoke(thief, a) // which has nothing of it
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if b.desired("x") != nil {
		t.Error("x is still wanted")
	}
	b.check()
}

func TestValidRecordThatSawAVoidOneStays(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	thief.write(thief.file("x", "one"))
	a.pull(thief)
	thief.write(thief.edit(thief.file("x", "stolen")))
	b.pull(thief)
	b.write(b.edit(b.file("x", "mine")))
	w.revoke(thief, a)
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if s := b.desired("x"); s != nil && s.Recipe[0] != b.recipe("mine", 1)[0] {
		t.Errorf("x: %+v", s)
	}
	for id := range b.frontier() {
		if id.Device == thief.id.Device() {
			b.stage(a, id)
		}
	}
	if s := b.desired("x"); s == nil || s.Recipe[0] != b.recipe("mine", 1)[0] {
		t.Errorf("x: %+v", s)
	}
	b.check()
}

// What is void may name a slot in which there never was anything: then nothing is waited for once the journal is whole.
func TestVoidRecordWithAFalseSlotHoldsNothingForEver(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	s := newScribe(thief, 1)
	s.write(thief.file("x", "one"), 0)
	s.write(thief.file("x", "two"), 1)
	must(t, second(a.accept(s.batch(0))))
	s.write(thief.file("y", "void"), 2) // 2 is in slot 1
	must(t, second(b.accept(s.batch(0))))
	b.apply()
	w.revoke(thief, a)
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if b.desired("y") == nil {
		t.Error("y is not held while the journal is not whole")
	}
	b.stage(a, s.id)
	if b.desired("y") != nil {
		t.Error("y is still held")
	}
	b.check()
}

func TestHeadAtTheCutMustBeTheOneThatCounts(t *testing.T) {
	w := newWorld(t, "a", "b", "thief")
	a, b, thief := w.devices[0], w.devices[1], w.devices[2]
	seen, other := newScribe(thief, 1), newScribe(thief, 1)
	seen.write(thief.file("x", "one"), 0)
	other.write(thief.file("x", "other"), 0)
	must(t, second(a.accept(seen.batch(0))))
	w.revoke(thief, a)
	if _, err := b.accept(other.batch(0)); !errors.Is(err, ErrVoid) {
		t.Errorf("another head: %v", err)
	}
	if _, err := b.accept(seen.batch(0)); err != nil {
		t.Errorf("the head of the cut: %v", err)
	}
}

// At start the roster may not be read yet: that must void nothing.
func TestRosterThatIsNotWholeVoidsNothing(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "one"))
	b.pull(a)
	b.state = mesh.NewRoster().State()
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	if b.desired("x") == nil {
		t.Error("x is gone")
	}
	b.check()
}

package index

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

func TestNothingIsWrittenBeforeAJournalIsOpen(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	err := a.f.Update(t.Context(), func(tx *Tx) error { return second(tx.Append([]Entry{a.file("x", "x")})) })
	if !errors.Is(err, ErrNoJournal) {
		t.Errorf("append: %v", err)
	}
	if err := a.f.Update(t.Context(), func(tx *Tx) error { return tx.ContinueJournal() }); !errors.Is(err, ErrNoJournal) {
		t.Errorf("continue: %v", err)
	}
	err = a.f.Update(t.Context(), func(tx *Tx) error {
		if err := tx.OpenJournal(); err != nil {
			return err
		}
		return errors.New("changed my mind")
	})
	a.update(func(tx *Tx) error {
		if id, open := tx.Own(); open || id != (shoal.JournalID{}) || err == nil {
			t.Errorf("after a failed update: %s, open %v", id, open)
		}
		return nil
	})
}

func TestJournalGoesOnAfterProof(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	first := a.write(a.file("x", "one"))[0]
	a.open(a.db.Crash())
	if id, open := a.own(); open || id != first.Journal {
		t.Errorf("after a restart: %s, open %v", id, open)
	}
	a.update(func(tx *Tx) error { return tx.ContinueJournal() })
	if next := a.write(a.file("y", "two"))[0]; next.Journal != first.Journal || next.Seq != 2 {
		t.Errorf("went on with %s", next)
	}
	a.check()
}

func (d *device) own() (id shoal.JournalID, open bool) {
	d.view(func(tx *Tx) error {
		id, open = tx.Own()
		return nil
	})
	return id, open
}

func TestNewJournalContinuesTheOld(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	first := a.write(a.file("x", "one"))[0]
	b.pull(a)
	b.apply()
	a.open(a.db.Crash())
	second := a.write(a.edit(a.file("x", "two")))[0]
	if second.Journal == first.Journal || second.Seq != 1 {
		t.Fatalf("second record %s", second)
	}
	b.pull(a)
	b.view(func(tx *Tx) error {
		if got := tx.Lineage()[second.Journal]; got != first {
			t.Errorf("continues %s", got)
		}
		row, _, err := tx.Row("x")
		if len(row.Live) != 2 || len(row.Copies) != 0 {
			t.Errorf("row %+v", row)
		}
		rec, _, err2 := tx.Record(second)
		if len(rec.Entry.Version) != 0 {
			t.Errorf("version %v was not pruned", rec.Entry.Version)
		}
		return errors.Join(err, err2)
	})
	if s := b.desired("x"); s.Record != second {
		t.Errorf("desired %+v", s)
	}
	b.check()
}

// A device restored from an image goes on where the image was taken; what its former life wrote afterwards is concurrent, and
// neither overwrites the other.
func TestRestoredDeviceIsConcurrentWithItsFormerLife(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	a.write(a.file("x", "one"))
	a.apply()
	must(t, a.db.Sync())
	former := a.write(a.edit(a.file("x", "two")))[0]
	b.pull(a)
	a.open(a.db.Crash()) // to where it was synced
	a.pull(b)            // its former life comes back from a peer
	if err := a.f.Update(t.Context(), func(tx *Tx) error { return tx.ContinueJournal() }); !errors.Is(err, ErrForeignJournal) {
		t.Fatalf("continue: %v", err)
	}
	e := a.file("x", "three")
	e.Version = a.base("x").Version // the disk shows "one"
	latter := a.write(e)[0]
	b.pull(a)
	for _, d := range w.devices {
		d.view(func(tx *Tx) error {
			if got := tx.Lineage()[latter.Journal]; got != (shoal.Dot{Journal: former.Journal, Seq: 1}) {
				t.Errorf("continues %s", got)
			}
			res, err := tx.Resolution("x")
			if len(res.Losers) != 1 || res.Winner == nil {
				t.Errorf("resolution %+v", res)
			}
			return err
		})
		d.check()
	}
}

// A record may name a journal whose head comes later; then the answer changes.
func TestLineageThatComesLateIsHonoured(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	first := a.write(a.file("x", "one"))[0]
	b.pull(a)
	c.pull(a)
	a.open(a.db.Crash())
	second := a.write(a.file("y", "two"))[0]
	b.pull(a)
	e := b.file("x", "three")
	e.Version = conflict.Version{second} // names the new journal only, which covers what it continues
	third := b.write(e)[0]
	c.pullJournal(b, third.Journal, b.frontier()[third.Journal])
	c.view(func(tx *Tx) error {
		res, err := tx.Resolution("x")
		if len(res.Losers) != 1 { // the lineage is not known yet
			t.Errorf("before: %+v", res)
		}
		return err
	})
	c.check()
	c.pullJournal(a, second.Journal, a.frontier()[second.Journal])
	c.view(func(tx *Tx) error {
		res, err := tx.Resolution("x")
		if len(res.Losers) != 0 || res.Winner.Record != third {
			t.Errorf("after: %+v (first %s)", res, first)
		}
		return err
	})
	c.check()
}

func TestTimeNeverRunsBackwardsInAJournal(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	dots := a.write(a.file("x", "one"), a.file("y", "two"))
	w.now = w.now.Add(-3600e9)
	joined := a.file("j", "joined")
	joined.Joined = true
	dots = append(dots, a.write(joined, a.file("z", "three"))...)
	var times []int64
	a.view(func(tx *Tx) error {
		for _, d := range dots {
			rec, _, err := tx.Record(d)
			must(t, err)
			times = append(times, rec.Entry.Time)
		}
		return nil
	})
	if times[1] != times[0]+1 || times[2] != 0 || times[3] != times[1]+1 {
		t.Errorf("times %d", times)
	}
}

func TestSharedJournalIsRemembered(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.write(a.file("x", "one"))
	shared := func() (is bool) {
		a.view(func(tx *Tx) error {
			is = tx.JournalShared()
			return nil
		})
		return is
	}
	if shared() {
		t.Error("shared before it left")
	}
	a.update(func(tx *Tx) error { return tx.MarkShared() })
	a.open(a.db.Crash())
	if !shared() {
		t.Error("forgotten")
	}
}

func TestJournalThatWasNeverWrittenIsNotContinued(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	first := a.write(a.file("x", "one"))[0]
	for range 2 {
		a.update(func(tx *Tx) error { return tx.OpenJournal() })
	}
	a.view(func(tx *Tx) error {
		id, _ := tx.Own()
		if got := tx.Lineage()[id]; got != first {
			t.Errorf("continues %s, want %s", got, first)
		}
		if n := len(tx.Frontier()); n != 1 {
			t.Errorf("%d journals in the frontier", n)
		}
		return nil
	})
}

package index

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// A journal that was written twice from one point on: the second form is refused, both heads are kept as evidence.
func TestTwoHistoriesOfOneJournalAreKeptAsEvidence(t *testing.T) {
	form := func(w *world, last string) *scribe {
		s := newScribe(w.devices[0], 1)
		s.write(w.devices[0].file("x", "one"), 0)
		s.write(w.devices[0].file("y", last), 0)
		return s
	}
	for name, give := range map[string]func(b *device, s *scribe) error{
		"OneSeq": func(b *device, s *scribe) error { return second(b.accept(s.batch(0))) },
		"OneSeqByBuckets": func(b *device, s *scribe) error {
			return b.f.Update(b.world.t.Context(), func(tx *Tx) error { return second(tx.Stage(s.id, s.sign(), s.list())) })
		},
		"ALaterSeqByBuckets": func(b *device, s *scribe) error {
			s.write(s.d.file("z", "z"), 0)
			return b.f.Update(b.world.t.Context(), func(tx *Tx) error {
				if _, err := tx.Stage(s.id, s.sign(), s.list()); err != nil {
					return err
				}
				return second(tx.StageBucket(s.id, 0, s.batch(0).Records))
			})
		},
		"AnotherPast": func(b *device, s *scribe) error { // what was live is gone, and nothing took its place
			delete(s.records, 1)
			s.write(s.d.file("y", "again"), 2)
			return b.f.Update(b.world.t.Context(), func(tx *Tx) error {
				if _, err := tx.Stage(s.id, s.sign(), s.list()); err != nil {
					return err
				}
				if _, err := tx.StageBucket(s.id, 0, s.batch(0).Records); err != nil {
					return err
				}
				return second(tx.FinishStage(s.id))
			})
		},
		"ASupersededRecordLivesAgain": func(b *device, s *scribe) error {
			s.write(s.d.file("z", "z"), 0)
			return b.f.Update(b.world.t.Context(), func(tx *Tx) error {
				if _, err := tx.Stage(s.id, s.sign(), s.list()); err != nil {
					return err
				}
				return second(tx.StageBucket(s.id, 0, s.batch(0).Records))
			})
		},
		"AnotherLineage": func(b *device, s *scribe) error {
			s.head.Continues = shoal.Dot{Journal: shoal.JournalID{Device: s.id.Device, Nonce: 9}, Seq: 3}
			s.write(s.d.file("z", "z"), 0)
			return second(b.accept(s.batch(0)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			b := w.devices[1]
			ours := form(w, "two")
			switch name {
			case "AnotherPast":
				ours = form(w, "three")
			case "ASupersededRecordLivesAgain":
				ours = newScribe(w.devices[0], 1)
				ours.write(w.devices[0].file("x", "one"), 0)
				ours.write(w.devices[0].file("x", "two"), 1)
			}
			_, err := b.accept(ours.batch(0))
			must(t, err)
			theirs := form(w, "three")
			err = give(b, theirs)
			fork, ok := errors.AsType[*ForkError](err)
			if !ok || fork.Journal != ours.id {
				t.Fatalf("error: %v", err)
			}
			b.view(func(tx *Tx) error {
				forks, err := tx.Forks()
				if len(forks) != 1 || string(forks[0].Ours) != string(b.frontier()[ours.id].Head) || string(forks[0].Theirs) != string(theirs.sign()) {
					t.Errorf("forks: %+v", forks)
				}
				return err
			})
			if b.frontier()[ours.id].Seq != 2 || b.desired("z") != nil {
				t.Error("the second form was taken")
			}
			b.check()
		})
	}
}

// parted makes a device whose database was put back to an earlier state and that went on in its journal. Afterwards `others` have
// what it wrote in its former life, `lagging` what it wrote since, and it itself that too.
func parted(t *testing.T) (w *world, restored, others, lagging *device, id shoal.JournalID) {
	w = newWorld(t, "restored", "others", "lagging")
	restored, others, lagging = w.devices[0], w.devices[1], w.devices[2]
	restored.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	id = restored.write(restored.file("both", "before"), restored.file("kept", "as it was"))[0].Journal
	restored.apply()
	must(t, restored.db.Sync())
	lagging.pull(restored)
	restored.write(restored.edit(restored.file("both", "former life")), restored.file("former", "old"))
	others.pull(restored)
	restored.open(restored.db.Crash())
	restored.update(func(tx *Tx) error { return tx.ContinueJournal() }) // the lagging device shows the same head
	restored.write(restored.edit(restored.file("both", "new life")), restored.file("new", "life"), restored.file("later", "life"))
	restored.apply()
	lagging.pull(restored)
	lagging.apply()
	lagging.write(lagging.edit(lagging.file("later", "edited by one who saw it")))
	restored.pull(lagging)
	restored.apply()
	return w, restored, others, lagging, id
}

func (d *device) head(id shoal.JournalID) []byte { return d.frontier()[id].Head }

// A device that was told of another history of its journal leaves its own form of it and records again what it alone had; who has
// that form too leaves it as well, and everybody ends with what both lives wrote.
func TestJournalWithTwoHistoriesIsHealed(t *testing.T) {
	w, restored, others, lagging, id := parted(t)
	var healed bool
	restored.update(func(tx *Tx) (err error) {
		_, healed, err = tx.LeaveHistory(others.head(id))
		return err
	})
	if !healed {
		t.Fatal("the other history was not seen as one")
	}
	restored.check()
	own := shoal.JournalID{}
	restored.view(func(tx *Tx) error { own, _ = tx.Own(); return nil })
	if h, _ := DecodeHead(restored.head(own)); h.Continues != (shoal.Dot{Journal: id, Seq: 2}) || len(h.Abandons) != 1 {
		t.Errorf("new journal continues %s and leaves %d lives", h.Continues, len(h.Abandons))
	}
	restored.view(func(tx *Tx) error {
		for _, p := range []shoal.Path{"new", "both"} {
			b, err := tx.Base(p)
			if err != nil || b.Record.Journal != own || b.Version.Get(id) > 2 {
				t.Errorf("base of %s: %s seen %s, %v", p, b.Record, b.Version, err)
			}
		}
		return nil
	})
	if _, err := restored.accept(lagging.batch(id, 0)); !errors.Is(err, ErrVoid) {
		t.Errorf("the form that was left: %v", err)
	}
	restored.stage(others, id)
	lagging.pull(restored) // first the new journal, and with it the news; then the other form of the old one
	if at, some := lagging.frontier()[id]; some && at.Seq > 2 && string(at.Head) != string(others.head(id)) {
		t.Errorf("who had seen the new life still has it: %d", at.Seq)
	}
	for range 2 {
		for _, from := range w.devices {
			for _, to := range w.devices {
				to.pull(from)
			}
		}
	}
	for _, d := range w.devices {
		d.check()
		for p, content := range map[shoal.Path]string{"kept": "as it was", "former": "old", "new": "life", "later": "edited by one who saw it"} {
			if s := d.desired(p); s == nil || s.Recipe[0] != d.recipe(content, 1)[0] {
				t.Errorf("%s: %+v", p, s)
			}
		}
		shown := map[block.ContentID]bool{}
		d.view(func(tx *Tx) error {
			return tx.Walk("", func(r Row) error {
				if s, err := tx.Desired(r.Path); err != nil || s != nil {
					shown[s.Content] = true
				}
				return nil
			})
		})
		if n := len(shown); n != 6 { // of both two, and nothing twice
			t.Errorf("%d contents are shown", n)
		}
		if got, want := d.head(id), others.head(id); string(got) != string(want) {
			t.Error("another form of the old journal")
		}
	}
}

func TestOnlyAnotherHistoryIsARival(t *testing.T) {
	_, restored, others, lagging, id := parted(t)
	heads := map[string]struct {
		head  []byte
		rival bool
	}{
		"its own":               {restored.head(id), false},
		"one of its own before": {lagging.head(id), false},
		"the former life's":     {others.head(id), true},
		"another journal's":     {lagging.head(lagging.write(lagging.file("x", "x"))[0].Journal), false},
		"garbage":               {[]byte("garbage"), false},
	}
	restored.write(restored.file("more", "more"))
	for name, h := range heads {
		restored.view(func(tx *Tx) error {
			if _, _, rival := tx.Rival(h.head); rival != h.rival {
				t.Errorf("%s: %v", name, rival)
			}
			return nil
		})
	}
}

// A former life that was itself continued: its life is not known to the database that was put back.
func TestALifeThatIsNotKnownIsARival(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	id := a.write(a.file("x", "1"))[0].Journal
	must(t, a.db.Sync())
	again := func() {
		a.open(a.db.Crash())
		a.update(func(tx *Tx) error { return tx.ContinueJournal() })
	}
	again()
	a.write(a.file("y", "former"))
	b.pull(a)
	again()
	a.write(a.file("z", "new"), a.file("zz", "new"))
	a.update(func(tx *Tx) error {
		parted, left, rival := tx.Rival(b.head(id))
		if parted != 1 || len(left) != 1 || !rival {
			t.Errorf("parted at %d, %d lives left, rival %v", parted, len(left), rival)
		}
		_, _, err := tx.LeaveHistory(b.head(id))
		return err
	})
	a.pull(b)
	b.pull(a)
	for _, d := range w.devices {
		for _, p := range []shoal.Path{"x", "y", "z", "zz"} {
			if d.desired(p) == nil {
				t.Errorf("%s is lost", p)
			}
		}
		d.check()
	}
}

func TestAJournalIsContinuedSoOftenAndNoMore(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.write(a.file("x", "x"))
	for i := range MaxLives + 1 {
		err := a.f.Update(t.Context(), func(tx *Tx) error { return tx.ContinueJournal() })
		if (i < MaxLives) != (err == nil) || err != nil && !errors.Is(err, ErrManyLives) {
			t.Fatalf("continued %d times: %v", i, err)
		}
	}
	a.check()
}

package index

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
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

// The device whose machine was resumed from a snapshot leaves its form for the one that the others have, and records again what
// it alone had.
func TestForkedDeviceRecordsAgainWhatItAloneHad(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	var many []Entry
	for i := range BucketSize {
		many = append(many, a.file(shoal.Path(fmt.Sprintf("f%04d", i)), "many"))
	}
	a.write(many...)
	must(t, a.db.Sync())
	id := a.write(a.file("x", "before the snapshot was resumed"))[0].Journal
	b.pull(a)
	a.open(a.db.Crash())
	a.update(func(tx *Tx) error { return tx.ContinueJournal() }) // as if it had proof
	a.write(a.file("y", "after"))
	a.apply()

	var list []BucketDigest
	b.view(func(tx *Tx) (err error) {
		list, _, err = tx.Digests(id)
		return err
	})
	y := a.file("y", "after")
	y.Version = a.base("y").Version
	a.update(func(tx *Tx) error {
		agreed, err := tx.AgreedUpTo(id, list)
		if err != nil || agreed != BucketSize-1 {
			t.Errorf("agreed up to %d: %v", agreed, err)
		}
		if err := tx.OpenJournalAt(agreed); err != nil {
			return err
		}
		if _, err := tx.Append([]Entry{y}); err != nil {
			return err
		}
		return second(tx.DropAbove(id, agreed))
	})
	a.check()
	a.stage(b, id)
	b.pull(a)
	for _, d := range w.devices {
		for p, content := range map[shoal.Path]string{"x": "before the snapshot was resumed", "y": "after"} {
			if s := d.desired(p); s == nil || s.Recipe[0] != a.recipe(content, 1)[0] {
				t.Errorf("%s: %+v", p, s)
			}
		}
		d.check()
	}
}

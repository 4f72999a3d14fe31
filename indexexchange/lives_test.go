package indexexchange

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/index"
)

// twoLives makes a mesh of three in which device 0 wrote two histories of its journal: device 1 has the former one, with so
// many records above what both have, and device 2 the later one. Nobody is connected.
func twoLives(t *testing.T, former, later int) (*world, *node) {
	w := newWorld(t, 3)
	author := w.nodes[0]
	author.open(index.OpenMemory(index.Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	author.write(one("a", "common"))
	w.must(author.db.Sync())
	meet := func(other int) {
		wi := w.connect(0, other)
		w.settle()
		w.cut(wi)
	}
	write := func(n int, whose string) {
		for i := range n {
			author.write(one(fmt.Sprintf("%s %d", whose, i), whose))
		}
		author.write(one("b", whose))
	}
	meet(2)
	write(former, "former life")
	meet(1)
	author.open(author.db.Crash())
	w.must(author.folder.Update(context.Background(), func(tx *index.Tx) error { return tx.ContinueJournal() })) // device 2 showed the same
	write(later, "later life")
	meet(2)
	return w, author
}

// Whoever of the two has more, whoever meets first: everybody ends with all that both lives wrote.
func TestBothLivesOfADeviceReachEverybody(t *testing.T) {
	for _, c := range []struct {
		former, later int
		wires         [][2]int
	}{
		{1, 1, [][2]int{{0, 1}, {1, 2}, {0, 2}}},
		{1, 3, [][2]int{{0, 1}, {1, 2}, {0, 2}}},
		{3, 1, [][2]int{{0, 1}, {1, 2}, {0, 2}}},
		{1, 3, [][2]int{{1, 2}, {0, 2}, {0, 1}}},
		{3, 1, [][2]int{{1, 2}, {0, 2}}},
		{1, 3, [][2]int{{0, 2}, {0, 1}}},
		{1, 900, [][2]int{{0, 1}, {0, 2}}}, // by buckets
		{900, 1, [][2]int{{0, 1}, {0, 2}}},
	} {
		if raceEnabled && (c.former > 1 || len(c.wires) > 2) {
			continue // the run without the race detector has them all
		}
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w, author := twoLives(t, c.former, c.later)
			author.heals = true
			for _, wire := range c.wires {
				w.connect(wire[0], wire[1])
				w.pass(time.Minute)
			}
			w.pass(2 * time.Hour)
			w.mustBeEqual(w.nodes...)
			for i, n := range w.nodes {
				w.must(n.db.Check(context.Background()))
				for _, whose := range []string{"former life", "later life"} {
					if !bytes.Contains([]byte(n.tree()), []byte(whose)) {
						t.Errorf("device %d has nothing of the %s", i, whose)
					}
				}
				if len(n.leftOut) > 0 {
					t.Errorf("device %d leaves out %v", i, n.leftOut)
				}
			}
		})
	}
}

// TestForkedJournalIsReported lets device 0 write two histories of one journal.
func TestForkedJournalIsReported(t *testing.T) {
	w, author := twoLives(t, 1, 1)
	w.connect(1, 2)
	w.pass(time.Minute)
	if w.nodes[1].forks+w.nodes[2].forks == 0 {
		t.Fatal("nobody noticed")
	}
	if len(author.rivals) > 0 {
		t.Errorf("device 0 was told of a rival by one that knows only its own life")
	}
	w.connect(0, 1)
	w.settle()
	if len(author.rivals) == 0 {
		t.Errorf("device 0 was not told")
	}
	for _, n := range w.nodes[1:] {
		w.must(n.db.Check(context.Background()))
		if len(n.leftOut) > 0 {
			t.Errorf("device %d leaves out %v, which only passed on what was signed", n.number, n.leftOut)
		}
	}
	w.nodes[1].write(one("after", "x"))
	w.settle()
	if !bytes.Contains([]byte(w.nodes[2].tree()), []byte("after")) {
		t.Error("the fork stops other journals")
	}
}

// TestTheStatementOfAFormerLifeIsOutlived: a device that was put back to an earlier state has nothing of what it once said that it had. The
// others must learn so, or they count copies that are gone.
func TestTheStatementOfAFormerLifeIsOutlived(t *testing.T) {
	w := newWorld(t, 2)
	author, other := w.nodes[0], w.nodes[1]
	author.open(index.OpenMemory(index.Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	wi := w.connect(0, 1)
	w.pass(time.Minute)
	w.must(author.db.Sync())
	for i := range 20 {
		other.write(one(fmt.Sprint(i), "content"))
		w.pass(10 * time.Second)
	}
	said := func() (st index.Status) {
		w.must(other.folder.View(func(tx *index.Tx) (err error) {
			st, _, err = tx.Status(author.dev())
			return err
		}))
		return st
	}
	before := said()
	w.cut(wi)
	author.open(author.db.Crash())
	w.connect(0, 1)
	w.settle() // the records come again; the statement must be the new life's
	w.pass(5 * time.Second)
	if after := said(); after.Counter <= before.Counter || after.Database != before.Database {
		t.Errorf("before %d of database %d, after %d of %d", before.Counter, before.Database, after.Counter, after.Database)
	}
}

// TestWhatAPeerShowsIsWhatItTold: Shown is what the checks of vaults rest on.
func TestWhatAPeerShowsIsWhatItTold(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	a.write(one("x", "1"))
	f := w.people.folder
	if _, told := b.core.Shown(a.dev(), f); told {
		t.Error("somebody who is not there shows something")
	}
	w.connect(0, 1)
	w.settle()
	for j, pos := range a.frontier() {
		if shown, told := b.core.Shown(a.dev(), f); !told || shown[j] != pos.Seq {
			t.Errorf("%v shown of %d", shown, pos.Seq)
		}
	}
}

package indexexchange

import (
	"context"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// commit records entries and shows them on the node's disk at once, as after a scan.
func (n *node) commit(entries ...index.Entry) (dots []shoal.Dot) {
	n.world.t.Helper()
	n.world.must(n.folder.Update(context.Background(), func(tx *index.Tx) (err error) {
		if _, open := tx.Own(); !open {
			n.world.must(tx.OpenJournal())
		}
		if dots, err = tx.Append(entries); err != nil {
			return err
		}
		for _, e := range entries {
			var base *index.Base
			switch s, err := tx.Desired(e.Path); {
			case err != nil:
				return err
			case s != nil:
				base = index.BaseOf(s, index.DiskStat{Size: s.Size, Mode: s.Mode, Inode: 7})
			}
			if err := tx.SetBase(e.Path, base); err != nil {
				return err
			}
		}
		return nil
	}))
	n.world.must(n.core.Refresh(n.world.people.folder))
	return dots
}

// after makes e the next version of what is at its path.
func (n *node) after(e index.Entry) index.Entry {
	n.world.t.Helper()
	n.world.must(n.folder.View(func(tx *index.Tx) error {
		s, err := tx.Desired(e.Path)
		if err == nil {
			e.Version = s.Version
			if e.Kind == shoal.KindTombstone {
				e.Replaced = s.Content
			}
		}
		return err
	}))
	return e
}

// small has one side send its next message and returns the blocks that came with it.
func (wi *wire) small(t *testing.T, w *world) (blocks []string) {
	t.Helper()
	frames, err := wi.ss[0].Next(context.Background())
	w.must(err)
	m, err := decode(frames[0])
	w.must(err)
	for _, s := range m.(batchMessage).small {
		blocks = append(blocks, string(s.sealed))
	}
	w.must(wi.ss[1].Receive(context.Background(), frames[0]))
	w.settle()
	return blocks
}

func TestWhatAPeerHadBeforeDoesNotTravelBesideItsRecord(t *testing.T) {
	w := newWorld(t, 2)
	n, wi := w.nodes[0], w.connect(0, 1)
	first := n.commit(n.file("a", "one"), n.file("b", "two"), n.file("c", "three"))
	w.settle()
	check := func(what string, want ...string) {
		t.Helper()
		if got := wi.small(t, w); !slices.Equal(got, want) {
			t.Errorf("%s: %q travelled, want %q", what, got, want)
		}
	}

	n.commit(n.file("copy of a", "one"), n.file("new", "four"))
	check("a copy beside something new", "four")

	mode := n.after(n.file("b", "two"))
	mode.Mode, mode.ContentFrom = 0o600, first[1]
	n.commit(mode)
	check("another mode")

	n.commit(n.after(index.Entry{Path: "c", Kind: shoal.KindTombstone, MovedTo: "d"}), n.file("d", "three"))
	check("another name")

	n.commit(n.file("e", "five"), n.file("f", "five"))
	check("twice the same, which is new", "five")
}

package index

import (
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestRecordsReachAnotherDevice(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(Entry{Path: "docs", Kind: shoal.KindFolder, Mode: 0o755}, a.file("docs/x", "one"))
	b.pull(a)
	for _, d := range w.devices {
		s := d.desired("docs/x")
		if s == nil || s.Kind != shoal.KindFile || len(s.Recipe) != 1 || s.Recipe[0] != a.recipe("one", 1)[0] {
			t.Fatalf("desired: %+v", s)
		}
	}
	b.apply()
	b.view(func(tx *Tx) error {
		if files, bytes := tx.NeedTotals(); files != 0 || bytes != 0 {
			t.Errorf("still owed: %d files, %d bytes", files, bytes)
		}
		if files, bytes := tx.Totals(); files != 1 || bytes != 100 {
			t.Errorf("totals: %d files, %d bytes", files, bytes)
		}
		return nil
	})
	b.check()
	a.check()
}

func TestStagedJournalEqualsTheBatch(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "one"), a.file("y", "one"))
	a.write(a.edit(a.file("x", "two")))
	id := a.write(a.edit(a.file("z", "three")))[0].Journal
	b.stage(a, id)
	if s := b.desired("x"); s == nil || s.Recipe[0] != a.recipe("two", 1)[0] {
		t.Errorf("x: %+v", s)
	}
	if got, want := b.frontier()[id], a.frontier()[id]; got.Seq != want.Seq || got.HeadHash != want.HeadHash {
		t.Errorf("frontier %d, want %d", got.Seq, want.Seq)
	}
	a.write(a.edit(a.file("y", "four")))
	b.stage(a, id)
	if s := b.desired("y"); s == nil || s.Recipe[0] != a.recipe("four", 1)[0] {
		t.Errorf("y: %+v", s)
	}
	b.check()
}

func TestConcurrentEditsMakeACopy(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x.txt", "one"))
	b.pull(a)
	a.write(a.edit(a.file("x.txt", "two")))
	b.write(b.edit(b.file("x.txt", "three")))
	b.pull(a)
	a.pull(b)
	var copies [2][]shoal.Path
	for i, d := range w.devices {
		d.view(func(tx *Tx) error {
			row, ok, err := tx.Row("x.txt")
			if !ok || len(row.Live) != 2 || len(row.Copies) != 1 {
				t.Fatalf("row: %+v", row)
			}
			copies[i] = row.Copies
			if got, err := tx.Copies("x.txt"); err != nil || !slices.Equal(got, row.Copies) {
				t.Errorf("copies %q, %v; the row has %q", got, err, row.Copies)
			}
			if n := tx.ConflictCount(); n != 1 {
				t.Errorf("%d conflicts", n)
			}
			return err
		})
		if s := d.desired(copies[i][0]); s == nil || s.Copy == nil || s.Copy.Of != "x.txt" {
			t.Errorf("copy: %+v", s)
		}
	}
	if copies[0][0] != copies[1][0] {
		t.Errorf("copies %q and %q", copies[0], copies[1])
	}
}

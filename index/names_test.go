package index

import (
	"testing"

	"github.com/shoalmesh/shoal"
)

// conflicting makes a conflict at p on both devices and returns the name of the copy.
func conflicting(t *testing.T, a, b *device, p shoal.Path) shoal.Path {
	t.Helper()
	a.write(a.file(p, "theirs"))
	b.write(b.file(p, "mine"))
	a.pull(b)
	b.pull(a)
	return a.copyOf(p)
}

func (d *device) copyOf(p shoal.Path) (at shoal.Path) {
	d.world.t.Helper()
	d.view(func(tx *Tx) error {
		row, _, err := tx.Row(p)
		if len(row.Copies) != 1 {
			d.world.t.Fatalf("copies of %q: %q", string(p), row.Copies)
		}
		at = row.Copies[0]
		return err
	})
	return at
}

func TestRealEntryTakesItsNameFromACopy(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	first := conflicting(t, a, b, "dir/x.txt")
	b.write(b.file(first, "real"))
	a.pull(b)
	second := a.copyOf("dir/x.txt")
	if second == first || len(second) != len(first)+1 {
		t.Errorf("copies at %q, then %q", first, second)
	}
	if s := a.desired(first); s == nil || s.Copy != nil {
		t.Errorf("real entry: %+v", s)
	}
	if s := a.desired(second); s == nil || s.Copy == nil || s.Copy.Of != "dir/x.txt" {
		t.Errorf("copy: %+v", s)
	}
	a.check()
	c.pull(a) // all at once comes to the same
	if got := c.copyOf("dir/x.txt"); got != second {
		t.Errorf("another device shows it at %q", got)
	}
	b.write(b.edit(Entry{Path: first, Kind: shoal.KindTombstone}))
	for _, d := range []*device{a, c} {
		d.pull(b)
		if got := d.copyOf("dir/x.txt"); got != first {
			t.Errorf("after the real entry is gone: %q", got)
		}
		d.check()
	}
}

func TestCopyIsNeededAndGoesWhenSettled(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	copied := conflicting(t, a, b, "x.txt")
	a.apply()
	b.apply()
	if base := a.base(copied); base == nil || base.Copy == nil || base.Copy.Of != "x.txt" {
		t.Fatalf("base of the copy: %+v", base)
	}
	e := b.edit(b.file("x.txt", "both"))
	b.view(func(tx *Tx) error {
		res, err := tx.Resolution("x.txt")
		e.Version = append(e.Version, res.Losers[0].Version...)
		if e.Version[0].Journal.Compare(e.Version[1].Journal) > 0 {
			e.Version[0], e.Version[1] = e.Version[1], e.Version[0]
		}
		return err
	})
	b.write(e)
	a.pull(b)
	a.view(func(tx *Tx) error {
		needs, err := tx.Needs("", 10)
		if len(needs) != 2 || tx.ConflictCount() != 0 {
			t.Errorf("needs %q, %d conflicts", needs, tx.ConflictCount())
		}
		return err
	})
	if s := a.desired(copied); s != nil {
		t.Errorf("copy: %+v", s)
	}
	a.apply()
	a.check()
}

func TestFileThatLosesToAFolderIsShownBesideIt(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "file"))
	b.write(b.file("x/y", "inside"))
	a.pull(b)
	if s := a.desired("x"); s == nil || s.Kind != shoal.KindFolder || s.Mode != 0o755 {
		t.Errorf("x: %+v", s)
	}
	copied := a.copyOf("x")
	if s := a.desired(copied); s == nil || s.Kind != shoal.KindFile {
		t.Errorf("copy: %+v", s)
	}
	b.write(b.edit(Entry{Path: "x/y", Kind: shoal.KindTombstone}))
	a.pull(b)
	if s := a.desired("x"); s == nil || s.Kind != shoal.KindFile || a.desired(copied) != nil {
		t.Errorf("x after the folder emptied: %+v", s)
	}
	a.check()
}

package index

import (
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

var treePaths = []shoal.Path{"a", "a/b", "a/b/c", "a/b d", "a!", "a!/x", "ab", "\x01", "z"}

func tree(a *device) {
	var drafts []Entry
	for _, p := range treePaths {
		drafts = append(drafts, Entry{Path: p, Kind: shoal.KindFolder, Mode: 0o755})
	}
	a.write(drafts...)
}

func TestWalksComeInTreeOrder(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	tree(a)
	sorted := slices.SortedFunc(slices.Values(treePaths), shoal.ComparePaths)
	walk := func(under shoal.Path) (got []shoal.Path) {
		a.view(func(tx *Tx) error {
			return tx.Walk(under, func(r Row) error { got = append(got, r.Path); return nil })
		})
		return got
	}
	if got := walk(""); !slices.Equal(got, sorted) {
		t.Errorf("all: %q", got)
	}
	if got := walk("a"); !slices.Equal(got, []shoal.Path{"a", "a/b", "a/b/c", "a/b d"}) {
		t.Errorf("a: %q", got)
	}
	a.view(func(tx *Tx) error {
		var paged []shoal.Path
		for after := shoal.Path(""); ; after = paged[len(paged)-1] {
			page, err := tx.Needs(after, 2)
			if err != nil || len(page) == 0 {
				break
			}
			paged = append(paged, page...)
		}
		if !slices.Equal(paged, sorted) {
			t.Errorf("needs in pages of 2: %q", paged)
		}
		return nil
	})
}

func TestBasesInListsImmediateChildrenOnly(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	tree(a)
	a.apply()
	a.update(func(tx *Tx) error { return tx.SetBase("ab", nil) })
	a.write(a.file("only-wanted", "x"))
	for dir, want := range map[shoal.Path][]string{
		"":      {"\x01", "a", "a!", "z"},
		"a":     {"b", "b d"},
		"a/b":   {"c"},
		"a/b/c": nil,
		"none":  nil,
	} {
		var got []string
		a.view(func(tx *Tx) error {
			for name, b := range tx.BasesIn(dir) {
				if b.Kind != shoal.KindFolder || b.Stat.Inode != 77 {
					t.Errorf("%s: %+v", name, b)
				}
				got = append(got, name)
			}
			return nil
		})
		if !slices.Equal(got, want) {
			t.Errorf("in %q: %q, want %q", dir, got, want)
		}
	}
}

func TestMovedTombstoneIsFollowedByWhatItHadNotSeen(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	follows := func(d *device) (got []shoal.Path) {
		d.view(func(tx *Tx) (err error) {
			got, err = tx.Follows(10)
			return err
		})
		return got
	}
	a.write(Entry{Path: "p", Kind: shoal.KindFolder, Mode: 0o755}, a.file("p/x", "one"), a.file("f", "one"))
	b.pull(a)
	a.write(a.edit(Entry{Path: "p", Kind: shoal.KindTombstone, MovedTo: "q"}), a.edit(Entry{Path: "p/x", Kind: shoal.KindTombstone, MovedTo: "q/x"}),
		a.edit(Entry{Path: "f", Kind: shoal.KindTombstone, MovedTo: "g"}), a.file("q/x", "one"), a.file("g", "one"))
	if got := follows(a); len(got) != 0 {
		t.Errorf("nothing is left behind: %q", got)
	}
	b.write(b.edit(b.file("f", "two")), b.file("p/new", "new"))
	a.pull(b)
	b.pull(a)
	for _, d := range w.devices {
		if got := follows(d); !slices.Equal(got, []shoal.Path{"f", "p"}) {
			t.Errorf("follows %q", got)
		}
		d.check()
		d.update(func(tx *Tx) error { return tx.ClearFollow("p") })
		if got := follows(d); !slices.Equal(got, []shoal.Path{"f"}) {
			t.Errorf("after p is done: %q", got)
		}
	}
	b.write(b.file("p/deep/newer", "newer"))
	a.pull(b)
	if got := follows(a); !slices.Equal(got, []shoal.Path{"f", "p"}) {
		t.Errorf("something new below p: %q", got)
	}
	a.update(func(tx *Tx) error { return tx.ClearFollow("p") })
	b.write(b.file("p/deep/newest", "newest"))
	a.pull(b)
	if got := follows(a); !slices.Equal(got, []shoal.Path{"f", "p"}) {
		t.Errorf("something new deep below p: %q", got)
	}
	a.check()
}

func TestProblemsAreKeptByPathAndKind(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.update(func(tx *Tx) error {
		must(t, tx.SetProblem("b", "disk", "full"))
		must(t, tx.SetProblem("a/x", "name", "too long"))
		return tx.SetProblem("b", "name", "taken")
	})
	since := w.now.UnixNano()
	w.now = w.now.Add(5e9)
	a.update(func(tx *Tx) error {
		must(t, tx.SetProblem("b", "disk", "still full"))
		return tx.SetProblem("b", "name", "")
	})
	a.view(func(tx *Tx) error {
		got, err := tx.Problems()
		want := []Problem{{"a/x", "name", "too long", since}, {"b", "disk", "still full", since}}
		if !slices.Equal(got, want) {
			t.Errorf("problems %+v", got)
		}
		return err
	})
	a.check()
}

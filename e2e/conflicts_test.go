//go:build linux

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fight makes a conflict at f/NAME: two devices edit it while they are apart, a first, b later, so that b's edit wins.
func fight(t *testing.T, a, b disk, name string) {
	t.Helper()
	a.write(name, "edit of a")
	b.write(name, "edit of b")
}

func TestConcurrentEditsAreBothKeptUnderTheSameTwoNames(t *testing.T) {
	t.Parallel()
	bothWays(t, 2, func(t *testing.T, w *world) {
		a, b := w.devices[0], w.devices[1]
		a.at(t).write("notes.txt", "first")
		settle(t, a, b)
		w.apart(t)
		fight(t, a.at(t), b.at(t), "notes.txt")
		tree := w.together(t)
		copies := a.at(t).copies("notes.txt")
		if len(tree) != 2 || len(copies) != 1 {
			t.Fatalf("after a conflict there are these names:\n%s", tree.List())
		}
		got := []string{a.at(t).read("notes.txt"), a.at(t).read(copies[0])}
		slices.Sort(got)
		if strings.Join(got, ", ") != "edit of a, edit of b" {
			t.Errorf("the two files hold %q", got)
		}
		for _, d := range w.devices {
			conflicts, err := d.Conflicts(within(t))
			check(t, err)
			if len(conflicts) != 1 || conflicts[0].Path != "notes.txt" || len(conflicts[0].Copies) != 1 || conflicts[0].Copies[0].Path != copies[0] {
				t.Errorf("`shoal conflicts` of %s lists %+v", d.Name, conflicts)
			}
			if f := d.folder(t); f.Conflicts != 1 {
				t.Errorf("`shoal status` of %s counts %d conflicts", d.Name, f.Conflicts)
			}
		}
	})
}

// settlement is one way to resolve a conflict and what must come of it.
type settlement struct {
	name string
	at   func(d disk, file string) string // which path is named
	keep string
	file func(winner, loser string) string   // content of the file afterwards
	rest func(winner, loser string) []string // contents of the files beside it
}

var (
	onFile = func(d disk, file string) string { return d.path(file) }
	onCopy = func(d disk, file string) string { return d.path(d.copies(file)[0]) }
	winner = func(w, _ string) string { return w }
	loser  = func(_, l string) string { return l }
	none   = func(_, _ string) []string { return nil }
	second = func(_, l string) []string { return []string{l} }
)

var settlements = []settlement{
	{"winner, on the file", onFile, "winner", winner, none},
	{"winner, on the copy", onCopy, "winner", winner, none},
	{"copy, on the file", onFile, "copy", loser, none},
	{"copy, on the copy", onCopy, "copy", loser, none},
	{"both, on the file", onFile, "both", winner, second},
	{"both, on the copy", onCopy, "both", winner, second},
}

func TestEachWayOfResolvingAConflictWorksAndSpreads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	a, b := w.devices[0], w.devices[1]
	for _, s := range settlements {
		a.at(t).write(filepath.Join(s.name, "f.txt"), "first")
	}
	settle(t, a, b)
	w.apart(t)
	for _, s := range settlements {
		fight(t, a.at(t, s.name), b.at(t, s.name), "f.txt")
	}
	w.together(t)
	for i, s := range settlements {
		t.Run(s.name, func(t *testing.T) {
			by, other := w.devices[i%2], w.devices[1-i%2]
			at := by.at(t, s.name)
			won, lost := at.read("f.txt"), at.read(at.copies("f.txt")[0])
			by.do(t, "resolve", s.at(at, "f.txt"), "--keep", s.keep)
			by.wait(t)
			tree := sameTrees(t, by, other).Under(s.name)
			if got := other.at(t, s.name).read("f.txt"); got != s.file(won, lost) {
				t.Errorf("the file holds %q, want %q", got, s.file(won, lost))
			}
			want := s.rest(won, lost)
			if len(tree) != 1+len(want) {
				t.Errorf("want %d more files beside it, there is:\n%s", len(want), tree.List())
			}
			for i, copy := range other.at(t, s.name).copies("f.txt") {
				if got := other.at(t, s.name).read(copy); i >= len(want) || got != want[i] {
					t.Errorf("%q holds %q, want %q", copy, got, want)
				}
			}
		})
	}
	settle(t, a, b)
	noConflicts(t, a, b)
}

func TestResolvingSpeaksUpWhenItCannotBeMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	a := w.devices[0]
	a.at(t).write("f", "first")
	a.at(t).write("calm", "no conflict here")
	settle(t, w.devices...)
	w.apart(t)
	for _, d := range w.devices {
		d.at(t).write("f", "edit of "+d.Name)
	}
	w.together(t)
	copies := a.at(t).copies("f")
	if len(copies) != 2 {
		t.Fatalf("three edits leave %d copies, want 2", len(copies))
	}
	a.exits(t, 2, "resolve", a.path("f"), "--keep", "copy")
	a.exits(t, 2, "resolve", a.path("f"), "--keep", "everything")
	a.exits(t, 2, "resolve", a.path("f"))
	a.exits(t, 1, "resolve", a.path("calm"), "--keep", "winner")
	a.exits(t, 1, "resolve", a.path("absent"), "--keep", "winner")

	// On one of two copies, winner drops only that one; the other becomes an ordinary file.
	a.do(t, "resolve", a.path(copies[0]), "--keep", "winner")
	settle(t, w.devices...)
	noConflicts(t, w.devices...)
	if left := a.at(t).copies("f"); len(left) != 1 || left[0] != copies[1] {
		t.Errorf("the copies are %q, want %q", left, copies[1:])
	}
}

func TestDeletingOrRenamingACopySettlesTheConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	a, b := w.devices[0], w.devices[1]
	a.at(t).write("deleted/f", "first")
	a.at(t).write("renamed/f", "first")
	settle(t, a, b)
	w.apart(t)
	for _, dir := range []string{"deleted", "renamed"} {
		fight(t, a.at(t, dir), b.at(t, dir), "f")
	}
	w.together(t)
	deleted, renamed := b.at(t, "deleted"), b.at(t, "renamed")
	lost := renamed.read(renamed.copies("f")[0])
	deleted.remove(deleted.copies("f")[0])
	renamed.rename(renamed.copies("f")[0], "kept")
	tree := settle(t, a, b)
	noConflicts(t, a, b)
	if got := tree.Under("deleted"); len(got) != 1 {
		t.Errorf("after the copy was deleted there is:\n%s", got.List())
	}
	if got := tree.Under("renamed"); len(got) != 2 || a.at(t).read("renamed/kept") != lost {
		t.Errorf("after the copy was renamed there is:\n%s", got.List())
	}
}

//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// secondFolder has one device add a folder, and another join it when everything has been quiet for a while.
func secondFolder(t *testing.T, a, b *device) (from, to disk) {
	t.Helper()
	from, to = disk{t, filepath.Join(filepath.Dir(a.Home), "second")}, disk{t, filepath.Join(filepath.Dir(b.Home), "other name")}
	from.write("sub/f", "in the second folder")
	a.do(t, "folder", "add", from.root, "--name", "Second")
	a.wait(t, "--peers", "0")
	rest(t, 2) // whoever joins now must be told everything anew: nothing is on its way any more
	b.do(t, "folder", "join", "Second", to.root)
	same(t, from, to)
	return from, to
}

// same waits until two folders hold the same.
func same(t *testing.T, from, to disk) {
	t.Helper()
	eventually(t, "the folders become the same", func() error {
		here, err := lab.Snapshot(from.root)
		if err != nil {
			return err
		}
		there, err := lab.Snapshot(to.root)
		if err != nil {
			return err
		}
		if diff := here.Diff(there); len(diff) > 0 {
			return fmt.Errorf("they differ: %q", diff)
		}
		return nil
	})
}

func TestASecondFolderIsAddedJoinedPausedAndRemoved(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("f", "in the first folder")
	from, to := secondFolder(t, a, b)
	to.write("back", "from the device that joined")
	same(t, from, to)
	a.wait(t)

	b.do(t, "folder", "pause", "Second")
	from.write("while paused", "x")
	to.write("here while paused", "y")
	a.wait(t, "--peers", "0")
	a.exits(t, 4, "wait", "--timeout", "1s")
	if _, err := os.Lstat(to.path("while paused")); err == nil {
		t.Error("a paused folder took a change")
	}
	b.stop(t) // it stays paused over a restart
	b.up(t)
	if s := b.status(t); !slices.ContainsFunc(s.Folders, func(f lab.FolderStatus) bool { return f.Name == "Second" && f.State == "paused" }) {
		t.Errorf("after a restart the folder is not paused: %+v", s.Folders)
	}
	b.do(t, "folder", "resume", "Second")
	same(t, from, to)

	b.do(t, "folder", "remove", "Second")
	from.write("after removal", "z")
	a.wait(t, "--peers", "0")
	if got := to.read("back"); got != "from the device that joined" {
		t.Errorf("after it was removed the folder holds %q", got)
	}
	if _, err := os.Lstat(to.path("after removal")); err == nil {
		t.Error("a removed folder took a change")
	}

	// Joining again finds what is there.
	b.do(t, "folder", "join", "Second", to.root)
	same(t, from, to)
	noConflicts(t, a, b)
}

func TestFoldersThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).mkdir("inside")
	settle(t, a, b)
	for _, args := range [][]string{
		{"folder", "add", a.path("inside")},                  // nested in another
		{"folder", "add", filepath.Dir(a.Dir)},               // holds another, and the home
		{"folder", "join", "no such folder", b.path("../x")}, // unknown
		{"folder", "remove", "no such folder"},
		{"folder", "move", a.folder(t).Name, b.Dir}, // another device's root
		{"folder", "confirm", a.folder(t).Name, "--deletions"},
		{"folder", "set", a.folder(t).Name, "no such key=1"},
		{"devices", "revoke", "nobody"},
	} {
		r, err := a.Run(within(t), args...)
		check(t, err)
		if r.Code == 0 || r.Stderr == "" {
			t.Errorf("it was done, or it says nothing: %s", r)
		}
	}
	a.at(t).write("inside/f", "all goes on")
	settle(t, a, b)
}

func TestAReadersChangesStayOnItsDisk(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	a.at(t).write("f", "first")
	a.up(t)
	invite, err := a.Invite(within(t), "--yes", "--role", "reader")
	check(t, err)
	b.up(t, "--join", invite.Ticket)
	settle(t, a, b)
	b.at(t).write("f", "by the reader")
	b.at(t).write("new", "by the reader")
	a.at(t).write("f", "second")
	eventually(t, "the reader has the new version, and keeps its own beside it", func() error {
		if text, err := os.ReadFile(b.path("f")); err != nil || string(text) != "second" {
			return errors.Join(fmt.Errorf("the file holds %q", text), err)
		}
		texts, err := lab.Texts(b.Dir)
		delete(texts, "f")
		if mine := slices.Collect(maps.Values(texts)); err == nil && !slices.Equal(mine, []string{"by the reader", "by the reader"}) {
			err = fmt.Errorf("beside it are %q, want both that the reader wrote", mine)
		}
		return err
	})
	hasProblem(t, b, "")
	if tree := a.tree(t); len(tree) != 1 || a.at(t).read("f") != "second" {
		t.Errorf("a reader could write:\n%s", tree.List())
	}
}

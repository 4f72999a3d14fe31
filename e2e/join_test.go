//go:build linux

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJoiningWithFilesAdoptsEqualOnesAndLosesNone(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, b := newDevice(t, "anna", alone(n)), newDevice(t, "ben", alone(n))
	for _, d := range []disk{a.at(t), b.at(t)} {
		d.random("equal", bulk, 31)
		d.random("in/equal", bulk, 32)
		d.mkdir("equal folder")
	}
	b.at(t).touch("in/equal", time.Unix(1_600_000_000, 5))
	b.at(t).chmod("in/equal", 0o600)
	a.at(t).write("differs.txt", "anna's")
	b.at(t).write("differs.txt", "ben's")
	b.at(t).touch("differs.txt", time.Now().Add(time.Hour)) // a later time must not make it win
	a.at(t).write("only on anna", "a")
	b.at(t).write("only on ben", "b")
	b.at(t).write("folder only on ben/file", "b")
	b.at(t).symlink("equal", "link only on ben")
	a.at(t).write("kind", "a file there")
	b.at(t).write("kind/inside", "a folder here")

	a.up(t)
	a.wait(t, "--peers", "0") // else both are new, and neither comes first
	before := wire(t, a)
	join(t, a, b)
	tree := settle(t, a, b)
	moved := wire(t, a) - before
	t.Logf("%d bytes over the wire, with %d that both had", moved, 2*bulk)
	if moved > mib {
		t.Errorf("%d bytes went over the wire, though both had the big files", moved)
	}
	if got := a.at(t).read("differs.txt"); got != "anna's" {
		t.Errorf("the file that was in the mesh holds %q", got)
	}
	if copies := a.at(t).copies("differs.txt"); len(copies) != 1 || a.at(t).read(copies[0]) != "ben's" || !strings.Contains(copies[0], "conflict ben") {
		t.Errorf("the file that the joining device had is not beside it: %q", copies)
	}
	for _, name := range []string{"only on anna", "only on ben", "folder only on ben/file", "link only on ben", "equal", "in/equal", "equal folder", "kind/inside"} {
		if _, there := tree[name]; !there {
			t.Errorf("%q is gone", name)
		}
	}
	if copies := a.at(t).copies("kind"); len(copies) != 1 || a.at(t).read(copies[0]) != "a file there" {
		t.Errorf("a file in the place of a folder is lost: %q", copies)
	}
	if got := tree["in/equal"].Mode; got != 0o644 {
		t.Errorf("an equal file got the mode %v of the joining device", got)
	}
}

func TestADeviceThatJoinsTwiceWithTheSameFilesMakesNoConflict(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("f", "x")
	a.at(t).write("d/g", "y")
	settle(t, a, b)
	b.stop(t)
	again := newDevice(t, "ben-again")
	for name, text := range b.at(t).texts() {
		again.at(t).write(name, text)
	}
	join(t, a, again)
	settle(t, a, again)
	noConflicts(t, a, again)
}

func TestADeviceRestoredFromABackupLosesNothingOfEitherPast(t *testing.T) {
	t.Parallel()
	t.Run("its folder was kept", func(t *testing.T) { restoreFromBackup(t, false) })
	t.Run("its folder was restored too", func(t *testing.T) { restoreFromBackup(t, true) })
}

func restoreFromBackup(t *testing.T, folderToo bool) {
	w := newWorld(t, 3, nil)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	for _, name := range []string{"one", "two", "three", "four", "untouched"} {
		b.at(t).write(name, "first "+name)
	}
	settle(t, w.devices...)
	b.stop(t)
	backup := takeBackup(t, b)
	b.up(t)

	// Three edits that the backup knows nothing of; all others have them.
	for _, name := range []string{"one", "two", "three"} {
		b.at(t).write(name, "later "+name)
		settle(t, w.devices...)
	}
	a.at(t).write("four", "by anna")
	settle(t, w.devices...)
	for _, d := range w.devices {
		d.stop(t)
	}
	backup.putBack(t, b, folderToo)

	// It starts with nobody there, and goes on as if nothing had been.
	b.up(t)
	b.at(t).write("one", "after the restore")
	b.at(t).write("new", "after the restore, new")
	b.wait(t, "--peers", "0")
	c.up(t)
	settle(t, b, c)
	a.up(t)
	settle(t, w.devices...)
	quietAfterwards(t, w)

	want := []string{"later two", "later three", "by anna", "after the restore", "after the restore, new", "first untouched"}
	if folderToo {
		want = append(want, "later one") // nobody had seen it when "one" was edited again
	}
	a.holds(t, want...)
}

// holds checks that each of these texts is in some file.
func (d *device) holds(t *testing.T, want ...string) {
	t.Helper()
	texts := d.at(t).texts()
	held := slices.Collect(maps.Values(texts))
	for _, text := range want {
		if !slices.Contains(held, text) {
			t.Errorf("%q is lost", text)
		}
	}
	if t.Failed() {
		t.Logf("what came of it:\n%s", (&outcome{texts: texts}).String())
	}
}

// The first device that it meets was away when it wrote what the backup does not know, and so takes it for what it was. It goes on
// in its journal, which has two histories then, until it meets somebody who knows the former one.
func TestARestoredDeviceThatWasTakenForCurrentLosesNothingOfEitherPast(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	for _, name := range []string{"one", "two", "three"} {
		b.at(t).write(name, "first "+name)
	}
	settle(t, w.devices...)
	c.stop(t)
	b.stop(t)
	backup := takeBackup(t, b)
	b.up(t)
	for _, name := range []string{"one", "two"} {
		b.at(t).write(name, "later "+name)
		settle(t, a, b)
	}
	a.stop(t)
	b.stop(t)
	backup.putBack(t, b, true)

	c.up(t)
	b.up(t)
	settle(t, b, c)
	b.at(t).write("one", "after the restore")
	b.at(t).write("new", "after the restore, new")
	b.at(t).write("edited", "after the restore, edited")
	settle(t, b, c)
	c.at(t).write("edited", "edited by carl")
	settle(t, b, c)
	a.up(t)
	settle(t, w.devices...)
	quietAfterwards(t, w)
	for _, d := range w.devices {
		d.holds(t, "later one", "later two", "first three", "after the restore", "after the restore, new", "edited by carl")
	}
}

func TestANewDeviceHasNoTroubleToTell(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for _, d := range []*device{a, b} {
		events, err := d.Events(within(t))
		check(t, err)
		for _, e := range events {
			if e.Kind == "problem" {
				t.Errorf("%s: %s", d.Name, e.Message)
			}
		}
	}
}

//go:build linux

package e2e

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// fewBytes is what a small change to a big file may move over the wire.
const fewBytes = 4 * mib

func bigSize() int64 { return choose[int64](64*mib, gib) }

// insertHead puts one byte before everything else, as an editor does: the whole file is written anew, aside, and renamed.
func insertHead(t *testing.T, name string) {
	t.Helper()
	old, err := os.Open(name)
	check(t, err)
	defer old.Close()
	aside := filepath.Join(tempDir(t), "aside")
	fresh, err := os.Create(aside)
	check(t, err)
	_, err = fresh.Write([]byte("!"))
	check(t, err)
	_, err = io.Copy(fresh, old)
	check(t, err)
	check(t, fresh.Close())
	check(t, os.Rename(aside, name))
}

// overwrite writes random bytes over a part of a file, in place.
func overwrite(t *testing.T, name string, offset, size int64, seed uint64) {
	t.Helper()
	check(t, lab.Overwrite(name, offset, size, seed))
}

func TestSmallChangesToABigFileMoveFewBytes(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, b := newDevice(t, "anna", quiet, alone(n)), newDevice(t, "ben", quiet, alone(n))
	size := bigSize()
	a.at(t).random("big", size, 3)
	a.up(t)
	join(t, a, b)
	a.wait(t)
	steps := []struct {
		name string
		act  func(t *testing.T)
	}{
		{"one byte inserted at the head", func(t *testing.T) { insertHead(t, a.path("big")) }},
		{"one mebibyte overwritten in the middle", func(t *testing.T) { overwrite(t, a.path("big"), size/2, mib, 4) }},
		{"one byte changed in the middle", func(t *testing.T) { overwrite(t, a.path("big"), size/3, 1, 5) }},
		{"one byte cut off at the end", func(t *testing.T) { check(t, os.Truncate(a.path("big"), size)) }},
		{"one byte changed from the other side", func(t *testing.T) { overwrite(t, b.path("big"), size/4, 1, 6) }},
		{"another name", func(t *testing.T) { check(t, os.Rename(a.path("big"), a.path("renamed"))) }},
		{"the old name, from the other side", func(t *testing.T) { check(t, os.Rename(b.path("renamed"), b.path("big"))) }},
		{"another mode", func(t *testing.T) { check(t, os.Chmod(a.path("big"), 0o600)) }},
		{"a copy", func(t *testing.T) { check(t, lab.CopyFile(a.path("big"), a.path("copy"))) }},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) { movesAtMost(t, a, b, fewBytes, s.act) })
	}
}

// movesAtMost does something on one of two devices and holds that little goes over the wire until both are the same.
func movesAtMost(t *testing.T, a, b *device, most int64, act func(*testing.T)) {
	t.Helper()
	before := wire(t, a)
	act(t)
	a.wait(t)
	b.wait(t)
	a.wait(t)
	moved := wire(t, a) - before
	sameTrees(t, a, b)
	t.Logf("%d bytes over the wire", moved)
	if moved > most {
		t.Errorf("%d bytes went over the wire, at most %d may", moved, most)
	}
}

// TestASmallFileThatIsThereDoesNotTravelAgain has files so small that they travel beside their records when they are new.
func TestASmallFileThatIsThereDoesNotTravelAgain(t *testing.T) {
	t.Parallel()
	n := privateNetwork(t)
	a, b := newDevice(t, "anna", quiet, alone(n)), newDevice(t, "ben", quiet, alone(n))
	const size, most = 60 * kib, 12 * kib
	a.at(t).random("small", size, 3)
	a.up(t)
	join(t, a, b)
	a.wait(t)
	for _, s := range []struct {
		name string
		act  func(t *testing.T)
	}{
		{"a copy", func(t *testing.T) { check(t, lab.CopyFile(a.path("small"), a.path("copy"))) }},
		{"another name", func(t *testing.T) { check(t, os.Rename(a.path("copy"), a.path("renamed"))) }},
		{"another mode", func(t *testing.T) { check(t, os.Chmod(a.path("small"), 0o600)) }},
		{"what it was, kept under another name", func(t *testing.T) {
			check(t, os.Rename(a.path("small"), a.path("small~")))
			a.at(t).write("small", "another content")
		}},
	} {
		t.Run(s.name, func(t *testing.T) { movesAtMost(t, a, b, most, s.act) })
	}
}

func TestAnIdlePairIsQuietOnTheWire(t *testing.T) {
	n := privateNetwork(t)
	if n == nil {
		t.Skip("needs network namespaces: others use this loopback too")
	}
	a, b := pair(t, quiet, alone(n))
	a.at(t).write("f", "x")
	settle(t, a, b)
	// A minute would be better and is too long; what polls would show in this time already.
	const look = 5
	before := wire(t, a)
	cpu := processorTime(t, a, b)
	rest(t, look)
	moved := wire(t, a) - before
	used := processorTime(t, a, b) - cpu
	t.Logf("%d bytes and %v of processor time in %d s", moved, used, look)
	if moved > look*kib {
		t.Errorf("%d bytes in %d s went between two devices that have nothing to say", moved, look)
	}
}

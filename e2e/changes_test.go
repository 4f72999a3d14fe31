//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// change is one thing that a user does to files that are the same on both sides.
type change struct {
	name    string
	before  func(disk)
	act     func(disk)
	maxWire int64 // bytes that may go over the wire; 0: any
}

// noContent is more than the records of a small change take, and far less than any content in these tests.
const noContent = 256 * kib

// bulk is the content that must not travel when only names change.
const bulk = 4 * mib

var changes = []change{
	{name: "create a file", act: func(d disk) { d.write("new", "hello") }},
	{name: "create an empty file", act: func(d disk) { d.write("new", "") }},
	{name: "create a folder", act: func(d disk) { d.mkdir("new/and/more") }},
	{name: "create a symlink", act: func(d disk) { d.symlink("anything", "new") }},
	{name: "edit a file in place", before: oneFile, act: func(d disk) { d.write("f", "edited") }},
	{name: "edit a file by replacing it", before: oneFile, act: func(d disk) { d.replace("f", "edited") }},
	{name: "append", before: oneFile, act: func(d disk) { d.add("f", "more") }},
	{name: "truncate", before: oneFile, act: func(d disk) { check(d.t, os.Truncate(d.path("f"), 3)) }},
	{name: "empty", before: oneFile, act: func(d disk) { check(d.t, os.Truncate(d.path("f"), 0)) }},
	{name: "same size and time, other content", before: oneFile, act: sameSizeAndTime},
	{name: "rename a file", before: bulkFile, act: func(d disk) { d.rename("bulk", "renamed") }, maxWire: noContent},
	{name: "rename a folder", before: bulkFolder, act: func(d disk) { d.rename("dir", "renamed") }, maxWire: noContent},
	{name: "rename over another file", before: func(d disk) { bulkFile(d); oneFile(d) }, act: func(d disk) { d.rename("bulk", "f") }, maxWire: noContent},
	{name: "move a file across folders", before: bulkFolder, act: func(d disk) { d.rename("dir/bulk", "other/place/bulk") }, maxWire: noContent},
	{name: "move a folder into another", before: bulkFolder, act: func(d disk) { d.rename("dir", "other/dir") }, maxWire: noContent},
	{name: "swap two files", before: twoBulkFiles, act: swap, maxWire: noContent},
	{name: "copy a file", before: bulkFile, act: func(d disk) { d.copy("bulk", "copied") }, maxWire: noContent},
	{name: "copy a folder", before: bulkFolder, act: func(d disk) { d.copy("dir", "copied") }, maxWire: noContent},
	{name: "copy and change the end", before: bulkFile, act: func(d disk) { d.copy("bulk", "copied"); d.add("copied", "x") }, maxWire: 2 * mib},
	{name: "delete a file", before: oneFile, act: func(d disk) { d.remove("f") }},
	{name: "delete a folder with all in it", before: bulkFolder, act: func(d disk) { d.removeAll("dir") }},
	{name: "delete and create again", before: oneFile, act: func(d disk) { d.remove("f"); d.write("f", "back again") }},
	{name: "chmod a file", before: oneFile, act: func(d disk) { d.chmod("f", 0o750) }},
	{name: "chmod a folder", before: bulkFolder, act: func(d disk) { d.chmod("dir", 0o700) }, maxWire: noContent},
	{name: "make a file read-only", before: oneFile, act: func(d disk) { d.chmod("f", 0o400) }},
	{name: "touch", before: bulkFile, act: func(d disk) { d.touch("bulk", time.Unix(1234567890, 987654321)) }, maxWire: noContent},
	{name: "file becomes folder", before: oneFile, act: func(d disk) { d.remove("f"); d.write("f/inside", "x") }},
	{name: "file becomes empty folder", before: oneFile, act: func(d disk) { d.remove("f"); d.mkdir("f") }},
	{name: "file becomes symlink", before: oneFile, act: func(d disk) { d.remove("f"); d.symlink("dir", "f") }},
	{name: "folder becomes file", before: bulkFolder, act: func(d disk) { d.removeAll("dir"); d.write("dir", "x") }},
	{name: "folder becomes symlink", before: bulkFolder, act: func(d disk) { d.removeAll("dir"); d.symlink("x", "dir") }},
	{name: "symlink becomes file", before: oneLink, act: func(d disk) { d.remove("l"); d.write("l", "x") }},
	{name: "symlink becomes folder", before: oneLink, act: func(d disk) { d.remove("l"); d.write("l/inside", "x") }},
	{name: "symlink points elsewhere", before: oneLink, act: func(d disk) { d.remove("l"); d.symlink("elsewhere", "l") }},
	{name: "many at once", act: manyFiles},
}

func oneFile(d disk)      { d.write("f", "the quick brown fox") }
func oneLink(d disk)      { d.symlink("somewhere", "l") }
func bulkFile(d disk)     { d.random("bulk", bulk, seedOf(d.root)) }
func twoBulkFiles(d disk) { bulkFile(d); d.random("bulk2", bulk, seedOf(d.root)+1) }
func bulkFolder(d disk) {
	d.random("dir/bulk", bulk, seedOf(d.root))
	d.write("dir/sub/small", "small")
	d.mkdir("dir/empty")
}

// seedOf makes contents differ from test to test: else they would be found on the disk already.
func seedOf(text string) (seed uint64) {
	for _, b := range []byte(text) {
		seed = seed*31 + uint64(b)
	}
	return seed
}

func swap(d disk) {
	d.rename("bulk", "third")
	d.rename("bulk2", "bulk")
	d.rename("third", "bulk2")
}

func sameSizeAndTime(d disk) {
	info, err := os.Stat(d.path("f"))
	check(d.t, err)
	d.write("f", strings.ToUpper(d.read("f")))
	d.touch("f", info.ModTime())
}

func manyFiles(d disk) {
	for i := range 300 {
		d.write(fmt.Sprintf("%d/%d", i%7, i), fmt.Sprint(i))
	}
}

func TestEachChangeReachesTheOtherSide(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, b := pair(t, alone(n))
	// Everything is prepared in one go, and twice, so that each side makes each change once.
	sides := []struct{ from, to *device }{{a, b}, {b, a}}
	for _, s := range sides {
		for _, c := range changes {
			d := a.at(t, s.from.Name, c.name)
			d.mkdir(".")
			if c.before != nil {
				c.before(d)
			}
		}
	}
	settle(t, a, b)
	for _, s := range sides {
		for _, c := range changes {
			t.Run(s.from.Name+": "+c.name, func(t *testing.T) {
				makeChange(t, s.from, s.to, c)
			})
		}
	}
	settle(t, a, b)
	noConflicts(t, a, b)
}

// makeChange makes one change and waits until it is right on the other side.
func makeChange(t *testing.T, from, to *device, c change) {
	dir := filepath.Join(from.Name, c.name)
	before := wire(t, to)
	c.act(from.at(t, dir))
	eventually(t, "it is right on the other side", func() error {
		here, err := lab.Snapshot(from.path(dir))
		if err != nil {
			return err
		}
		there, err := lab.Snapshot(to.path(dir))
		if err != nil {
			return err
		}
		if diff := here.Diff(there); len(diff) > 0 {
			return errors.New("it differs:\n" + strings.Join(diff, "\n"))
		}
		return nil
	})
	if moved := wire(t, to) - before; c.maxWire > 0 && moved > c.maxWire {
		t.Errorf("%d bytes went over the wire, at most %d may", moved, c.maxWire)
	}
}

func TestWaitReturnsNotBeforeTheOtherSideIsRight(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for round := range 5 {
		from, to := a, b
		if round%2 == 1 {
			from, to = b, a
		}
		from.at(t).random(fmt.Sprintf("big %d", round), 3*mib, uint64(round))
		from.at(t, fmt.Sprint("many ", round)).write("x", "x")
		manyFiles(from.at(t, fmt.Sprint("many ", round)))
		from.at(t).write("edited again and again", fmt.Sprint(round))
		from.wait(t)
		sameTrees(t, from, to)
	}
}

func noConflicts(t *testing.T, devices ...*device) {
	t.Helper()
	for _, d := range devices {
		conflicts, err := d.Conflicts(within(t))
		check(t, err)
		for _, c := range conflicts {
			t.Errorf("%s has a conflict that nobody made: %+v", d.Name, c)
		}
	}
}

// tries is how often the latency is measured, latencyPause how exactly.
const (
	tries        = 30
	latencyPause = 200 * time.Microsecond
)

func TestASmallEditIsOnTheOtherSideWithinFiftyMilliseconds(t *testing.T) {
	a, b := pair(t, quiet)
	a.at(t).write("warm up", "x")
	settle(t, a, b)
	took := make([]time.Duration, tries)
	for i := range took {
		text := fmt.Sprintf("%04d", i) + strings.Repeat("x", kib-4)
		start := time.Now()
		a.at(t).write("f", text)
		check(t, lab.Poll(within(t), latencyPause, func() error {
			if got, err := os.ReadFile(b.path("f")); err != nil || string(got) != text {
				return fmt.Errorf("edit %d has not come: %w", i, err)
			}
			return nil
		}))
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	p50, p95 := took[tries/2], took[tries*95/100]
	t.Logf("1 KiB written on one side is right on the other: p50 %v, p95 %v, slowest %v", p50, p95, took[tries-1])
	if p50 > 50*time.Millisecond {
		t.Errorf("p50 is %v, want 50ms at most", p50)
	}
}

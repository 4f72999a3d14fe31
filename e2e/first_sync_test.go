//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// firstSync fills the folder of a new device, starts it, lets a second one join, and holds the two folders against each other.
func firstSync(t *testing.T, fill func(disk)) (a, b *device) {
	t.Helper()
	a, b = newDevice(t, "anna", quiet), newDevice(t, "ben", quiet)
	fill(a.at(t))
	start := time.Now()
	a.up(t)
	join(t, a, b)
	a.wait(t)
	b.wait(t)
	t.Logf("the same after %v", time.Since(start).Round(time.Millisecond))
	sameTrees(t, a, b)
	return a, b
}

// goroot is where the toolchain that runs the tests is.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	check(t, err)
	return strings.TrimSpace(string(out))
}

func TestFirstSyncOfTheGoSourceTreeIsExact(t *testing.T) {
	beside(t)
	a, b := firstSync(t, func(d disk) {
		check(t, lab.CopyTree(filepath.Join(goroot(t), "src"), d.root))
	})
	want := a.tree(t)
	for _, d := range []*device{a, b} {
		files, size := count(want)
		if f := d.folder(t); f.Files != files || f.Bytes != size {
			t.Errorf("%s counts %d files and %d bytes, there are %d and %d", d.Name, f.Files, f.Bytes, files, size)
		}
		if f := d.folder(t); f.State != "idle" || f.NeedFiles != 0 || f.NeedBytes != 0 || f.Conflicts != 0 {
			t.Errorf("%s is not done: %+v", d.Name, f)
		}
		d.stop(t)
	}
}

// count returns the regular files of a tree and their bytes.
func count(tree lab.Tree) (files, size int64) {
	for _, row := range tree {
		if row.Kind == "file" {
			files++
			size += row.Size
		}
	}
	return files, size
}

func TestFirstSyncOfManySmallFilesIsExact(t *testing.T) {
	beside(t)
	firstSync(t, func(d disk) { check(t, lab.SmallFiles(d.root, choose(8000, 20_000), kib, 32*kib, 1)) })
}

func TestFirstSyncOfABigFileIsExact(t *testing.T) {
	beside(t)
	size := choose[int64](64*mib, 2*gib)
	firstSync(t, func(d disk) { d.random("big", size, 2) })
}

// strangeNames are names that a careless program breaks.
var strangeNames = []string{
	"with space", " leading", "trailing ", "new\nline", "tab\there", "back\\slash", "-rf", "--help", "~", "*", "?", "[a]", "a:b", "a|b", "con.txt",
	"quote'", "double\"", "$HOME", "`ls`", "%s%n", "\U0001f41f fish", "\u65e5\u672c\u8a9e", "\u202eright to left", ".hidden", "...", "..dots", "dot.", "a.tar.gz",
	"caf\u00e9", "cafe\u0301", "UPPER", "upper", "\xff\xfe not text", "bell\a", "\x7f",
	strings.Repeat("n", 255), strings.Repeat("\u00fc", 127) + "x", strings.Repeat("d", 250) + ".jpeg",
	"not (conflict a copy).txt", ".shoal.txt", "tmp", ".stfolder", ".shoal ",
}

func strangeTree(d disk) {
	for i, name := range strangeNames {
		d.write(name, fmt.Sprintf("content %d", i))
	}
	for _, name := range strangeNames[:10] {
		d.write(filepath.Join("in", name+" folder", name), name)
	}
	d.write("empty", "")
	d.write("sub/.shoal/inside", "only the one at the root is special")
	d.mkdir("nothing here")
	d.mkdir("deep/er/and/deeper/nothing")
	deep := strings.Repeat("0123456789/", 60)
	d.write(deep+"bottom", "far down")
}

func kindsTree(d disk) {
	d.write("target", "pointed at")
	d.symlink("target", "link")
	d.symlink("no such thing", "dangling")
	d.symlink("/etc/hostname", "absolute")
	d.symlink("..", "folders/up")
	d.symlink("link \U0001f41f\nline", "odd target")
	d.write("run.sh", "#!/bin/sh\n")
	d.chmod("run.sh", 0o755)
	for _, mode := range []os.FileMode{0o400, 0o444, 0o600, 0o640, 0o664, 0o777} {
		name := fmt.Sprintf("mode %o", mode)
		d.write(name, name)
		d.chmod(name, mode)
	}
	d.mkdir("closed")
	d.write("closed/inside", "in a folder that nobody may write")
	d.mkdir("private")
	for i, when := range []time.Time{time.Unix(0, 1), time.Unix(1, 999_999_999), time.Unix(1e9, 123_456_789), time.Unix(4e9, 5), time.Unix(-1e6, 250)} {
		name := fmt.Sprintf("time %d", i)
		d.write(name, name)
		d.touch(name, when)
	}
	for _, size := range []int64{64*kib - 1, 64 * kib, 64*kib + 1, mib - 1, mib, mib + 1, 5*mib + 7} {
		d.random(fmt.Sprintf("size %d", size), size, uint64(size))
	}
	f, err := os.Create(d.path("sparse"))
	check(d.t, err)
	_, err = f.WriteAt([]byte("end"), 32*mib)
	check(d.t, err)
	check(d.t, f.Close())
	d.chmod("closed", 0o555)
	d.chmod("private", 0o700)
}

func TestFirstSyncKeepsStrangeNamesKindsModesAndTimes(t *testing.T) {
	t.Parallel()
	a, b := firstSync(t, func(d disk) {
		strangeTree(d)
		kindsTree(d)
	})
	t.Cleanup(func() {
		a.at(t).chmod("closed", 0o755)
		b.at(t).chmod("closed", 0o755)
	})
	if used := diskUse(t, b.path("sparse")); used > 8*mib {
		t.Errorf("a file with a hole of 32 MiB takes %d bytes of the disk", used)
	}
}

func TestWhatStandsInAFolderIsOursOnlyInDotShoal(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("one", "1")
	b.at(t).write("two", "2")
	settle(t, a, b)
	for _, d := range []*device{a, b} {
		entries, err := os.ReadDir(d.Dir)
		check(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); got != ".shoal one two" {
			t.Errorf("%s has %q in its folder", d.Name, got)
		}
	}
}

func TestARestartedPairGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("before", "written before")
	settle(t, a, b)
	a.stop(t)
	b.at(t).write("meanwhile on b", "the other does not run")
	b.wait(t, "--peers", "0")
	b.stop(t)
	a.at(t).write("meanwhile on a", "nobody runs")
	a.at(t).add("before", ", and changed while nobody ran")
	b.up(t)
	a.up(t)
	tree := settle(t, a, b)
	if len(tree) != 3 {
		t.Errorf("after a restart there are %d names, want 3:\n%s", len(tree), tree.List())
	}
}

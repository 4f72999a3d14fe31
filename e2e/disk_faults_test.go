//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// hasProblem waits until a device reports a problem with a path ("" for any) and returns it. Its message must say something.
func hasProblem(t *testing.T, d *device, path string) (found lab.Problem) {
	t.Helper()
	eventually(t, d.Name+" reports a problem with "+path, func() error {
		s, err := d.Status(within(t))
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Problems, func(p lab.Problem) bool { return path == "" || p.Path == path })
		if i < 0 {
			return fmt.Errorf("it reports %+v", s.Problems)
		}
		found = s.Problems[i]
		return nil
	})
	if found.Kind == "" || found.Message == "" {
		t.Errorf("a problem without words: %+v", found)
	}
	return found
}

// stillThere holds that nothing of a tree was taken away or changed.
func stillThere(t *testing.T, d *device, want lab.Tree) {
	t.Helper()
	got := d.tree(t)
	for name, row := range want {
		if got[name] != row {
			t.Errorf("%s: %q is now %v, and was %v", d.Name, name, got[name], row)
		}
	}
}

// someFiles fills a folder with a little of everything.
func someFiles(d disk) {
	for i := range 20 {
		d.write(fmt.Sprintf("sub/f%d", i), fmt.Sprint("content ", i))
	}
	d.write("top", "at the top")
}

// roots are the ways in which the root of a folder goes missing.
var roots = []struct {
	name string
	lose func(t *testing.T, d *device, aside string)
}{
	{"it was moved away", func(t *testing.T, d *device, aside string) { check(t, os.Rename(d.Dir, aside)) }},
	{"an empty folder stands in its place", func(t *testing.T, d *device, aside string) {
		check(t, os.Rename(d.Dir, aside))
		check(t, os.Mkdir(d.Dir, 0o755))
	}},
}

func TestAMissingRootStopsTheFolderAndDeletesNothing(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	someFiles(a.at(t))
	want := settle(t, a, b)
	for _, how := range []string{"while it runs", "while it does not"} {
		for _, r := range roots {
			t.Run(r.name+" "+how, func(t *testing.T) {
				aside := filepath.Join(tempDir(t), "aside")
				if how == "while it runs" {
					r.lose(t, b, aside)
					_, err := b.Run(within(t), "rescan") // it may well fail: there is nothing to look at
					check(t, err)
				} else {
					b.stop(t)
					r.lose(t, b, aside)
					check(t, b.Start())
				}
				var f lab.FolderStatus
				eventually(t, "the folder stops", func() error {
					s, err := b.Status(within(t))
					if err != nil || len(s.Folders) != 1 || s.Folders[0].State != "error" {
						return fmt.Errorf("%+v: %w", s.Folders, err)
					}
					f = s.Folders[0]
					return nil
				})
				if f.Error == "" {
					t.Error("the folder does not say why it stopped")
				}
				a.at(t).write("meanwhile", r.name+how)
				a.wait(t, "--peers", "0")
				stillThere(t, a, want)

				// The root comes back, and all goes on.
				check(t, os.RemoveAll(b.Dir))
				check(t, os.Rename(aside, b.Dir))
				if _, err := b.Run(within(t), "rescan"); err != nil {
					t.Error(err)
				}
				settle(t, a, b)
				stillThere(t, b, want)
			})
		}
	}
}

func TestWhatLacksInACopyOfTheRootWasNotDeleted(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	someFiles(a.at(t))
	want := settle(t, a, b)
	b.stop(t)
	aside := filepath.Join(tempDir(t), "aside")
	check(t, os.Rename(b.Dir, aside))
	check(t, lab.CopyTree(aside, b.Dir))
	b.at(t).removeAll("sub")
	check(t, b.Start())
	// It may stop and ask, or take all of it anew. In either case nothing is lost.
	eventually(t, "the folder stops, or is complete again", func() error {
		s, err := b.Status(within(t))
		if err != nil || len(s.Folders) != 1 {
			return fmt.Errorf("%+v: %w", s, err)
		}
		if s.Folders[0].State == "error" {
			return nil
		}
		_, err = equalTrees([]*device{a, b})
		return err
	})
	stillThere(t, a, want)
}

func TestAMovedRootGoesOnWithFolderMove(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	someFiles(a.at(t))
	settle(t, a, b)
	elsewhere := filepath.Join(tempDir(t), "elsewhere")
	check(t, os.Rename(b.Dir, elsewhere))
	b.do(t, "folder", "move", b.folder(t).Name, elsewhere)
	b.Dir = elsewhere
	b.at(t).write("moved", "x")
	settle(t, a, b)
}

// mount puts a small file system in memory on a folder, or skips the test.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs the right to mount: this is not root")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0755,size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

func TestAFullDiskStopsNothingElseAndLosesNothing(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	mount(t, b.Dir, "16m")
	a.at(t).write("small before", "x")
	a.up(t)
	join(t, a, b)
	settle(t, a, b)
	aside := disk{t, tempDir(t)}
	aside.random("too big", 24*mib, 61)
	check(t, os.Rename(aside.path("too big"), a.path("too big")))
	a.at(t).write("small after", "y")
	b.at(t).write("from the full disk", "z")
	eventually(t, "small files come and go all the same", func() error {
		_, err := os.Stat(b.path("small after"))
		_, back := os.Stat(a.path("from the full disk"))
		return errors.Join(err, back)
	})
	p := hasProblem(t, b, "")
	t.Logf("a full disk is reported as %+v", p)
	if _, err := os.Lstat(b.path("too big")); err == nil {
		t.Error("a half file stands under a real name")
	}
	stillThere(t, a, lab.Tree{"too big": a.tree(t)["too big"]})
	b.exits(t, 4, "wait", "--timeout", "1s")

	check(t, exec.Command("mount", "-o", "remount,size=200m", b.Dir).Run())
	b.do(t, "rescan")
	settle(t, a, b)
	eventually(t, "the problem is over", func() error {
		if s := b.status(t); len(s.Problems) > 0 {
			return fmt.Errorf("it still reports %+v", s.Problems)
		}
		return nil
	})
}

func TestAFileSystemMountedInsideIsNotReadAsADeletion(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	someFiles(a.at(t))
	want := settle(t, a, b)
	t.Run("while it runs", func(t *testing.T) {
		mount(t, a.path("sub"), "4m")
		a.at(t).write("sub/f1", "on the other file system")
		a.do(t, "rescan")
		hasProblem(t, a, "sub")
		a.at(t).write("seen", "meanwhile")
		eventually(t, "all else goes on", func() error { _, err := os.Stat(b.path("seen")); return err })
		stillThere(t, b, want)
		check(t, exec.Command("umount", a.path("sub")).Run())
		a.do(t, "rescan")
		settle(t, a, b)
		stillThere(t, b, want)
	})
	t.Run("while it does not", func(t *testing.T) {
		a.stop(t)
		mount(t, a.path("sub"), "4m")
		a.up(t)
		hasProblem(t, a, "sub")
		b.at(t).write("sub/f2", "an edit that cannot get there yet")
		want["sub/f2"] = b.tree(t)["sub/f2"]
		stillThere(t, b, want)
		check(t, exec.Command("umount", a.path("sub")).Run())
		a.do(t, "rescan")
		settle(t, a, b)
		stillThere(t, a, want)
	})
}

// mortal makes a device's daemon run as an ordinary user, for whom files can be unreadable.
func mortal(d *lab.Device) {
	if os.Geteuid() == 0 {
		d.User = 65534
	}
}

// owned gives everything of a device to the user that its daemon runs as.
func (d *device) owned(t *testing.T) {
	t.Helper()
	if d.User == 0 {
		return
	}
	check(t, os.MkdirAll(d.Home, 0o755))
	check(t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", d.User, d.User), filepath.Dir(d.Home)).Run())
}

func TestUnreadableFilesAndFoldersAreReportedAndNeverDeletions(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna", mortal), newDevice(t, "ben", mortal)
	someFiles(a.at(t))
	a.at(t).write("locked at first", "nobody may read this")
	a.at(t).chmod("locked at first", 0)
	a.owned(t)
	b.owned(t)
	a.up(t)
	join(t, a, b)
	hasProblem(t, a, "locked at first")
	eventually(t, "all else is there", func() error { _, err := os.Stat(b.path("sub/f19")); return err })
	want := b.tree(t)

	a.at(t).chmod("sub", 0)
	t.Cleanup(func() { _ = os.Chmod(a.path("sub"), 0o755) })
	a.at(t).write("top", "edited")
	a.at(t).chmod("top", 0)
	_, err := a.Run(within(t), "rescan")
	check(t, err)
	hasProblem(t, a, "sub")
	hasProblem(t, a, "top")
	a.at(t).write("new", "all else goes on")
	a.owned(t)
	eventually(t, "all else goes on", func() error { _, err := os.Stat(b.path("new")); return err })
	got := b.tree(t)
	for name := range want {
		if _, there := got[name]; !there {
			t.Errorf("%q was deleted on the other side, because it could not be read", name)
		}
	}

	for name, mode := range map[string]os.FileMode{"sub": 0o755, "top": 0o644, "locked at first": 0o600} {
		a.at(t).chmod(name, mode)
	}
	a.do(t, "rescan")
	tree := settle(t, a, b)
	if tree["locked at first"].Kind != "file" || b.at(t).read("top") != "edited" {
		t.Errorf("what became readable has not come:\n%s", tree.List())
	}
	if s := a.status(t); len(s.Problems) > 0 {
		t.Errorf("it still reports %+v", s.Problems)
	}
}

func TestIgnoredFilesStayHereAndABadIgnoreFileIsReported(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write(".shoalignore", "*.tmp\n/build/\n[z-a\nfoo[\n!keep.tmp\n")
	a.wait(t)
	a.at(t).write("x.tmp", "ignored")
	a.at(t).write("keep.tmp", "not ignored")
	a.at(t).write("build/out", "ignored")
	a.at(t).write("sub/build/out", "not ignored")
	a.at(t).write("y", "not ignored")
	b.at(t).write("build/other", "ignored there")
	eventually(t, "what is not ignored comes", func() error {
		a.wait(t)
		b.wait(t)
		var missing error
		for _, name := range []string{".shoalignore", "keep.tmp", "sub/build/out", "y"} {
			_, err := os.Stat(b.path(name))
			missing = errors.Join(missing, err)
		}
		return missing
	})
	p := hasProblem(t, a, ".shoalignore")
	if !strings.Contains(p.Message, "[") {
		t.Errorf("it does not say which line: %+v", p)
	}
	for _, name := range []string{"x.tmp", "build/out"} {
		if _, err := os.Stat(b.path(name)); err == nil {
			t.Errorf("%q came, though it is ignored", name)
		}
		if _, err := os.Stat(a.path(name)); err != nil {
			t.Errorf("%q was taken away, because it is ignored: %v", name, err)
		}
	}
	if _, err := os.Stat(a.path("build/other")); err == nil {
		t.Error("build/other came, though it is ignored")
	}
	a.at(t).write(".shoalignore", "*.tmp\n")
	a.wait(t)
	eventually(t, "the problem is over, and what is not ignored any more comes", func() error {
		if s := a.status(t); len(s.Problems) > 0 {
			return fmt.Errorf("it still reports %+v", s.Problems)
		}
		_, err := os.Stat(b.path("build/out"))
		_, back := os.Stat(a.path("build/other"))
		return errors.Join(err, back)
	})
}

func TestAMassDeletionAsksBeforeItSpreads(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"deletions", "restore"} {
		t.Run(answer, func(t *testing.T) {
			a, b := pair(t, quiet)
			check(t, lab.SmallFiles(a.Dir, 2500, 10, 100, 71))
			settle(t, a, b)
			all, _ := count(b.tree(t))
			check(t, exec.Command("sh", "-c", "rm -rf "+a.Dir+"/folder*").Run())
			a.at(t).write("new", "all else goes on")
			hasProblem(t, a, "")
			eventually(t, "all else goes on", func() error { _, err := os.Stat(b.path("new")); return err })
			if left, _ := count(b.tree(t)); left < all-1000 {
				t.Errorf("%d of %d files are left on the other side, though nobody was asked", left, all)
			}
			a.do(t, "folder", "confirm", a.folder(t).Name, "--"+answer)
			files, _ := count(settle(t, a, b))
			switch {
			case answer == "deletions" && files != 1:
				t.Errorf("after the deletions were confirmed %d files are left, want 1", files)
			case answer == "restore" && files < all-1000:
				t.Errorf("%d of %d files came back", files, all)
			}
		})
	}
}

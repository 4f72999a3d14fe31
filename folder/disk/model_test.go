//go:build unix

package disk_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// word names an error by the word that callers ask for.
func word(err error) string {
	if err == nil {
		return "fine"
	}
	for _, kind := range []error{
		disk.ErrNotFolder, disk.ErrNotFile, disk.ErrNotEmpty, disk.ErrName, disk.ErrInUse, disk.ErrCrossDevice,
		fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, errors.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}

// user is what the user's programs do beside the one under test.
type user interface {
	WriteFile(p, content string) error
	Rename(from, to string) error
	Link(p, name string) error
}

// realUser is the user of a real folder.
type realUser struct{ root *os.Root }

// way refuses paths through symlinks, which the system would follow and the user in memory does not.
func (u realUser) way(paths ...string) error {
	for _, p := range paths {
		for dir := shoal.Path(p).Parent(); dir != ""; dir = dir.Parent() {
			if fi, err := u.root.Lstat(string(dir)); err != nil || !fi.IsDir() {
				return disk.ErrNotFolder
			}
		}
	}
	return nil
}

func (u realUser) WriteFile(p, content string) error {
	if fi, err := u.root.Lstat(p); err == nil && !fi.Mode().IsRegular() {
		return disk.ErrNotFile
	}
	if err := u.way(p); err != nil {
		return err
	}
	return u.root.WriteFile(p, []byte(content), 0o644)
}

// Rename is rename(2): os.Rename does not put a folder in the place of an empty one.
func (u realUser) Rename(from, to string) error {
	if err := u.way(from, to); err != nil {
		return err
	}
	return syscall.Rename(u.root.Name()+"/"+from, u.root.Name()+"/"+to)
}

func (u realUser) Link(p, name string) error {
	if err := u.way(p, name); err != nil {
		return err
	}
	return u.root.Link(p, name)
}

// world is a disk and its user.
type world struct {
	disk.FS
	user user
}

// step is one operation that both disks are asked for.
type step struct {
	name string
	do   func(world) (string, error) // what it found, and the error
}

var (
	modelPaths = []string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/b/c", "b/a/c", ".shoal", ".shoal/a"}
	modelModes = []uint32{0o755, 0o644, 0o600, 0o777}
)

func drawStep(t *rapid.T) step {
	p := rapid.SampledFrom(modelPaths).Draw(t, "p")
	q := rapid.SampledFrom(modelPaths).Draw(t, "q")
	mode := rapid.SampledFrom(modelModes).Draw(t, "mode")
	size := rapid.Int64Range(0, 3).Draw(t, "size") * 3000
	text := strings.Repeat(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text"), 1+int(size))
	only := func(err error) (string, error) { return "", err }
	steps := []step{
		{"create " + p, func(d world) (string, error) {
			w, err := d.Create(p, size, mode)
			if err != nil {
				return "", err
			}
			return writeInto(w, text, size)
		}},
		{"reopen " + p, func(d world) (string, error) {
			w, err := d.Reopen(p)
			if err != nil {
				return "", err
			}
			return writeInto(w, text, size/2)
		}},
		{"cut " + p, func(d world) (string, error) {
			w, err := d.Reopen(p)
			if err != nil {
				return "", err
			}
			return "", errors.Join(w.Truncate(size), w.Close())
		}},
		{"mkdir " + p, func(d world) (string, error) { return only(d.Mkdir(p, mode|0o700)) }},
		{"symlink " + p, func(d world) (string, error) { return only(d.Symlink(q, p)) }},
		{"rename " + p + " " + q, func(d world) (string, error) { return only(d.Rename(p, q)) }},
		{"exchange " + p + " " + q, func(d world) (string, error) { return only(d.Exchange(p, q)) }},
		{"remove " + p, func(d world) (string, error) { return only(d.Remove(p)) }},
		{"chmod " + p, func(d world) (string, error) { return only(d.Chmod(p, mode|0o700)) }},
		{"chtimes " + p, func(d world) (string, error) { return only(d.Chtimes(p, size+1)) }},
		{"list " + p, func(d world) (string, error) { return describe(d, p) }},
		{"open " + p, func(d world) (string, error) { return content(d, p) }},
		{"readlink " + p, func(d world) (string, error) { return d.Readlink(p) }},
		{"user write " + p, func(d world) (string, error) { return only(d.user.WriteFile(p, text)) }},
		{"user rename " + p + " " + q, func(d world) (string, error) { return only(d.user.Rename(p, q)) }},
		{"user link " + p + " " + q, func(d world) (string, error) { return only(d.user.Link(p, q)) }},
		{"sync " + p, func(d world) (string, error) { return only(d.SyncDir(p)) }},
		{"lstat " + p, func(d world) (string, error) {
			st, err := d.Lstat(p)
			return st.Kind.String(), err
		}},
	}
	return rapid.SampledFrom(steps).Draw(t, "step")
}

func (s step) String() string { return s.name }

func writeInto(w disk.WFile, text string, off int64) (string, error) {
	n, err := w.WriteAt([]byte(text), off)
	return fmt.Sprint(n), errors.Join(err, w.Close())
}

func content(d disk.FS, p string) (string, error) {
	f, err := d.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

// describe prints what is in a folder, and in the folders in it: all that must be equal on two disks. Times are only told
// apart from those that were set.
func describe(d disk.FS, dir string) (string, error) {
	list, err := d.List(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, st := range list {
		p := string(shoal.Path(dir).Join(st.Name))
		switch st.Kind {
		case shoal.KindFile:
			text, err := content(d, p)
			fmt.Fprintf(&b, "%q %o %d set %v: %q %v\n", p, st.Mode, st.Size, st.MTime < 1e6, text, err)
		case shoal.KindSymlink:
			target, err := d.Readlink(p)
			fmt.Fprintf(&b, "%q → %q %v\n", p, target, err)
		case shoal.KindFolder:
			inner, err := describe(d, p)
			fmt.Fprintf(&b, "%q %o %v\n%s", p, st.Mode, err, inner)
		}
	}
	return b.String(), nil
}

// TestMemoryDoesWhatTheSystemDoes asks both disks for the same random operations.
func TestMemoryDoesWhatTheSystemDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		real, err := disk.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer real.Close()
		inside, err := os.OpenRoot(root)
		if err != nil {
			t.Fatal(err)
		}
		defer inside.Close()
		mem := disktest.New(disktest.Options{})
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			s := drawStep(rt)
			got, gotErr := s.do(world{mem, mem.User()})
			want, wantErr := s.do(world{real, realUser{inside}})
			same := word(gotErr) == word(wantErr) || strings.HasPrefix(s.name, "user ") && (gotErr == nil) == (wantErr == nil)
			if !same || got != want {
				rt.Fatalf("%s: in memory %.200q, %v; really %.200q, %v", s.name, got, gotErr, want, wantErr)
			}
		}
		for _, dir := range []string{"", ".shoal"} {
			got, gotErr := describe(mem, dir)
			want, wantErr := describe(real, dir)
			if got != want || word(gotErr) != word(wantErr) {
				rt.Errorf("in memory (%v):\n%s\nreally (%v):\n%s", gotErr, got, wantErr, want)
			}
		}
		if err := mem.Check(); err != nil {
			rt.Error(err)
		}
	})
}

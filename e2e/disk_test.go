//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// disk is a folder that a test works in as a user would. What goes wrong fails the test.
type disk struct {
	t    *testing.T
	root string
}

// at returns the device's folder, or a folder in it, as a place to work in.
func (d *device) at(t *testing.T, dir ...string) disk {
	return disk{t, filepath.Join(append([]string{d.Dir}, dir...)...)}
}

func (d disk) path(name string) string { return filepath.Join(d.root, name) }

// write makes or overwrites a file in place, with the folders above it, as a shell's > does.
func (d disk) write(name, text string) {
	d.t.Helper()
	check(d.t, os.MkdirAll(filepath.Dir(d.path(name)), 0o755))
	check(d.t, os.WriteFile(d.path(name), []byte(text), 0o644))
}

// replace puts a new file in the place of another as careful programs do: written aside, then renamed.
func (d disk) replace(name, text string) {
	d.t.Helper()
	aside := filepath.Join(filepath.Dir(d.path(name)), ".aside~")
	check(d.t, os.WriteFile(aside, []byte(text), 0o644))
	check(d.t, os.Rename(aside, d.path(name)))
}

func (d disk) add(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_WRONLY, 0)
	check(d.t, err)
	_, err = f.WriteString(text)
	check(d.t, err)
	check(d.t, f.Close())
}

func (d disk) random(name string, size int64, seed uint64) {
	d.t.Helper()
	check(d.t, os.MkdirAll(filepath.Dir(d.path(name)), 0o755))
	check(d.t, lab.RandomFile(d.path(name), size, seed))
}

func (d disk) mkdir(name string) { d.t.Helper(); check(d.t, os.MkdirAll(d.path(name), 0o755)) }

func (d disk) symlink(target, name string) {
	d.t.Helper()
	check(d.t, os.MkdirAll(filepath.Dir(d.path(name)), 0o755))
	check(d.t, os.Symlink(target, d.path(name)))
}

func (d disk) rename(from, to string) {
	d.t.Helper()
	check(d.t, os.MkdirAll(filepath.Dir(d.path(to)), 0o755))
	check(d.t, os.Rename(d.path(from), d.path(to)))
}

func (d disk) remove(name string) { d.t.Helper(); check(d.t, os.Remove(d.path(name))) }

func (d disk) removeAll(name string) { d.t.Helper(); check(d.t, os.RemoveAll(d.path(name))) }

func (d disk) chmod(name string, mode os.FileMode) {
	d.t.Helper()
	check(d.t, os.Chmod(d.path(name), mode))
}

func (d disk) touch(name string, when time.Time) {
	d.t.Helper()
	check(d.t, os.Chtimes(d.path(name), when, when))
}

func (d disk) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(d.path(name))
	check(d.t, err)
	return string(text)
}

// copies returns the names of the conflict copies of a file beside it.
func (d disk) copies(name string) []string {
	d.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(d.path(name)))
	check(d.t, err)
	stem := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	var found []string
	for _, e := range entries {
		if isCopy(e.Name()) && strings.HasPrefix(e.Name(), stem+" (conflict ") {
			found = append(found, filepath.Join(filepath.Dir(name), e.Name()))
		}
	}
	return found
}

// isCopy tells whether a name is that of a conflict copy.
func isCopy(name string) bool { return strings.Contains(name, " (conflict ") }

// diskUse returns the bytes of the disk that a file takes.
func diskUse(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Lstat(name)
	check(t, err)
	const sector = 512 // stat(2), st_blocks
	return info.Sys().(*syscall.Stat_t).Blocks * sector
}

// copy copies a file or a folder with all in it, as cp -r does.
func (d disk) copy(from, to string) {
	d.t.Helper()
	out, err := exec.Command("cp", "-r", d.path(from), d.path(to)).CombinedOutput()
	if err != nil {
		d.t.Fatalf("copy: %v: %s", err, out)
	}
}

// texts returns the contents of all files here, by name.
func (d disk) texts() map[string]string {
	d.t.Helper()
	texts, err := lab.Texts(d.root)
	check(d.t, err)
	return texts
}

//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// backup is a copy of a device's home and of its folder, as an image of its disk would hold them.
type backup struct{ home, dir string }

// takeBackup copies a device that does not run.
func takeBackup(t *testing.T, d *device) backup {
	t.Helper()
	root := tempDir(t)
	b := backup{home: filepath.Join(root, "home"), dir: filepath.Join(root, "folder")}
	check(t, lab.CopyTree(d.Home, b.home))
	check(t, lab.CopyTree(d.Dir, b.dir))
	return b
}

// putBack restores the home, and the folder too if asked, of a device that does not run. The folder stays the same directory, as it does
// when files are restored into it.
func (b backup) putBack(t *testing.T, d *device, folderToo bool) {
	t.Helper()
	check(t, os.RemoveAll(d.Home))
	check(t, lab.CopyTree(b.home, d.Home))
	if !folderToo {
		return
	}
	entries, err := os.ReadDir(d.Dir)
	check(t, err)
	for _, e := range entries {
		if e.Name() != ".shoal" {
			check(t, os.RemoveAll(d.path(e.Name())))
		}
	}
	entries, err = os.ReadDir(b.dir)
	check(t, err)
	for _, e := range entries {
		if e.Name() != ".shoal" {
			check(t, os.Rename(filepath.Join(b.dir, e.Name()), d.path(e.Name())))
		}
	}
}

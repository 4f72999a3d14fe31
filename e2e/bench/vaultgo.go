//go:build linux

package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// vaultGo gives a real tree of small texts to a store: the Go source tree, as many files of it as -files says.
var vaultGo = keeping("vaultgo", "a store of the Go source tree", true, func(ctx context.Context, s *session, dir string) error {
	root, err := firstLine(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	if err := lab.CopyTree(filepath.Join(root, "src"), dir); err != nil {
		return err
	}
	return leaveFirst(dir, s.files)
})

// leaveFirst removes all files but the first n.
func leaveFirst(dir string, n int) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if n--; n >= 0 {
			return nil
		}
		return os.Remove(path)
	})
}

//go:build linux

package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is what stands in a folder: a row for each name, with slashes, relative to the root. `.shoal` at the root is left out.
type Tree map[string]Row

// Row is one name of a tree. It compares with ==. Folders have no time and no size, and symlinks no mode: neither is synced.
type Row struct {
	Kind   string // file, folder, symlink or other
	Mode   fs.FileMode
	MTime  int64 // ns
	Size   int64
	Sum    [sha256.Size]byte
	Target string
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Snapshot reads a whole folder, contents included. An error that wraps fs.ErrNotExist means that it changed meanwhile.
func Snapshot(root string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == "." {
			return err
		}
		if rel == ".shoal" {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		tree[rel], err = readRow(name, info)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree: %w", err)
	}
	return tree, nil
}

func readRow(name string, info fs.FileInfo) (Row, error) {
	row := Row{Kind: "other", Mode: info.Mode() & modeBits}
	switch {
	case info.IsDir():
		row.Kind = "folder"
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		return Row{Kind: "symlink", MTime: info.ModTime().UnixNano(), Target: target}, err
	case info.Mode().IsRegular():
		row.Kind, row.MTime, row.Size = "file", info.ModTime().UnixNano(), info.Size()
		var err error
		row.Sum, err = contentSum(name)
		return row, err
	}
	return row, nil
}

func contentSum(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// Diff tells how other differs from t, by name: a line each, none when they are equal.
func (t Tree) Diff(other Tree) []string {
	all := maps.Clone(t)
	maps.Copy(all, other)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		here, there := t[name], other[name]
		if here != there {
			lines = append(lines, fmt.Sprintf("%q: %s | %s", name, here, there))
		}
	}
	return lines
}

// String shows a row in a few words.
func (r Row) String() string {
	switch r.Kind {
	case "":
		return "absent"
	case "symlink":
		return fmt.Sprintf("symlink to %q mtime %d", r.Target, r.MTime)
	case "file":
		return fmt.Sprintf("file %v size %d mtime %d sum %x", r.Mode, r.Size, r.MTime, r.Sum[:4])
	}
	return fmt.Sprintf("%s %v", r.Kind, r.Mode)
}

// Under returns the part of the tree inside a folder, with names relative to it.
func (t Tree) Under(dir string) Tree {
	part := Tree{}
	for name, row := range t {
		if rel, ok := strings.CutPrefix(name, dir+"/"); ok {
			part[rel] = row
		}
	}
	return part
}

// List shows a tree, a line for each name.
func (t Tree) List() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&out, "  %q %s\n", name, t[name])
	}
	return out.String()
}

// maxText bounds what Texts reads of a file, in bytes.
const maxText = 4 << 10

// Texts returns the beginnings of all regular files in a folder, by name, without those that Shoal keeps in it for itself. A folder that does not
// exist holds none. An error that wraps fs.ErrNotExist means that it changed meanwhile.
func Texts(root string) (map[string]string, error) {
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == root {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if rel == ".shoal" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			texts[rel], err = beginning(name)
		}
		return err
	})
	return texts, err
}

func beginning(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	return string(text), err
}

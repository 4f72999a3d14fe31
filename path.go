package shoal

import (
	"fmt"
	"strings"
)

// Limits of a Path, from Linux: NAME_MAX and PATH_MAX (limits.h). Paths are bytes, not necessarily UTF-8.
const (
	MaxNameBytes = 255
	MaxPathBytes = 4096
)

// ReservedName is the folder at the root of every synced folder that belongs to Shoal and is never synced.
const ReservedName = ".shoal"

// Path names an entry inside a folder: names joined by '/', relative, without a leading or trailing slash. It holds bytes, so
// NFC and NFD twins are two paths. The empty Path is the folder's root and never the path of an entry.
type Path string

// Validate tells whether p may be the path of an entry: no empty, "." or ".." name, no NUL, within the limits, and not in
// the reserved folder. Everything received from outside passes through here before it is used.
func (p Path) Validate() error {
	if p == "" || len(p) > MaxPathBytes {
		return fmt.Errorf("path of %d bytes: %w", len(p), ErrInvalid)
	}
	rest := string(p)
	for first := true; ; first = false {
		name, tail, more := strings.Cut(rest, "/")
		if err := validateName(name); err != nil {
			return fmt.Errorf("path %q: %w", string(p), err)
		}
		if first && name == ReservedName {
			return fmt.Errorf("path %q: %q is reserved: %w", string(p), ReservedName, ErrInvalid)
		}
		if !more {
			return nil
		}
		rest = tail
	}
}

func validateName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("name %q: %w", name, ErrInvalid)
	case len(name) > MaxNameBytes:
		return fmt.Errorf("name of %d bytes: %w", len(name), ErrInvalid)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name with a NUL byte: %w", ErrInvalid)
	}
	return nil
}

// Name returns the last name of p.
func (p Path) Name() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Parent returns the path of the folder that p is in; "" is the root.
func (p Path) Parent() Path {
	i := strings.LastIndexByte(string(p), '/')
	if i < 0 {
		return ""
	}
	return p[:i]
}

// Join returns the path of name inside p.
func (p Path) Join(name string) Path {
	if p == "" {
		return Path(name)
	}
	return p + "/" + Path(name)
}

// Under tells whether p lies inside the folder dir, at any depth. Everything but the root lies under the root; no path lies under itself.
func (p Path) Under(dir Path) bool {
	if dir == "" {
		return p != ""
	}
	return len(p) > len(dir) && p[len(dir)] == '/' && p[:len(dir)] == dir
}

// Rebase returns p with its leading folder from replaced by to. p must be from or lie under it.
func (p Path) Rebase(from, to Path) Path {
	if p == from {
		return to
	}
	rel := p
	if from != "" {
		rel = p[len(from)+1:]
	}
	if to == "" {
		return rel
	}
	return to + "/" + rel
}

// ComparePaths orders paths as a walk of the tree meets them: a folder right before everything in it. That is the order of
// the bytes with '/' before every other byte.
func ComparePaths(a, b Path) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x == '/' {
			return -1
		}
		if y == '/' || x > y {
			return 1
		}
		return -1
	}
	return len(a) - len(b)
}

// Kind says what an entry is.
type Kind uint8

// The kinds of entries. Numbers are part of the record format and never reused. The zero value is invalid.
const (
	KindTombstone Kind = 1 // nothing here
	KindFile      Kind = 2 // a regular file
	KindFolder    Kind = 3
	KindSymlink   Kind = 4
)

// String returns the lower-case name of the kind.
func (k Kind) String() string {
	switch k {
	case KindTombstone:
		return "tombstone"
	case KindFile:
		return "file"
	case KindFolder:
		return "folder"
	case KindSymlink:
		return "symlink"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Validate refuses numbers that are no kind.
func (k Kind) Validate() error {
	if k < KindTombstone || k > KindSymlink {
		return fmt.Errorf("kind %d: %w", uint8(k), ErrInvalid)
	}
	return nil
}

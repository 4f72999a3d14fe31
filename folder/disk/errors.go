package disk

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/shoalmesh/shoal"
)

// Where the path leads.
var (
	// ErrNotFolder: a folder was wanted, or was to be walked through, and something else is there, a symlink for example.
	ErrNotFolder = errors.New("not a folder")
	// ErrNotFile: a regular file was wanted and something else is there.
	ErrNotFile = errors.New("not a regular file")
	// ErrNotEmpty: a folder was to be removed and holds something. It does not match fs.ErrExist.
	ErrNotEmpty = errors.New("folder is not empty")
	// ErrCrossDevice: a rename would lead to another file system.
	ErrCrossDevice = errors.New("on another file system")
	// ErrInUse: somebody holds it: a mount point, a program that runs, a file that Windows keeps locked. Later it may work.
	ErrInUse = errors.New("in use")
	// ErrChanged: it is not what the caller saw there before.
	ErrChanged = errors.New("changed meanwhile")
)

// What the disk cannot hold.
var (
	// ErrName: this file system cannot hold such a name, or a path so long.
	ErrName = errors.New("name not possible on this disk")
	// ErrNoSpace: the disk, or the user's quota, is full.
	ErrNoSpace = errors.New("no space left on disk")
	// ErrTooBig: this file system cannot hold so big a file.
	ErrTooBig = errors.New("file too big for this disk")
	// ErrReadOnly: the file system is mounted read-only.
	ErrReadOnly = errors.New("disk is read-only")
)

// What is wrong with the disk.
var (
	// ErrIO: the device failed to read or write.
	ErrIO = errors.New("disk read or write error")
	// ErrRootGone: the path of the root names nothing, or another folder than the one that was opened.
	ErrRootGone = errors.New("root is missing or was replaced")
)

// kindError is an error of the system that is told by one of our words: errors.Is finds that word and nothing else, the
// text keeps the system's own.
type kindError struct {
	kind  error
	cause error
}

func (e *kindError) Error() string { return e.kind.Error() + " (" + e.cause.Error() + ")" }
func (e *kindError) Unwrap() error { return e.kind }

// pathError wraps what the system answered to op on p. A nil err stays nil.
func pathError(op, p string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: p, Err: classify(err)}
}

// check refuses what can be no path inside the tree. The root is refused unless root is allowed.
func check(op, p string, root rootUse) error {
	if p == "" {
		if root == rootAllowed {
			return nil
		}
		return &fs.PathError{Op: op, Path: p, Err: fs.ErrInvalid}
	}
	if len(p) > shoal.MaxPathBytes {
		return &fs.PathError{Op: op, Path: p[:64] + "…", Err: ErrName}
	}
	for rest, more := p, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return &fs.PathError{Op: op, Path: p, Err: fs.ErrInvalid}
		}
		if len(name) > shoal.MaxNameBytes {
			return &fs.PathError{Op: op, Path: p, Err: ErrName}
		}
	}
	return nil
}

// rootUse says whether an operation may be asked of the root itself.
type rootUse int

const (
	rootRefused rootUse = iota
	rootAllowed
)

// checkTwo is check for operations on two names of which neither may lie in the other.
func checkTwo(op, a, b string) error {
	if err := check(op, a, rootRefused); err != nil {
		return err
	}
	if err := check(op, b, rootRefused); err != nil {
		return err
	}
	if inside(a, b) || inside(b, a) {
		return &fs.PathError{Op: op, Path: b, Err: fs.ErrInvalid}
	}
	return nil
}

// inside tells whether p lies in the folder dir.
func inside(p, dir string) bool { return shoal.Path(p).Under(shoal.Path(dir)) }

// splitPath cuts p into the folder and the name in it.
func splitPath(p string) (dir, name string) {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)], p[i+1:]
}

//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal"
)

// OS is a tree on the disks of this machine. It holds its root open until Close.
type OS struct {
	// set once
	path    string   // as given to Open, absolute
	root    *os.File // keeps the descriptor; used through rootFD
	rootFD  int
	openat  opener
	changed *changes // what SyncAll has to sync, where there is no syncfs
}

var _ FS = (*OS)(nil)

// opener opens a path of one or more names below the folder dir without walking through a symlink. It may be asked for
// at most step bytes at a time; step 0 means one name.
type opener struct {
	open func(dir int, path string, flags int, mode uint32) (int, error)
	step int
}

// Open holds the folder root open as the root of a tree. Symlinks on the way to the root are followed, once.
func Open(root string) (*OS, error) {
	path, err := absolute(root)
	if err != nil {
		return nil, err
	}
	var fd int
	err = retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, pathError("open root", path, err)
	}
	return &OS{path: path, root: os.NewFile(uintptr(fd), path), rootFD: fd, openat: chooseOpener(fd), changed: newChanges()}, nil
}

// Close lets go of the root. No other method may run or be called any more; a second Close does nothing.
func (o *OS) Close() error {
	o.changed.drop()
	if err := o.root.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return pathError("close root", o.path, err)
	}
	return nil
}

// CheckRoot implements FS.
func (o *OS) CheckRoot() error {
	var held, named unix.Stat_t
	if err := retry(func() error { return unix.Fstat(o.rootFD, &held) }); err != nil {
		return pathError("check root", o.path, err)
	}
	err := retry(func() error { return unix.Stat(o.path, &named) })
	if err == nil && held.Ino == named.Ino && held.Dev == named.Dev {
		return nil
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return &fs.PathError{Op: "check root", Path: o.path, Err: &kindError{ErrRootGone, err}}
}

// open opens p itself; the root for "".
func (o *OS) open(p string, flags int, mode uint32) (int, error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	if p == "" {
		p = "."
	}
	dir := o.rootFD
	for {
		head, tail := cutPath(p, o.openat.step)
		if tail == "" {
			fd, err := o.openat.open(dir, head, flags, mode)
			o.release(dir)
			return fd, err
		}
		next, err := o.openat.open(dir, head, walkFlags, 0)
		o.release(dir)
		if err != nil {
			return -1, err
		}
		dir, p = next, tail
	}
}

// release closes a descriptor of a folder that open or folder returned.
func (o *OS) release(dir int) {
	if dir != o.rootFD {
		_ = unix.Close(dir) // nothing was written through it
	}
}

// cutPath cuts p into what one call may take, and the rest. With step 0 that is one name.
func cutPath(p string, step int) (head, tail string) {
	if step == 0 {
		head, tail, _ = strings.Cut(p, "/")
		return head, tail
	}
	if len(p) <= step {
		return p, ""
	}
	i := strings.LastIndexByte(p[:step], '/')
	return p[:i], p[i+1:]
}

// at calls fn with an open folder and the name in it that p names. The folder cannot be read through the descriptor.
func (o *OS) at(op, p string, fn func(dir int, name string) error) error {
	if err := check(op, p, rootRefused); err != nil {
		return err
	}
	parent, name := splitPath(p)
	dir, err := o.folder(parent)
	if err != nil {
		return pathError(op, p, err)
	}
	err = retry(func() error { return fn(dir, name) })
	o.release(dir)
	return pathError(op, p, err)
}

// at2 is at for operations on two names.
func (o *OS) at2(op, a, b string, fn func(dirA int, nameA string, dirB int, nameB string) error) error {
	if err := checkTwo(op, a, b); err != nil {
		return err
	}
	parentA, nameA := splitPath(a)
	dirA, err := o.folder(parentA)
	if err != nil {
		return pathError(op, a, err)
	}
	defer o.release(dirA)
	parentB, nameB := splitPath(b)
	dirB, err := o.folder(parentB)
	if err != nil {
		return pathError(op, b, err)
	}
	defer o.release(dirB)
	return pathError(op, a, retry(func() error { return fn(dirA, nameA, dirB, nameB) }))
}

// folder opens the folder p to work in, by release to be closed.
func (o *OS) folder(p string) (int, error) {
	if p == "" {
		return o.rootFD, nil
	}
	return o.open(p, walkFlags, 0)
}

// Lstat implements FS.
func (o *OS) Lstat(p string) (Stat, error) {
	var st unix.Stat_t
	if p == "" {
		err := retry(func() error { return unix.Fstat(o.rootFD, &st) })
		return statOf("", &st), pathError("stat", p, err)
	}
	err := o.at("stat", p, func(dir int, name string) error {
		return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return Stat{}, err
	}
	_, name := splitPath(p)
	return statOf(name, &st), nil
}

// Readlink implements FS.
func (o *OS) Readlink(p string) (target string, err error) {
	err = o.at("readlink", p, func(dir int, name string) error {
		for size := 256; ; size *= 2 {
			buf := make([]byte, size)
			n, err := unix.Readlinkat(dir, name, buf)
			if err != nil {
				return err
			}
			if n < size {
				target = string(buf[:n])
				return nil
			}
		}
	})
	return target, err
}

// List implements FS.
func (o *OS) List(dir string) ([]Stat, error) {
	if err := check("list", dir, rootAllowed); err != nil {
		return nil, err
	}
	fd, err := o.open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return nil, pathError("list", dir, err)
	}
	slices.Sort(names)
	list := make([]Stat, 0, len(names))
	for _, name := range names {
		if dir == "" && name == shoal.ReservedName {
			continue
		}
		var st unix.Stat_t
		err := retry(func() error { return unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
		if err == unix.ENOENT {
			continue // removed since its name was read: it is not there
		}
		if err != nil {
			return nil, pathError("list", string(shoal.Path(dir).Join(name)), err)
		}
		list = append(list, statOf(name, &st))
	}
	return list, nil
}

// readNames reads all names in the open folder fd but "." and "..".
func readNames(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n := 0
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(fd, buf)
			return err
		})
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// statOf translates what the system says of name.
func statOf(name string, st *unix.Stat_t) Stat {
	mtime, ctime := changeTimes(st)
	return Stat{
		Name:  name,
		Kind:  kindOf(uint32(st.Mode)),
		Mode:  uint32(st.Mode) & 0o7777,
		Size:  st.Size,
		MTime: nanoseconds(mtime),
		CTime: nanoseconds(ctime),
		Inode: st.Ino,
		//nolint:unconvert // the widths differ between systems
		Device: uint64(st.Dev),
		//nolint:unconvert // the widths differ between systems
		Links: max(uint64(st.Nlink), 1),
	}
}

func kindOf(mode uint32) shoal.Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return shoal.KindFile
	case unix.S_IFDIR:
		return shoal.KindFolder
	case unix.S_IFLNK:
		return shoal.KindSymlink
	}
	return 0
}

// retry calls fn again for as long as a signal interrupts it: Go asks the kernel to restart calls, but network and FUSE
// file systems answer EINTR all the same.
func retry(fn func() error) error {
	for {
		err := fn()
		if err != unix.EINTR {
			return err
		}
	}
}

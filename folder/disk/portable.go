package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// Portable is a tree through os.Root and nothing else: what Open returns on systems other than Linux and macOS. It is here
// on every system so that it can be tried on every system. Compared with what FS promises:
//
//   - Each name on the way is looked at and then os.Root is asked, which never leaves the root: a process that puts a
//     symlink there at that very moment may lead an operation elsewhere inside the root.
//   - There is no Exchange, and a folder is renamed after a look, not atomically.
//   - On Windows there are no inodes and no CTime, folders are not synced (NTFS journals names by itself), and names that
//     Windows would read as something else are refused (ErrName).
type Portable struct {
	path string
	root *os.Root
}

var _ FS = (*Portable)(nil)

// OpenPortable holds the folder root open as the root of a tree.
func OpenPortable(root string) (*Portable, error) {
	path, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, wrapped("open root", path, err)
	}
	return &Portable{path: path, root: r}, nil
}

// Close lets go of the root. A second Close does nothing.
func (o *Portable) Close() error { return wrapped("close root", o.path, o.root.Close()) }

// wrapped puts an error of package os into our words.
func wrapped(op, p string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		err = le.Err
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Op == op {
		return err
	}
	return pathError(op, p, err)
}

// way checks p and that everything on the way to it is a folder.
func (o *Portable) way(op, p string, root rootUse) error {
	if err := check(op, p, root); err != nil {
		return err
	}
	if !nameFits(p) {
		return &fs.PathError{Op: op, Path: p, Err: ErrName}
	}
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		fi, err := o.root.Lstat(p[:i])
		if err != nil {
			return wrapped(op, p, err)
		}
		if !fi.IsDir() {
			return &fs.PathError{Op: op, Path: p, Err: ErrNotFolder}
		}
	}
	return nil
}

// slot is way for a name that must be free.
func (o *Portable) slot(op, p string) error {
	if err := o.way(op, p, rootRefused); err != nil {
		return err
	}
	_, err := o.root.Lstat(p)
	switch {
	case err == nil:
		return &fs.PathError{Op: op, Path: p, Err: fs.ErrExist}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return wrapped(op, p, err)
}

// Lstat implements FS.
func (o *Portable) Lstat(p string) (Stat, error) {
	if err := o.way("stat", p, rootAllowed); err != nil {
		return Stat{}, err
	}
	at := p
	if p == "" {
		at = "."
	}
	fi, err := o.root.Lstat(at)
	if err != nil {
		return Stat{}, wrapped("stat", p, err)
	}
	_, name := splitPath(p)
	return statOfInfo(name, fi), nil
}

// statOfInfo translates what package os says of name.
func statOfInfo(name string, fi fs.FileInfo) Stat {
	st := Stat{Name: name, Mode: uint32(fi.Mode().Perm()), Size: fi.Size(), MTime: fi.ModTime().UnixNano(), Links: 1}
	switch mode := fi.Mode(); {
	case mode.IsRegular():
		st.Kind = shoal.KindFile
	case mode.IsDir():
		st.Kind = shoal.KindFolder
	case mode&fs.ModeSymlink != 0:
		st.Kind = shoal.KindSymlink
	}
	for bit, sys := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if fi.Mode()&bit != 0 {
			st.Mode |= sys
		}
	}
	addSystemStat(&st, fi)
	return st
}

// fileMode is the inverse of what statOfInfo does to modes.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, sys := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&sys != 0 {
			m |= bit
		}
	}
	return m
}

// List implements FS.
func (o *Portable) List(dir string) ([]Stat, error) {
	f, err := o.openFolder("list", dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, wrapped("list", dir, err)
	}
	slices.Sort(names)
	list := make([]Stat, 0, len(names))
	for _, name := range names {
		if dir == "" && name == shoal.ReservedName {
			continue
		}
		p := string(shoal.Path(dir).Join(name))
		fi, err := o.root.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since its name was read
		}
		if err != nil {
			return nil, wrapped("list", p, err)
		}
		list = append(list, statOfInfo(name, fi))
	}
	return list, nil
}

func (o *Portable) openFolder(op, dir string) (*os.File, error) {
	st, err := o.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if st.Kind != shoal.KindFolder {
		return nil, &fs.PathError{Op: op, Path: dir, Err: ErrNotFolder}
	}
	if dir == "" {
		dir = "."
	}
	f, err := o.root.Open(dir)
	return f, wrapped(op, dir, err)
}

// Readlink implements FS.
func (o *Portable) Readlink(p string) (string, error) {
	if err := o.way("readlink", p, rootRefused); err != nil {
		return "", err
	}
	target, err := o.root.Readlink(p)
	return target, wrapped("readlink", p, err)
}

// Mkdir implements FS.
func (o *Portable) Mkdir(p string, mode uint32) error {
	if err := o.way("mkdir", p, rootRefused); err != nil {
		return err
	}
	if err := o.root.Mkdir(p, fileMode(mode&0o777)); err != nil {
		return wrapped("mkdir", p, err)
	}
	return wrapped("mkdir", p, o.root.Chmod(p, fileMode(mode)))
}

// Symlink implements FS.
func (o *Portable) Symlink(target, p string) error {
	if err := o.way("symlink", p, rootRefused); err != nil {
		return err
	}
	if target == "" {
		return &fs.PathError{Op: "symlink", Path: p, Err: fs.ErrInvalid}
	}
	return wrapped("symlink", p, o.root.Symlink(target, p))
}

// Rename implements FS.
func (o *Portable) Rename(from, to string) error {
	if err := checkTwo("rename", from, to); err != nil {
		return err
	}
	st, err := o.Lstat(from)
	if err != nil {
		return err
	}
	if err := o.slot("rename", to); err != nil {
		if from != to && errors.Is(err, fs.ErrExist) && o.sameName(from, to) {
			return wrapped("rename", from, o.root.Rename(from, to))
		}
		return err
	}
	if st.Kind == shoal.KindFile {
		// A hard link never replaces.
		err := o.root.Link(from, to)
		if err == nil {
			return wrapped("rename", from, o.root.Remove(from))
		}
		if errors.Is(err, fs.ErrExist) {
			return wrapped("rename", to, err)
		}
	}
	return wrapped("rename", from, o.root.Rename(from, to))
}

// sameName tells whether two names are one to this disk: they lead to one thing, and List knows only one of them.
func (o *Portable) sameName(a, b string) bool {
	x, errX := o.root.Lstat(a)
	y, errY := o.root.Lstat(b)
	if errX != nil || errY != nil || !os.SameFile(x, y) {
		return false
	}
	parent, name := splitPath(b)
	list, err := o.List(parent)
	return err == nil && !slices.ContainsFunc(list, func(st Stat) bool { return st.Name == name })
}

// Exchange implements FS: there is none.
func (o *Portable) Exchange(a, b string) error {
	if err := checkTwo("exchange", a, b); err != nil {
		return err
	}
	return &fs.PathError{Op: "exchange", Path: a, Err: errors.ErrUnsupported}
}

// Remove implements FS.
func (o *Portable) Remove(p string) error {
	if err := o.way("remove", p, rootRefused); err != nil {
		return err
	}
	return wrapped("remove", p, o.root.Remove(p))
}

// Rmdir implements FS. os.Root has no rmdir(2): what takes the folder's place between the look and the removal is removed.
func (o *Portable) Rmdir(p string) error {
	if err := o.way("rmdir", p, rootRefused); err != nil {
		return err
	}
	info, err := o.root.Lstat(p)
	if err == nil && !info.IsDir() {
		return &fs.PathError{Op: "rmdir", Path: p, Err: ErrNotFolder}
	}
	if err == nil {
		err = o.root.Remove(p)
	}
	return wrapped("rmdir", p, err)
}

// Chmod implements FS.
func (o *Portable) Chmod(p string, mode uint32) error {
	if err := o.notSymlink("chmod", p); err != nil {
		return err
	}
	return wrapped("chmod", p, o.root.Chmod(p, fileMode(mode)))
}

// Chtimes implements FS. A symlink's own time cannot be set here.
func (o *Portable) Chtimes(p string, mtime int64) error {
	if err := o.notSymlink("chtimes", p); err != nil {
		return err
	}
	return wrapped("chtimes", p, o.root.Chtimes(p, time.Time{}, time.Unix(0, mtime)))
}

func (o *Portable) notSymlink(op, p string) error {
	if err := check(op, p, rootRefused); err != nil {
		return err
	}
	st, err := o.Lstat(p)
	if err == nil && st.Kind == shoal.KindSymlink {
		err = &fs.PathError{Op: op, Path: p, Err: errors.ErrUnsupported}
	}
	return err
}

// SyncDir implements FS.
func (o *Portable) SyncDir(dir string) error {
	f, err := o.openFolder("sync folder", dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return wrapped("sync folder", dir, syncFolder(f))
}

// SyncAll implements FS. Files were synced when they were closed; which folders changed is not known, so all are synced.
func (o *Portable) SyncAll() error {
	return fs.WalkDir(o.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // what cannot be opened was not changed by us
		}
		f, err := o.root.Open(p)
		if err != nil {
			return nil
		}
		defer f.Close()
		return wrapped("sync folder", p, syncFolder(f))
	})
}

// Space implements FS.
func (o *Portable) Space() (free, total int64, err error) {
	free, total, err = diskSpace(o.path)
	return free, total, wrapped("ask for free space", "", err)
}

// Busy implements FS: nothing is told.
func (o *Portable) Busy(p string) (bool, error) {
	f, err := o.openFile("ask for writers", p, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	return false, f.Close()
}

// Dress implements FS: this system does not tell of writers.
func (o *Portable) Dress(p string, was Stat, mode uint32, mtime int64) (now Stat, sure bool, err error) {
	return dressByName(o, p, was, mode, mtime)
}

// CheckRoot implements FS.
func (o *Portable) CheckRoot() error {
	held, err := o.root.Lstat(".")
	if err != nil {
		return wrapped("check root", o.path, err)
	}
	named, err := os.Stat(o.path)
	if err == nil && os.SameFile(held, named) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("another folder: %w", fs.ErrNotExist)
	}
	return &fs.PathError{Op: "check root", Path: o.path, Err: &kindError{ErrRootGone, err}}
}

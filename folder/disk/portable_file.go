package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
)

// Open implements FS.
func (o *Portable) Open(p string) (File, error) {
	f, err := o.openFile("open", p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Reopen implements FS.
func (o *Portable) Reopen(p string) (WFile, error) {
	f, err := o.openFile("open", p, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openFile opens p if it is a regular file before and after.
func (o *Portable) openFile(op, p string, flags int) (*portableFile, error) {
	if err := o.way(op, p, rootRefused); err != nil {
		return nil, err
	}
	before, err := o.root.Lstat(p)
	if err != nil {
		return nil, wrapped(op, p, err)
	}
	if !before.Mode().IsRegular() {
		return nil, &fs.PathError{Op: op, Path: p, Err: ErrNotFile}
	}
	f, err := o.root.OpenFile(p, flags, 0)
	if err != nil {
		return nil, wrapped(op, p, err)
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = ErrInUse // replaced in this moment, perhaps by a symlink
	}
	if err != nil {
		return nil, errors.Join(wrapped(op, p, err), f.Close())
	}
	return newPortableFile(f, p), nil
}

// Create implements FS.
func (o *Portable) Create(p string, size int64, mode uint32) (WFile, error) {
	if err := o.way("create", p, rootRefused); err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, &fs.PathError{Op: "create", Path: p, Err: fmt.Errorf("size %d: %w", size, fs.ErrInvalid)}
	}
	f, err := o.root.OpenFile(p, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode(mode&0o700|0o600))
	if err != nil {
		return nil, wrapped("create", p, err)
	}
	if size > 0 {
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Chmod(fileMode(mode))
	}
	if err != nil {
		return nil, errors.Join(wrapped("create", p, err), f.Close())
	}
	pf := newPortableFile(f, p)
	pf.unsynced.Store(true)
	return pf, nil
}

// portableFile is a File and a WFile.
type portableFile struct {
	f          *os.File
	path, name string
	unsynced   atomic.Bool // written since the last Sync
}

var (
	_ File  = (*portableFile)(nil)
	_ WFile = (*portableFile)(nil)
)

func newPortableFile(f *os.File, p string) *portableFile {
	_, name := splitPath(p)
	return &portableFile{f: f, path: p, name: name}
}

func (f *portableFile) Read(b []byte) (int, error) {
	n, err := f.f.Read(b)
	return n, wrapped("read", f.path, err)
}

func (f *portableFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(b, off)
	return n, wrapped("read", f.path, err)
}

func (f *portableFile) WriteAt(b []byte, off int64) (int, error) {
	f.unsynced.Store(true)
	n, err := f.f.WriteAt(b, off)
	return n, wrapped("write", f.path, err)
}

func (f *portableFile) Truncate(size int64) error {
	f.unsynced.Store(true)
	return wrapped("truncate", f.path, f.f.Truncate(size))
}

func (f *portableFile) SetMeta(uint32, int64) error {
	return wrapped("set mode and time", f.path, errors.ErrUnsupported)
}

func (f *portableFile) Sync() error {
	f.unsynced.Store(false)
	if err := f.f.Sync(); err != nil {
		f.unsynced.Store(true)
		return wrapped("sync", f.path, err)
	}
	return nil
}

func (f *portableFile) Close() error {
	if f.unsynced.Load() {
		if err := f.Sync(); err != nil {
			return errors.Join(err, wrapped("close", f.path, f.f.Close()))
		}
	}
	return wrapped("close", f.path, f.f.Close())
}

func (f *portableFile) Stat() (Stat, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return Stat{}, wrapped("stat", f.path, err)
	}
	return statOfInfo(f.name, fi), nil
}

func (f *portableFile) NextData(off int64) (start, end int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if off < 0 || off >= st.Size {
		return 0, 0, io.EOF
	}
	return off, st.Size, nil
}

//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal"
)

// Open implements FS.
func (o *OS) Open(p string) (File, error) {
	f, err := o.openFile("open", p, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Reopen implements FS.
func (o *OS) Reopen(p string) (WFile, error) {
	f, err := o.openFile("open", p, unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openFile opens the regular file p. O_NONBLOCK keeps a pipe or a leased file from holding the caller up.
func (o *OS) openFile(op, p string, flags int) (*file, error) {
	if err := check(op, p, rootRefused); err != nil {
		return nil, err
	}
	fd, err := o.open(p, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, o.whyNotFile(op, p, err)
	}
	_, name := splitPath(p)
	f := &file{f: os.NewFile(uintptr(fd), p), path: p, name: name}
	st, err := f.Stat()
	if err == nil && st.Kind != shoal.KindFile {
		err = &fs.PathError{Op: op, Path: p, Err: ErrNotFile}
	}
	if err != nil {
		return nil, errors.Join(err, f.f.Close())
	}
	return f, nil
}

// whyNotFile tells ErrNotFile from ErrNotFolder: the system's answer to a symlink, socket or folder at p does not.
func (o *OS) whyNotFile(op, p string, err error) error {
	switch err {
	case unix.ELOOP, unix.EMLINK, unix.ENXIO, unix.EISDIR, unix.EOPNOTSUPP, unix.ENODEV:
		st, lerr := o.Lstat(p)
		if lerr != nil {
			return lerr
		}
		if st.Kind != shoal.KindFile {
			return &fs.PathError{Op: op, Path: p, Err: &kindError{ErrNotFile, err}}
		}
	case unix.EAGAIN:
		return &fs.PathError{Op: op, Path: p, Err: &kindError{ErrInUse, err}} // a lease is being taken back
	}
	return pathError(op, p, err)
}

// Create implements FS.
func (o *OS) Create(p string, size int64, mode uint32) (WFile, error) {
	if err := check("create", p, rootRefused); err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, &fs.PathError{Op: "create", Path: p, Err: fmt.Errorf("size %d: %w", size, fs.ErrInvalid)}
	}
	parent, name := splitPath(p)
	dir, err := o.folder(parent)
	if err != nil {
		return nil, pathError("create", p, err)
	}
	defer o.release(dir)
	fd, err := o.openat.open(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode&0o700)
	if err != nil {
		return nil, pathError("create", p, nameError(err))
	}
	o.changed.note(dir)
	f := &file{f: os.NewFile(uintptr(fd), p), path: p, name: name}
	if size > 0 {
		err = retry(func() error { return unix.Ftruncate(fd, size) })
	}
	if err == nil { // last: a change of size takes the setuid bit away
		err = retry(func() error { return unix.Fchmod(fd, mode&0o7777) })
		if err == unix.EPERM {
			err = nil // it is ours: this file system has no such mode
		}
	}
	if err != nil {
		return nil, errors.Join(pathError("create", p, err), f.f.Close())
	}
	f.unsynced.Store(true)
	return f, nil
}

// file is a File and a WFile.
type file struct {
	f          *os.File
	path, name string
	unsynced   atomic.Bool // written since the last Sync
}

var (
	_ File  = (*file)(nil)
	_ WFile = (*file)(nil)
)

func (f *file) Read(b []byte) (int, error) {
	n, err := f.f.Read(b)
	return n, f.fault("read", err)
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(b, off)
	return n, f.fault("read", err)
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	f.unsynced.Store(true)
	n, err := f.f.WriteAt(b, off)
	return n, f.fault("write", err)
}

func (f *file) Truncate(size int64) error {
	f.unsynced.Store(true)
	return f.fault("truncate", f.f.Truncate(size))
}

func (f *file) SetMeta(mode uint32, mtime int64) error {
	f.unsynced.Store(true)
	fd := int(f.f.Fd())
	err := retry(func() error { return unix.Fchmod(fd, mode&0o7777) })
	if err == nil {
		err = retry(func() error { return setMTimeOf(fd, mtime) })
	}
	return f.fault("set mode and time", err)
}

func (f *file) Sync() error {
	f.unsynced.Store(false)
	if err := syncFile(f.f); err != nil {
		f.unsynced.Store(true)
		return f.fault("sync", err)
	}
	return nil
}

func (f *file) Close() error {
	if syncOnClose && f.unsynced.Load() {
		if err := f.Sync(); err != nil {
			return errors.Join(err, f.fault("close", f.f.Close()))
		}
	}
	return f.fault("close", f.f.Close())
}

func (f *file) Stat() (Stat, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(int(f.f.Fd()), &st) })
	if err != nil {
		return Stat{}, f.fault("stat", err)
	}
	return statOf(f.name, &st), nil
}

func (f *file) NextData(off int64) (start, end int64, err error) {
	size, err := f.f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, f.fault("seek", err)
	}
	if off < 0 || off >= size {
		return 0, 0, io.EOF
	}
	start, err = f.f.Seek(off, seekData)
	switch {
	case errors.Is(err, unix.ENXIO):
		return 0, 0, io.EOF // only a hole from here to the end
	case errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported):
		return off, size, nil
	case err != nil:
		return 0, 0, f.fault("seek", err)
	}
	end, err = f.f.Seek(start, seekHole)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, io.EOF // cut short meanwhile
	}
	return start, end, f.fault("seek", err)
}

// fault puts what os.File answered into our words. io.EOF and nil stay as they are.
func (f *file) fault(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return pathError(op, f.path, err)
}

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// walkFlags open a folder to work in: no permission to read it is needed.
const walkFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

const (
	seekData = unix.SEEK_DATA
	seekHole = unix.SEEK_HOLE
	// syncOnClose: syncfs finds what was written, Close need not.
	syncOnClose = false
)

// oneCall is how long a path one openat2 may be asked for: PATH_MAX (limits.h) counts the NUL.
const oneCall = 4095

func absolute(p string) (string, error) { return filepath.Abs(p) }

// walkOpener opens one name at a time; O_NOFOLLOW with O_PATH opens a symlink itself, which O_DIRECTORY then refuses.
var walkOpener = opener{open: func(dir int, path string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(dir, path, flags, mode)
		return err
	})
	return fd, err
}}

func changeTimes(st *unix.Stat_t) (mtime, ctime unix.Timespec) { return st.Mtim, st.Ctim }

func setMTime(dir int, name string, mtime int64) error {
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}, unix.AT_SYMLINK_NOFOLLOW)
}

// setMTimeOf sets the time of an open file. Kernels before 5.8 know no way to name it by its descriptor alone.
func setMTimeOf(fd int, mtime int64) error {
	err := unix.UtimesNanoAt(fd, "", []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}, unix.AT_EMPTY_PATH)
	if err == unix.EINVAL || err == unix.ENOENT {
		return unix.ENOTSUP
	}
	return err
}

// chmodAt changes the mode of name and of nothing that a symlink there points to.
func chmodAt(dir int, name string, mode uint32) error {
	err := chmodNoFollow(dir, name, mode)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return chmodByProc(dir, name, mode)
}

// chmodByProc is chmodAt for kernels before 6.6: through a descriptor of the thing itself, which /proc can name (and only
// /proc: fchmod refuses descriptors opened with O_PATH, and opening for reading would need a permission that may be missing).
func chmodByProc(dir int, name string, mode uint32) error {
	fd, err := walkOpener.open(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ENOTSUP
	}
	return unix.Chmod(procPath(fd), mode)
}

func syncFile(f *os.File) error { return f.Sync() }

// SyncDir implements FS.
func (o *OS) SyncDir(dir string) error {
	if err := check("sync folder", dir, rootAllowed); err != nil {
		return err
	}
	fd, err := o.open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return pathError("sync folder", dir, err)
	}
	defer unix.Close(fd)
	return pathError("sync folder", dir, retry(func() error { return unix.Fsync(fd) }))
}

// SyncAll implements FS.
func (o *OS) SyncAll() error {
	return pathError("sync", "", retry(func() error { return unix.Syncfs(o.rootFD) }))
}

// Space implements FS.
func (o *OS) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(o.rootFD, &st) }); err != nil {
		return 0, 0, pathError("ask for free space", "", err)
	}
	//nolint:unconvert // the widths differ between architectures
	size := int64(st.Bsize)
	return int64(st.Bavail) * size, int64(st.Blocks) * size, nil
}

// Busy implements FS: a read lease is granted only for a file that nobody has open for writing (fcntl(2), "Leases").
func (o *OS) Busy(p string) (bool, error) {
	f, err := o.openFile("ask for writers", p, unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer f.f.Close()
	fd := f.f.Fd()
	_, err = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
	if err == unix.EAGAIN {
		return true, nil
	}
	if err == nil {
		// Whoever opens it for writing meanwhile waits for these few microseconds. Closing would give it back as well.
		_, _ = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
	}
	return false, nil
}

// Dress implements FS. While a read lease is held, who wants to open the file for writing waits for these few microseconds.
func (o *OS) Dress(p string, was Stat, mode uint32, mtime int64) (now Stat, sure bool, err error) {
	f, err := o.openFile("set mode and time", p, unix.O_RDONLY)
	if errors.Is(err, fs.ErrPermission) {
		return dressByName(o, p, was, mode, mtime)
	}
	if err != nil {
		return Stat{}, false, err
	}
	defer f.f.Close()
	fd := int(f.f.Fd())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err == nil {
		sure = true
		defer func() { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK) }()
	}
	now, err = f.Stat()
	if err == nil && !now.unchangedSince(was) {
		err = f.fault("set mode and time", ErrChanged)
	}
	if err == nil && now.Mode != mode {
		err = f.fault("set mode", f.chmod(mode))
	}
	if err == nil && now.MTime != mtime {
		err = f.fault("set time", retry(func() error { return setMTimeOf(fd, mtime) }))
	}
	if err != nil {
		return Stat{}, false, err
	}
	now, err = f.Stat()
	return now, sure, err
}

// chmod is OS.Chmod of an open file.
func (f *file) chmod(mode uint32) error {
	fd := int(f.f.Fd())
	err := retry(func() error { return unix.Fchmod(fd, mode&0o7777) })
	var st unix.Stat_t
	if err == unix.EPERM && unix.Fstat(fd, &st) == nil && ownedByUs(&st) {
		return nil // this file system has no such mode
	}
	return err
}

// changes is nothing here: syncfs finds what changed.
type changes struct{}

func newChanges() *changes            { return nil }
func (*changes) note(int)             {}
func (*changes) noteName(int, string) {}
func (*changes) drop()                {}

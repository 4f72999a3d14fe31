package disk

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal"
)

// walkFlags open a folder to work in. There is no O_PATH: a folder that may not be read cannot be walked through here.
const walkFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

const (
	seekHole = 3 // sys/unistd.h
	seekData = unix.SEEK_DATA
	// syncOnClose: there is no syncfs that would find what was written.
	syncOnClose = true
)

// utimeOmit leaves a time as it is (UTIME_OMIT, sys/stat.h).
const utimeOmit = -2

func absolute(p string) (string, error) { return filepath.Abs(p) }

// chooseOpener has no choice: one name at a time. O_DIRECTORY with O_NOFOLLOW refuses a symlink.
func chooseOpener(int) opener {
	return opener{open: func(dir int, path string, flags int, mode uint32) (fd int, err error) {
		err = retry(func() (err error) {
			fd, err = unix.Openat(dir, path, flags, mode)
			return err
		})
		return fd, err
	}}
}

func changeTimes(st *unix.Stat_t) (mtime, ctime unix.Timespec) { return st.Mtim, st.Ctim }

func setMTime(dir int, name string, mtime int64) error {
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{{Nsec: utimeOmit}, unix.NsecToTimespec(mtime)}, unix.AT_SYMLINK_NOFOLLOW)
}

// setMTimeOf: futimes(2) knows microseconds only.
func setMTimeOf(int, int64) error { return unix.ENOTSUP }

// chmodAt changes the mode of name. A symlink has a mode of its own here, which means nothing.
func chmodAt(dir int, name string, mode uint32) error {
	st, err := lstatAt(dir, name)
	if err != nil {
		return err
	}
	if st.Kind == shoal.KindSymlink {
		return unix.ENOTSUP
	}
	return unix.Fchmodat(dir, name, mode, unix.AT_SYMLINK_NOFOLLOW)
}

func renameExclusive(fromDir int, from string, toDir int, to string) error {
	return unix.RenameatxNp(fromDir, from, toDir, to, unix.RENAME_EXCL)
}

func renameSwap(dirA int, a string, dirB int, b string) error {
	return unix.RenameatxNp(dirA, a, dirB, b, unix.RENAME_SWAP)
}

// syncFile asks the drive, too, to write its cache out (F_FULLFSYNC), as os.File.Sync does on this system.
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
	return pathError("sync folder", dir, fullSync(fd))
}

// fullSync is fsync that reaches the platter; file systems of other machines know only fsync.
func fullSync(fd int) error {
	return retry(func() error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
		if err != nil && errors.Is(err, errors.ErrUnsupported) {
			return unix.Fsync(fd)
		}
		return err
	})
}

// SyncAll implements FS.
func (o *OS) SyncAll() error {
	err := o.changed.sync()
	if err == nil {
		err = fullSync(o.rootFD) // once for all: fsync alone leaves them in the drive's cache
	}
	return pathError("sync", "", err)
}

// Space implements FS.
func (o *OS) Space() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(o.rootFD, &st) }); err != nil {
		return 0, 0, pathError("ask for free space", "", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// Busy implements FS: this system does not tell.
func (o *OS) Busy(p string) (bool, error) {
	f, err := o.openFile("ask for writers", p, unix.O_RDONLY)
	if err != nil {
		return false, err
	}
	return false, f.Close()
}

// Dress implements FS: this system does not tell of writers.
func (o *OS) Dress(p string, was Stat, mode uint32, mtime int64) (now Stat, sure bool, err error) {
	return dressByName(o, p, was, mode, mtime)
}

// maxChanges is how many descriptors changes may hold; the soft limit of a process is 256 on this system.
const maxChanges = 64

// changes are the folders and files whose names, modes or times were changed since the last SyncAll, held open. When
// there are too many, they are synced at once.
type changes struct {
	mu sync.Mutex
	// guarded by mu
	open map[[2]uint64]int // device and inode → descriptor
	err  error             // of an early sync, for the next SyncAll
}

func newChanges() *changes { return &changes{open: map[[2]uint64]int{}} }

// note remembers the open folder fd.
func (c *changes) note(fd int) {
	c.keep(func() (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
}

// noteName remembers a file or folder. What cannot be opened for reading, such as a symlink, is left to the system.
func (c *changes) noteName(dir int, name string) {
	c.keep(func() (int, error) {
		return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
}

func (c *changes) keep(open func() (int, error)) {
	fd, err := open()
	if err != nil {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]uint64{uint64(st.Dev), st.Ino}
	if _, held := c.open[key]; held {
		_ = unix.Close(fd)
		return
	}
	if len(c.open) >= maxChanges {
		c.err = errors.Join(c.err, c.flush())
	}
	c.open[key] = fd
}

// sync makes durable what was noted, up to the drive's own cache.
func (c *changes) sync() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := errors.Join(c.err, c.flush())
	c.err = nil
	return err
}

func (c *changes) flush() error {
	var errs []error
	for key, fd := range c.open {
		errs = append(errs, retry(func() error { return unix.Fsync(fd) }))
		_ = unix.Close(fd)
		delete(c.open, key)
	}
	return errors.Join(errs...)
}

// drop forgets everything.
func (c *changes) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, fd := range c.open {
		_ = unix.Close(fd)
		delete(c.open, key)
	}
}

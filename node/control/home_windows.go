package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// maxSocketPath is what fits into sockaddr_un.sun_path of 108 bytes with its NUL (afunix.h).
const maxSocketPath = 107

// tryLock takes the lock, for one writer or for readers, without waiting. It ends when the file is closed or the process dies.
// One byte far behind the end of the file is locked, so that its text can be read meanwhile.
func tryLock(f *os.File, write bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if write {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}

// isOddSocket tells whether info is a socket that does not say so: a reparse point, on Windows.
func isOddSocket(info fs.FileInfo) bool { return info.Mode().Type() == fs.ModeIrregular }

// listenUnix makes the socket SocketName in dir and replaces what is there. The directory's access list, that of the
// user's profile, keeps others out.
func listenUnix(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return viaShortPath(path, func(short string) (*net.UnixListener, error) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return nil, err
		}
		l.SetUnlinkOnClose(false)
		return l, nil
	})
}

// viaShortPath calls use with path, or says that it is too long: symlinks need rights here that users do not have.
func viaShortPath[T any](path string, use func(short string) (T, error)) (T, error) {
	if len(path) > maxSocketPath {
		var none T
		return none, fmt.Errorf("path of %d bytes is too long for a socket (%d): choose a shorter home", len(path), maxSocketPath)
	}
	return use(path)
}

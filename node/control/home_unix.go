//go:build unix

package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxSocketPath is what fits into sockaddr_un.sun_path with its NUL on every Unix: 104 bytes on the BSDs and macOS, 108 on
// Linux (unix(7)).
const maxSocketPath = 103

// tryLock takes the lock, for one writer or for readers, without waiting. It ends when the file is closed or the process dies.
func tryLock(f *os.File, write bool) error {
	how := unix.LOCK_SH
	if write {
		how = unix.LOCK_EX
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}

// isOddSocket tells whether info is a socket that does not say so: never, on Unix.
func isOddSocket(fs.FileInfo) bool { return false }

// listenUnix makes the socket SocketName in dir and replaces what is there. It is made in a directory that nobody else
// can enter and renamed when its mode is right, so that at no moment others can connect, whatever the umask.
func listenUnix(dir string) (net.Listener, error) {
	private, err := os.MkdirTemp(dir, bindPattern)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	l, err := viaShortPath(made, func(short string) (*net.UnixListener, error) {
		return net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, filepath.Join(dir, SocketName))); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// viaShortPath calls use with a path of the socket that the system can take: path itself, or the same through a symlink to
// its directory that lives only during the call.
func viaShortPath[T any](path string, use func(short string) (T, error)) (T, error) {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	var none T
	tmp := os.TempDir()
	if len(tmp) > maxSocketPath/2 {
		tmp = "/tmp"
	}
	bridge, err := os.MkdirTemp(tmp, "shoal")
	if err != nil {
		return none, err
	}
	defer os.RemoveAll(bridge)
	link := filepath.Join(bridge, "h")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		return none, err
	}
	return use(filepath.Join(link, filepath.Base(path)))
}

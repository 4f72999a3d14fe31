//go:build !android

package disk

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// chooseOpener prefers openat2 (Linux 5.6), which walks a whole path in one call. Containers may forbid it (EPERM).
func chooseOpener(root int) opener {
	fd, err := openat2(root, ".", walkFlags, 0)
	if err != nil {
		return walkOpener
	}
	_ = unix.Close(fd)
	return opener{open: openat2, step: oneCall}
}

func openat2(dir int, path string, flags int, mode uint32) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Mode:    uint64(mode),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	err = retry(func() (err error) {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	return fd, err
}

func chmodNoFollow(dir int, name string, mode uint32) error {
	return unix.Fchmodat(dir, name, mode, unix.AT_SYMLINK_NOFOLLOW)
}

func renameExclusive(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
}

func renameSwap(dirA int, a string, dirB int, b string) error {
	return unix.Renameat2(dirA, a, dirB, b, unix.RENAME_EXCHANGE)
}

// procPath is a name for what fd has open.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

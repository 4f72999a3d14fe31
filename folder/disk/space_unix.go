//go:build linux || darwin || freebsd

package disk

import "golang.org/x/sys/unix"

// diskSpace asks by the path of the root.
func diskSpace(path string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := retryStatfs(path, &st); err != nil {
		return 0, 0, err
	}
	//nolint:unconvert // the widths differ between systems
	size := int64(st.Bsize)
	return int64(st.Bavail) * size, int64(st.Blocks) * size, nil
}

func retryStatfs(path string, st *unix.Statfs_t) error {
	for {
		if err := unix.Statfs(path, st); err != unix.EINTR {
			return err
		}
	}
}

//go:build unix

package neighbours

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// DefaultDirs lists the per-user folders of this machine: that of the session, if there is one, and one under
// /tmp, which processes that know nothing of the session use too. Hosts write to all and read all.
func DefaultDirs() []string {
	var dirs []string
	if x := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(x) {
		dirs = append(dirs, filepath.Join(x, "shoal"))
	}
	return append(dirs, filepath.Join("/tmp", "shoal-"+strconv.Itoa(os.Getuid())))
}

// checkDir refuses a folder that is a symlink, belongs to somebody else, or lets others in: under /tmp anybody could
// have made it.
func checkDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !ok || int(sys.Uid) != os.Getuid() {
		return fmt.Errorf("folder %s is not private: %w", dir, os.ErrPermission)
	}
	return nil
}

package neighbours

import (
	"fmt"
	"os"
	"path/filepath"
)

// DefaultDirs lists the per-user folders of this machine: one below the user's local application data.
func DefaultDirs() []string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(cache, "shoal", "run")}
}

// checkDir refuses what is no folder; the user's application data is private by its access list.
func checkDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is no folder: %w", dir, os.ErrPermission)
	}
	return nil
}

// Package durable replaces whole small files so that a crash at any moment leaves the old content or the new one.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shoalmesh/shoal/crashpoint"
)

// Replace puts data at path, readable by its owner only; it is durable when Replace returns nil. What a crash left of an earlier try is overwritten, so
// one caller at a time.
func Replace(path string, data []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	crashpoint.Here("small file: written")
	err = errors.Join(err, f.Sync(), f.Close())
	crashpoint.Here("small file: synced")
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	crashpoint.Here("small file: renamed")
	err = syncDir(filepath.Dir(path))
	crashpoint.Here("small file: name synced")
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Windows can't sync a folder, and needs not.
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

//go:build !windows

package packstore

import (
	"errors"
	"os"
)

// syncDir makes creations and removals in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

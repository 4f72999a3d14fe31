package disktest

import (
	"testing"

	"github.com/shoalmesh/shoal/folder/disk"
)

func TestMemoryIsADisk(t *testing.T) {
	Run(t, Good, func(t *testing.T) disk.FS {
		f := New(Options{})
		t.Cleanup(func() {
			if err := f.Check(); err != nil {
				t.Error(err)
			}
		})
		return f
	})
}

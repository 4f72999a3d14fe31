package disk_test

import (
	"os"
	"testing"

	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

func openOS(t *testing.T) *disk.OS {
	t.Helper()
	o, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestTheSystemIsADisk(t *testing.T) {
	can := disktest.Good
	can.Permissions = os.Getuid() != 0 // root walks through
	disktest.Run(t, can, func(t *testing.T) disk.FS { return openOS(t) })
}

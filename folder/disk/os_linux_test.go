package disk_test

import (
	"os"
	"testing"

	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

func TestWithoutOpenat2ItIsADiskToo(t *testing.T) {
	can := disktest.Good
	can.Permissions = os.Getuid() != 0
	disktest.Run(t, can, func(t *testing.T) disk.FS {
		o := disk.OpenByName(t, t.TempDir())
		t.Cleanup(func() { _ = o.Close() })
		return o
	})
}

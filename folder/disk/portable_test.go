package disk_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

func TestPortableIsADisk(t *testing.T) {
	if testing.Short() {
		t.Skip("the usual way is enough for a short run")
	}
	unix := runtime.GOOS != "windows"
	can := disktest.Abilities{
		Symlinks: unix, SymlinkTimes: false, Modes: unix, ByteNames: unix, Inodes: unix, Permissions: unix && os.Getuid() != 0,
	}
	disktest.Run(t, can, func(t *testing.T) disk.FS {
		o, err := disk.OpenPortable(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Close() })
		return o
	})
}

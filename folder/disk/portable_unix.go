//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// nameFits: any bytes make a name.
func nameFits(string) bool { return true }

func addSystemStat(st *Stat, fi fs.FileInfo) {
	sys, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	//nolint:unconvert // the widths differ between systems
	st.Inode, st.Device, st.Links = uint64(sys.Ino), uint64(sys.Dev), max(uint64(sys.Nlink), 1)
	st.CTime = changeTime(sys)
}

func syncFolder(f *os.File) error { return f.Sync() }

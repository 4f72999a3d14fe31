package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAModeThatTheFileSystemRefusesIsNoError: FAT answers EPERM to the owner, as an immutable file does to root.
func TestAModeThatTheFileSystemRefusesIsNoError(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making a file immutable needs root")
	}
	o, root := openAt(t, t.TempDir())
	name := filepath.Join(root, "a")
	must(t, os.WriteFile(name, []byte("x"), 0o644))
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	const immutable = 0x10 // FS_IMMUTABLE_FL, linux/fs.h
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Skipf("this file system has no immutable files: %v", err)
	}
	defer func() { must(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)) }()
	if err := os.Chmod(name, 0o600); !errors.Is(err, unix.EPERM) {
		t.Skipf("its mode can be changed all the same: %v", err)
	}
	must(t, o.Chmod("a", 0o600))
	if st, err := o.Lstat("a"); err != nil || st.Mode != 0o644 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
}

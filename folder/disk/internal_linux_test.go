package disk

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// OpenByName is Open as on a kernel without openat2.
func OpenByName(t *testing.T, root string) *OS {
	t.Helper()
	o, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	o.openat = walkOpener
	return o
}

// places makes a file, a folder, a symlink and their likes in a folder and returns its descriptor.
func places(t *testing.T) (dir int) {
	t.Helper()
	root := t.TempDir()
	for _, p := range []string{"file", "file2"} {
		if err := os.WriteFile(filepath.Join(root, p), []byte(p), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"folder", "folder2"} {
		if err := os.Mkdir(filepath.Join(root, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("file", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	o, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o.rootFD
}

func TestRenameNeverReplacesWhereTheKernelCannotPromiseIt(t *testing.T) {
	dir := places(t)
	for _, from := range []string{"file", "folder", "link"} {
		for _, to := range []string{"file2", "folder2", "link"} {
			if from == to {
				continue
			}
			if err := renameChecked(dir, from, dir, to); err != unix.EEXIST {
				t.Errorf("%s to %s: %v", from, to, err)
			}
		}
		before, err := lstatAt(dir, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := renameChecked(dir, from, dir, "new "+from); err != nil {
			t.Errorf("%s: %v", from, err)
		}
		after, err := lstatAt(dir, "new "+from)
		if err != nil || !after.Same(before) || after.Kind != before.Kind || after.Links != before.Links {
			t.Errorf("%s: was %+v, is %+v, %v", from, before, after, err)
		}
		if _, err := lstatAt(dir, from); err != unix.ENOENT {
			t.Errorf("%s is still there: %v", from, err)
		}
	}
	if err := renameChecked(dir, "nothing", dir, "x"); err != unix.ENOENT {
		t.Errorf("nothing: %v", err)
	}
}

func TestModesAreSetOnOldKernels(t *testing.T) {
	dir := places(t)
	for _, name := range []string{"file", "folder"} {
		for _, mode := range []uint32{0, 0o751, 0o600} {
			if err := chmodByProc(dir, name, mode); err != nil {
				t.Fatal(err)
			}
			if st, err := lstatAt(dir, name); err != nil || st.Mode != mode {
				t.Errorf("%s: asked for %o, got %+v, %v", name, mode, st, err)
			}
		}
	}
	if err := chmodByProc(dir, "link", 0o777); err != unix.ENOTSUP {
		t.Errorf("symlink: %v", err)
	}
	if st, err := lstatAt(dir, "file"); err != nil || st.Mode != 0o600 {
		t.Errorf("chmod went through the symlink: %+v, %v", st, err)
	}
}

func TestTimesBeyondTheirRangeAreCutOff(t *testing.T) {
	for _, c := range []struct {
		sec, nsec, want int64
	}{{0, 5, 5}, {-1, 999_999_999, -1}, {1 << 40, 0, 1<<63 - 1}, {-1 << 40, 0, -1 << 63}} {
		if got := nanoseconds(unix.Timespec{Sec: c.sec, Nsec: c.nsec}); got != c.want {
			t.Errorf("%d s %d ns: %d, want %d", c.sec, c.nsec, got, c.want)
		}
	}
}

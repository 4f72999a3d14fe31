package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// openAt opens a tree at a folder of its own and returns it with that folder.
func openAt(t testing.TB, root string) (*disk.OS, string) {
	t.Helper()
	o, err := disk.Open(root)
	must(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return o, root
}

func TestWithoutOpenat2ItIsADiskToo(t *testing.T) {
	if testing.Short() {
		t.Skip("the usual way is enough for a short run")
	}
	can := disktest.Good
	can.Permissions = os.Getuid() != 0
	disktest.Run(t, can, func(t *testing.T) disk.FS {
		o := disk.OpenByName(t, t.TempDir())
		t.Cleanup(func() { _ = o.Close() })
		return o
	})
}

func TestADiskInMemoryOfTheSystemIsADisk(t *testing.T) {
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("there is no tmpfs at /dev/shm")
	}
	can := disktest.Good
	can.Permissions = os.Getuid() != 0
	disktest.Run(t, can, func(t *testing.T) disk.FS {
		root, err := os.MkdirTemp("/dev/shm", "disk")
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(root) })
		o, _ := openAt(t, root)
		return o
	})
}

func TestOpenWantsAFolder(t *testing.T) {
	root := t.TempDir()
	if _, err := disk.Open(filepath.Join(root, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o644))
	if _, err := disk.Open(filepath.Join(root, "file")); !errors.Is(err, disk.ErrNotFolder) {
		t.Errorf("file: %v", err)
	}
}

func TestARootThatMovedOrWasReplacedIsTold(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	must(t, os.Mkdir(root, 0o755))
	o, _ := openAt(t, root)
	must(t, o.CheckRoot(), os.Rename(root, filepath.Join(base, "moved")))
	if err := o.CheckRoot(); !errors.Is(err, disk.ErrRootGone) {
		t.Errorf("moved: %v", err)
	}
	must(t, os.Mkdir(root, 0o755))
	if err := o.CheckRoot(); !errors.Is(err, disk.ErrRootGone) {
		t.Errorf("replaced: %v", err)
	}
	must(t, o.Mkdir("in", 0o755))
	if _, err := os.Stat(filepath.Join(base, "moved", "in")); err != nil {
		t.Errorf("the root that was opened is not used any more: %v", err)
	}
}

func TestPipesAndSocketsAreListedAndNeverOpened(t *testing.T) {
	o, root := openAt(t, t.TempDir())
	must(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	l, err := net.Listen("unix", filepath.Join(root, "socket"))
	must(t, err)
	defer l.Close()
	list, err := o.List("")
	must(t, err)
	for _, st := range list {
		if st.Kind != 0 {
			t.Errorf("%s has kind %v", st.Name, st.Kind)
		}
		if _, err := o.Open(st.Name); !errors.Is(err, disk.ErrNotFile) {
			t.Errorf("open %s: %v", st.Name, err)
		}
		if _, err := o.Reopen(st.Name); !errors.Is(err, disk.ErrNotFile) {
			t.Errorf("reopen %s: %v", st.Name, err)
		}
	}
	if len(list) != 2 {
		t.Errorf("listed %+v", list)
	}
}

func TestTwoNamesOfOneFileAreTwoNames(t *testing.T) {
	o, root := openAt(t, t.TempDir())
	must(t, os.WriteFile(filepath.Join(root, "a"), nil, 0o644), os.Link(filepath.Join(root, "a"), filepath.Join(root, "b")))
	a, errA := o.Lstat("a")
	b, errB := o.Lstat("b")
	must(t, errA, errB)
	if !a.Same(b) || a.Links != 2 {
		t.Errorf("a %+v, b %+v", a, b)
	}
	if err := o.Rename("a", "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("rename: %v", err)
	}
}

func TestAFileThatAnotherHasOpenForWritingIsBusy(t *testing.T) {
	o, root := openAt(t, t.TempDir())
	f, err := os.Create(filepath.Join(root, "file"))
	must(t, err)
	if busy, err := o.Busy("file"); !busy || err != nil {
		t.Errorf("busy: %v, %v", busy, err)
	}
	must(t, f.Close())
	if busy, err := o.Busy("file"); busy || err != nil {
		t.Errorf("busy after the close: %v, %v", busy, err)
	}
}

// TestARaceWithASymlinkNeverLeavesTheRoot swaps a folder and a symlink to the outside while names in it are worked on.
func TestARaceWithASymlinkNeverLeavesTheRoot(t *testing.T) {
	for _, open := range []struct {
		name string
		open func(*testing.T, string) *disk.OS
	}{
		{"openat2", func(t *testing.T, root string) *disk.OS { o, _ := openAt(t, root); return o }},
		{"by name", disk.OpenByName},
	} {
		t.Run(open.name, func(t *testing.T) {
			base := t.TempDir()
			root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
			must(t, os.MkdirAll(filepath.Join(root, "real"), 0o755), os.Mkdir(outside, 0o755),
				os.Symlink(outside, filepath.Join(root, "link")), os.WriteFile(filepath.Join(outside, "kept"), []byte("secret"), 0o644),
				os.WriteFile(filepath.Join(root, "real", "kept"), []byte("public"), 0o644))
			before, err := os.Stat(filepath.Join(outside, "kept"))
			must(t, err)
			o := open.open(t, root)
			done := make(chan struct{})
			var swapper sync.WaitGroup
			swapper.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(root, "real"), unix.AT_FDCWD, filepath.Join(root, "link"), unix.RENAME_EXCHANGE)
					}
				}
			})
			rounds := 3000
			if testing.Short() {
				rounds = 300
			}
			for range rounds {
				attack(t, o)
			}
			close(done)
			swapper.Wait()
			list, err := os.ReadDir(outside)
			must(t, err)
			after, err := os.Stat(filepath.Join(outside, "kept"))
			must(t, err)
			if len(list) != 1 || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("outside: %v, %v, was %v", list, after, before)
			}
		})
	}
}

// attack does in the folder "real" what must not happen where a symlink leads to.
func attack(t *testing.T, o *disk.OS) {
	t.Helper()
	if w, err := o.Create("real/new", 0, 0o644); err == nil {
		must(t, w.Close())
	}
	_ = o.Mkdir("real/dir", 0o755)
	_ = o.Symlink("x", "real/sym")
	_ = o.Chmod("real/kept", 0o600)
	_ = o.Chtimes("real/kept", 1)
	_ = o.Rename("real/new", "real/newer")
	if f, err := o.Open("real/kept"); err == nil {
		b := make([]byte, 6)
		_, err := f.ReadAt(b, 0)
		must(t, err, f.Close())
		if string(b) != "public" {
			t.Fatalf("read %q", b)
		}
	}
	if list, err := o.List("real"); err == nil && slices.ContainsFunc(list, func(st disk.Stat) bool { return st.Mode == 0o644 && st.Size == 7 }) {
		t.Fatalf("listed %+v", list)
	}
	for _, name := range []string{"newer", "new", "dir", "sym"} {
		_ = o.Remove("real/" + name)
	}
}

// TestAListingWhileNamesComeAndGoIsNoError: what stays is in every listing.
func TestAListingWhileNamesComeAndGoIsNoError(t *testing.T) {
	o, root := openAt(t, t.TempDir())
	for i := range 300 {
		must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("stays %d", i)), nil, 0o644))
	}
	done := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				p := filepath.Join(root, fmt.Sprintf("goes %d", i%50))
				_ = os.WriteFile(p, nil, 0o644)
				_ = os.Remove(p)
			}
		}
	})
	for range 100 {
		list, err := o.List("")
		must(t, err)
		n := 0
		for _, st := range list {
			if strings.HasPrefix(st.Name, "stays") {
				n++
			}
		}
		if n != 300 {
			t.Fatalf("%d of 300 names listed", n)
		}
	}
	close(done)
	churn.Wait()
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

func TestNothingStaysOpen(t *testing.T) {
	for name, o := range map[string]*disk.OS{"openat2": openOS(t), "by name": disk.OpenByName(t, t.TempDir())} {
		must(t, o.Mkdir("d", 0o755), o.Mkdir("d/e", 0o755), o.Symlink("d", "s"))
		before := descriptors(t)
		for _, p := range []string{"d/e/f", "d/e", "s/x", "nothing/x", "", "d/e/f/g"} {
			if w, err := o.Create(p, 1, 0o644); err == nil {
				_, _ = w.WriteAt([]byte("x"), 0)
				_ = w.Sync()
				_ = w.Close()
			}
			if f, err := o.Open(p); err == nil {
				_ = f.Close()
			}
			_, _ = o.Lstat(p)
			_, _ = o.List(p)
			_, _ = o.Readlink(p)
			_, _ = o.Busy(p)
			_ = o.Rename(p, "d/"+p)
			_ = o.Exchange(p, "s")
			_ = o.Chmod(p, 0o755)
			_ = o.Chtimes(p, 1)
			_ = o.SyncDir(p)
			_ = o.Symlink("x", p)
			_ = o.Mkdir(p, 0o755)
			_ = o.Remove(p)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors before, %d after", name, before, after)
		}
	}
}

// mounted mounts a small tmpfs for the test.
func mounted(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting is not allowed here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

func TestAFullDiskIsToldAndTakesNothing(t *testing.T) {
	o, _ := openAt(t, mounted(t, "size=64k"))
	w, err := o.Create("file", 0, 0o644)
	must(t, err)
	defer w.Close()
	if _, err := w.WriteAt(make([]byte, 1<<20), 0); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("write: %v", err)
	}
	if free, total, err := o.Space(); free != 0 || total != 64<<10 || err != nil {
		t.Errorf("%d of %d free, %v", free, total, err)
	}
}

func TestAnotherFileSystemInsideIsTold(t *testing.T) {
	root := mounted(t, "size=1m")
	inner := filepath.Join(root, "mnt")
	must(t, os.Mkdir(inner, 0o755), unix.Mount("tmpfs", inner, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = unix.Unmount(inner, unix.MNT_DETACH) })
	o, _ := openAt(t, root)
	w, err := o.Create("mnt/file", 0, 0o644)
	must(t, err, w.Close())
	in, errIn := o.Lstat("mnt/file")
	top, errTop := o.Lstat("")
	must(t, errIn, errTop)
	if in.Device == top.Device {
		t.Error("one device number")
	}
	if err := o.Rename("mnt/file", "file"); !errors.Is(err, disk.ErrCrossDevice) {
		t.Errorf("rename: %v", err)
	}
	if err := o.Remove("mnt"); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("remove of a mount point: %v", err)
	}
}

func TestAReadOnlyDiskIsTold(t *testing.T) {
	root := mounted(t, "size=1m,ro")
	o, _ := openAt(t, root)
	if err := o.Mkdir("d", 0o755); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("mkdir: %v", err)
	}
}

func TestNamesThatDifferInCaseAreOneWhereTheDiskSaysSo(t *testing.T) {
	root := mounted(t, "size=1m,casefold")
	o, _ := openAt(t, root)
	must(t, o.Mkdir("d", 0o755))
	setCasefold(t, filepath.Join(root, "d"))
	w, err := o.Create("d/Name", 0, 0o644)
	must(t, err, w.Close())
	if err := o.Mkdir("d/nAME", 0o755); !errors.Is(err, fs.ErrExist) {
		t.Errorf("mkdir: %v", err)
	}
	must(t, o.Rename("d/NAME", "d/name"))
	list, err := o.List("d")
	must(t, err)
	if len(list) != 1 || list[0].Name != "name" {
		t.Errorf("after respelling: %+v", list)
	}
}

// setCasefold marks an empty folder as one where case does not count (ioctl_iflags(2); the flag is newer than that page).
func setCasefold(t *testing.T, path string) {
	t.Helper()
	const flag = 0x40000000 // FS_CASEFOLD_FL
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag); err != nil {
		t.Skipf("no casefold here: %v", err)
	}
}

// bigTree is a folder with n files, 1,000 a folder.
func bigTree(b *testing.B, n int) string {
	root := b.TempDir()
	for i := range n {
		dir := filepath.Join(root, fmt.Sprint(i/1000))
		if i%1000 == 0 {
			must(b, os.Mkdir(dir, 0o755))
		}
		must(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("file %d", i)), nil, 0o644))
	}
	return root
}

func BenchmarkList(b *testing.B) {
	const files = 20_000
	o, _ := openAt(b, bigTree(b, files))
	for b.Loop() {
		dirs, err := o.List("")
		must(b, err)
		for _, d := range dirs {
			_, err := o.List(d.Name)
			must(b, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
}

func BenchmarkLstat(b *testing.B) {
	o, root := openAt(b, b.TempDir())
	must(b, os.MkdirAll(filepath.Join(root, "a/b/c"), 0o755), os.WriteFile(filepath.Join(root, "a/b/c/d"), nil, 0o644))
	for b.Loop() {
		_, err := o.Lstat("a/b/c/d")
		must(b, err)
	}
}

func BenchmarkOpenReadClose(b *testing.B) {
	o, root := openAt(b, b.TempDir())
	must(b, os.MkdirAll(filepath.Join(root, "a/b/c"), 0o755), os.WriteFile(filepath.Join(root, "a/b/c/d"), make([]byte, 1024), 0o644))
	buf := make([]byte, 1024)
	for b.Loop() {
		f, err := o.Open("a/b/c/d")
		must(b, err)
		_, err = f.ReadAt(buf, 0)
		must(b, err, f.Close())
	}
}

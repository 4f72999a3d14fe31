package disktest

import (
	"errors"
	"io/fs"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

var writeLaws = []law{
	{"CreateMakesAFileOfTheSizeAsked", nil, testCreate},
	{"CreateNeverReplaces", nil, testCreateExclusive},
	{"CreateDoesNotFollowASymlink", symlinks, testCreateSymlink},
	{"WritesLandWhereTheyAreSent", nil, testWriteAt},
	{"TruncateCutsAndGrows", nil, testTruncate},
	{"ReopenKeepsTheContent", nil, testReopen},
	{"AHandleFollowsItsFileThroughARename", nil, testWriteRenamed},
	{"MkdirNeverReplaces", nil, testMkdir},
	{"SymlinkNeverReplaces", symlinks, testSymlink},
	{"ModesAreAsAskedWhateverTheUmask", modes, testModes},
	{"ChmodOfASymlinkIsUnsupported", symlinks, testChmodSymlink},
	{"ChmodOfNothingFails", nil, testChmodNothing},
	{"TimesAreKept", nil, testChtimes},
	{"AnOpenFileGetsModeAndTime", nil, testSetMeta},
	{"AFileIsDressedUnlessItChanged", nil, testDress},
	{"TimesOfASymlinkAreItsOwn", symlinkTimes, testChtimesSymlink},
	{"SyncsSucceedOnWhatIsThere", nil, testSync},
}

func testCreate(t tester) {
	w, err := t.fs.Create("file", 100_000, 0o644)
	t.must("create", err)
	st, err := w.Stat()
	t.must("stat", err)
	if st.Size != 100_000 || st.Name != "file" || st.Kind != shoal.KindFile {
		t.Errorf("created: %+v", st)
	}
	b := make([]byte, 10)
	b[3] = 'x'
	n, err := w.ReadAt(b, 99_000)
	if n != 10 || err != nil || string(b) != string(make([]byte, 10)) {
		t.Errorf("what was never written reads as %q, %v", b, err)
	}
	t.must("close", w.Close())
	_, err = t.fs.Create("nothing/file", 0, 0o644)
	t.wants("create in nothing", err, fs.ErrNotExist)
	_, err = t.fs.Create("file/file", 0, 0o644)
	t.wants("create in a file", err, disk.ErrNotFolder)
	_, err = t.fs.Create("negative", -1, 0o644)
	t.wants("create of a negative size", err, fs.ErrInvalid)
	t.absent("negative")
}

func testCreateExclusive(t tester) {
	t.write("file", "kept")
	t.mkdir("folder")
	for _, p := range []string{"file", "folder"} {
		_, err := t.fs.Create(p, 0, 0o644)
		t.wants("create over "+p, err, fs.ErrExist)
	}
	t.holds("file", "kept")
}

func testCreateSymlink(t tester) {
	t.symlink("target", "dangling")
	_, err := t.fs.Create("dangling", 0, 0o644)
	t.wants("create over a dangling symlink", err, fs.ErrExist)
	t.absent("target")
}

func testWriteAt(t tester) {
	w, err := t.fs.Create("file", 0, 0o644)
	t.must("create", err)
	for _, part := range []struct {
		at   int64
		text string
	}{{10_000, "tail"}, {0, "head"}, {9_998, "xxxxx"}, {4_094, "across"}} {
		n, err := w.WriteAt([]byte(part.text), part.at)
		t.must("write", err)
		if n != len(part.text) {
			t.Errorf("wrote %d bytes of %d", n, len(part.text))
		}
	}
	t.must("sync", w.Sync())
	t.must("close", w.Close())
	want := make([]byte, 10_004)
	copy(want, "head")
	copy(want[4_094:], "across")
	copy(want[9_998:], "xxxxxail")
	copy(want[10_003:], "l")
	if got := t.read("file"); got != string(want) {
		t.Errorf("file of %d bytes differs from what was written", len(got))
	}
}

func testTruncate(t tester) {
	w, err := t.fs.Create("file", 0, 0o644)
	t.must("create", err)
	_, err = w.WriteAt([]byte("0123456789"), 0)
	t.must("write", err)
	t.must("cut", w.Truncate(4))
	t.must("grow", w.Truncate(6))
	t.wants("negative size", w.Truncate(-1), fs.ErrInvalid)
	t.must("close", w.Close())
	t.holds("file", "0123\x00\x00")
}

func testReopen(t tester) {
	t.write("file", "0123456789")
	before := t.stat("file")
	w, err := t.fs.Reopen("file")
	t.must("reopen", err)
	_, err = w.WriteAt([]byte("ab"), 2)
	t.must("write", err)
	b := make([]byte, 4)
	_, err = w.ReadAt(b, 1)
	t.must("read", err)
	if string(b) != "1ab4" {
		t.Errorf("read back %q", b)
	}
	t.must("close", w.Close())
	t.holds("file", "01ab456789")
	t.same("the reopened file", t.stat("file"), before)
}

func testWriteRenamed(t tester) {
	w, err := t.fs.Create("file", 0, 0o644)
	t.must("create", err)
	t.must("rename", t.fs.Rename("file", "moved"))
	t.fill(w, "late")
	t.holds("moved", "late")
	t.absent("file")
}

func testMkdir(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "kept")
	t.wants("mkdir over a folder", t.fs.Mkdir("folder", 0o755), fs.ErrExist)
	t.wants("mkdir over a file", t.fs.Mkdir("folder/file", 0o755), fs.ErrExist)
	t.wants("mkdir in nothing", t.fs.Mkdir("nothing/sub", 0o755), fs.ErrNotExist)
	t.holds("folder/file", "kept")
}

func testSymlink(t tester) {
	t.write("file", "kept")
	t.mkdir("folder")
	t.symlink("x", "link")
	for _, p := range []string{"file", "folder", "link"} {
		t.wants("symlink over "+p, t.fs.Symlink("y", p), fs.ErrExist)
	}
	got, err := t.fs.Readlink("link")
	if err != nil || got != "x" {
		t.Errorf("the old link leads to %q, %v", got, err)
	}
	if err := t.fs.Symlink("", "empty"); err == nil {
		t.Error("an empty target was taken")
	}
}

func testModes(t tester) {
	for _, mode := range []uint32{0o777, 0o600, 0o444, 0o000, 0o755, 0o666, 0o1777} {
		t.must("mkdir", t.fs.Mkdir("folder", mode))
		if got := t.stat("folder").Mode; got != mode {
			t.Errorf("folder made with %04o has %04o", mode, got)
		}
		t.must("remove", t.fs.Remove("folder"))
	}
	for _, mode := range []uint32{0o777, 0o600, 0o444, 0o000, 0o755, 0o666, 0o4755} {
		w, err := t.fs.Create("file", 3, mode)
		t.must("create", err)
		t.must("close", w.Close())
		if got := t.stat("file").Mode; got != mode {
			t.Errorf("file made with %04o has %04o", mode, got)
		}
		t.must("chmod", t.fs.Chmod("file", 0o640))
		if got := t.stat("file").Mode; got != 0o640 {
			t.Errorf("mode after chmod: %04o", got)
		}
		t.must("chmod", t.fs.Chmod("file", mode))
		if got := t.stat("file").Mode; got != mode {
			t.Errorf("mode after chmod: %04o, want %04o", got, mode)
		}
		t.must("remove", t.fs.Remove("file"))
	}
}

func testChmodSymlink(t tester) {
	t.write("file", "")
	before := t.stat("file").Mode
	t.symlink("file", "link")
	t.wants("chmod of a symlink", t.fs.Chmod("link", 0o600), errors.ErrUnsupported)
	if got := t.stat("file").Mode; got != before {
		t.Errorf("chmod went through the symlink: %04o", got)
	}
}

func testChmodNothing(t tester) {
	t.wants("chmod", t.fs.Chmod("nothing", 0o600), fs.ErrNotExist)
	t.wants("chtimes", t.fs.Chtimes("nothing", 0), fs.ErrNotExist)
}

func testChtimes(t tester) {
	t.write("file", "x")
	t.mkdir("folder")
	for _, ns := range []int64{1_600_000_000_000_000_000, 1_600_000_000_123_456_700, 0, 4_102_444_800_000_000_000} {
		for _, p := range []string{"file", "folder"} {
			t.must("chtimes", t.fs.Chtimes(p, ns))
			// 100 ns is the step of NTFS; coarser disks are not tried here.
			if got := t.stat(p).MTime; got/100 != ns/100 {
				t.Errorf("%s: asked for %d ns, got %d", p, ns, got)
			}
		}
	}
}

func testSetMeta(t tester) {
	f, err := t.fs.Create("file", 3, 0o600)
	t.must("create", err)
	_, err = f.WriteAt([]byte("abc"), 0)
	t.must("write", err)
	err = f.SetMeta(0o640, 1_600_000_000_123_456_700)
	if errors.Is(err, errors.ErrUnsupported) {
		err = errors.Join(t.fs.Chmod("file", 0o640), t.fs.Chtimes("file", 1_600_000_000_123_456_700))
	}
	t.must("set mode and time", err)
	t.must("close", f.Close())
	want := t.stat("file")
	t.must("chmod", t.fs.Chmod("file", 0o640))
	if got := t.stat("file"); got.Mode != want.Mode || got.MTime/100 != 16_000_000_001_234_567 || got.Size != 3 {
		t.Errorf("mode %o instead of %o, time %d, %d bytes", want.Mode, got.Mode, got.MTime, got.Size)
	}
}

func testDress(t tester) {
	t.write("file", "abc")
	was := t.stat("file")
	now, _, err := t.fs.Dress("file", was, 0o640, 1_600_000_000_123_456_700)
	t.must("dress", err)
	if st := t.stat("file"); st != now || now.MTime/100 != 16_000_000_001_234_567 || now.Inode != was.Inode || now.Size != 3 {
		t.Errorf("it was %+v, Dress says %+v, Lstat %+v", was, now, st)
	}
	again, _, err := t.fs.Dress("file", now, now.Mode, now.MTime)
	if err != nil || again != now {
		t.Errorf("what it has already: %+v instead of %+v, %v", again, now, err)
	}
	_, _, err = t.fs.Dress("file", was, 0o600, 0)
	t.wants("dress of what was changed", err, disk.ErrChanged)
	if st := t.stat("file"); st != now {
		t.Errorf("Dress refused, and it is %+v", st)
	}
	f, err := t.fs.Reopen("file")
	t.must("open for writing", err)
	_, sure, err := t.fs.Dress("file", now, 0o640, 1_600_000_001_000_000_000)
	if err != nil || sure {
		t.Errorf("of a file that is open for writing it is sure: %v, %v", sure, err)
	}
	t.must("close", f.Close())
	t.mkdir("folder")
	_, _, err = t.fs.Dress("nothing", was, 0o600, 0)
	t.wants("dress of nothing", err, fs.ErrNotExist)
	_, _, err = t.fs.Dress("folder", t.stat("folder"), 0o700, 0)
	t.wants("dress of a folder", err, disk.ErrNotFile)
}

func testChtimesSymlink(t tester) {
	t.write("file", "x")
	t.must("chtimes", t.fs.Chtimes("file", 1e18))
	t.symlink("file", "link")
	t.must("chtimes", t.fs.Chtimes("link", 2e18))
	if got := t.stat("file").MTime; got != 1e18 {
		t.Errorf("the file's time went to %d", got)
	}
	if got := t.stat("link").MTime; got != 2e18 {
		t.Errorf("the link's time is %d", got)
	}
}

func testSync(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "x")
	t.must("sync folder", t.fs.SyncDir("folder"))
	t.must("sync root", t.fs.SyncDir(""))
	t.must("sync all", t.fs.SyncAll())
	t.wants("sync of a file as a folder", t.fs.SyncDir("folder/file"), disk.ErrNotFolder)
	t.wants("sync of nothing", t.fs.SyncDir("nothing"), fs.ErrNotExist)
}

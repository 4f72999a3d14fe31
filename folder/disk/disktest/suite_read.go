package disktest

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

var readLaws = []law{
	{"LstatTellsKindSizeAndName", nil, testLstat},
	{"LstatOfTheRootIsTheFolderHeldOpen", nil, testLstatRoot},
	{"LstatDescribesASymlinkNotItsTarget", symlinks, testLstatSymlink},
	{"ListIsSortedAndHidesOnlyTheReservedFolder", nil, testList},
	{"ListSaysOfEachNameWhatLstatSays", nil, testListAgrees},
	{"ListIsCompleteForManyNames", nil, testListMany},
	{"ListOfAnythingButAFolderFails", nil, testListNoFolder},
	{"ListOfASymlinkToAFolderFails", symlinks, testListSymlink},
	{"AnyBytesMakeAName", byteNames, testByteNames},
	{"NamesTooLongAreRefusedAsNames", nil, testLongName},
	{"PathsUpToTheLimitWork", longPaths, testLongPath},
	{"OpenReadsAndSeeksIndependently", nil, testOpen},
	{"OpenOpensOnlyRegularFiles", nil, testOpenNoFile},
	{"OpenDoesNotFollowASymlink", symlinks, testOpenSymlink},
	{"AnOpenFileOutlivesItsName", nil, testOpenRemoved},
	{"HolesAreTold", holes, testHoles},
	{"ReadlinkReturnsTheTargetAsStored", symlinks, testReadlink},
	{"TheDiskHasSpaceAndARoot", nil, testSpace},
	{"BusyWhileOpenForWriting", busy, testBusy},
	{"UnreadableFoldersAreErrorsNotAbsences", permissions, testUnreadable},
}

func testLstat(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "12345")
	st := t.stat("folder/file")
	if st.Name != "file" || st.Kind != shoal.KindFile || st.Size != 5 || st.Links < 1 || st.MTime == 0 {
		t.Errorf("file: %+v", st)
	}
	if st := t.stat("folder"); st.Name != "folder" || st.Kind != shoal.KindFolder {
		t.Errorf("folder: %+v", st)
	}
	t.same("the file", st, t.stat("folder/file"))
	if st.Same(t.stat("folder")) {
		t.Error("a file and a folder have one inode")
	}
}

func testLstatRoot(t tester) {
	st := t.stat("")
	if st.Name != "" || st.Kind != shoal.KindFolder {
		t.Errorf("root: %+v", st)
	}
	t.mkdir("folder")
	if t.stat("folder").Device != st.Device {
		t.Error("a folder lies on another device than the root that it is in")
	}
}

func testLstatSymlink(t tester) {
	t.write("file", "12345")
	t.symlink("file", "link")
	if st := t.stat("link"); st.Kind != shoal.KindSymlink || st.Size != 4 {
		t.Errorf("symlink: %+v", st)
	}
}

func testList(t tester) {
	t.lists("")
	t.mkdir(shoal.ReservedName)
	t.write(".shoal/kept", "")
	t.mkdir("b")
	t.mkdir("b/.shoal")
	t.write("a", "")
	t.write("b-", "")
	t.write("ä", "")
	t.lists("", "a", "b", "b-", "ä")
	t.lists("b", ".shoal")
	t.lists(".shoal", "kept")
}

func testListAgrees(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "12345")
	t.mkdir("folder/sub")
	if t.can.Symlinks {
		t.symlink("nowhere", "folder/link")
	}
	list, err := t.fs.List("folder")
	t.must("list", err)
	for _, st := range list {
		if one := t.stat("folder/" + st.Name); one != st {
			t.Errorf("list says %+v, lstat %+v", st, one)
		}
	}
}

func testListMany(t tester) {
	t.mkdir("many")
	var names []string
	for i := range 400 { // several buffers of getdents
		name := fmt.Sprintf("%04d %s", i, strings.Repeat("x", i%200))
		names = append(names, name)
		w, err := t.fs.Create("many/"+name, 0, 0o644)
		t.must("create", err)
		t.must("close", w.Close())
	}
	slices.Sort(names)
	t.lists("many", names...)
}

func testListNoFolder(t tester) {
	t.write("file", "")
	_, err := t.fs.List("file")
	t.wants("list of a file", err, disk.ErrNotFolder)
	_, err = t.fs.List("nothing")
	t.wants("list of nothing", err, fs.ErrNotExist)
	_, err = t.fs.List("nothing/below")
	t.wants("list below nothing", err, fs.ErrNotExist)
}

func testListSymlink(t tester) {
	t.mkdir("folder")
	t.symlink("folder", "link")
	_, err := t.fs.List("link")
	t.wants("list of a symlink", err, disk.ErrNotFolder)
}

func testByteNames(t tester) {
	names := []string{
		" ", "\x01", "\n", "-rf", "...", "..a", "\\", "a b", "a\nb", "a:b", "con", "nul.txt", "*?", "\"'",
		"caf\u00e9", "cafe\u0301", // NFC and NFD
		"A", "a", "\xff\xfe", "x\x80", "trailing ", "trailing.", strings.Repeat("n", 255), strings.Repeat("\xe9", 255),
	}
	slices.Sort(names)
	for i, name := range names {
		t.write(name, fmt.Sprint(i))
	}
	t.lists("", names...)
	for i, name := range names {
		t.holds(name, fmt.Sprint(i))
		t.must("remove", t.fs.Remove(name))
	}
	t.lists("")
}

func testLongName(t tester) {
	long := strings.Repeat("n", 256)
	_, err := t.fs.Create(long, 0, 0o644)
	t.wants("create", err, disk.ErrName)
	t.wants("mkdir", t.fs.Mkdir(long, 0o755), disk.ErrName)
	_, err = t.fs.Lstat(strings.Repeat("n/", 3000) + "n")
	t.wants("lstat of a path of 6,001 bytes", err, disk.ErrName)
}

func testLongPath(t tester) {
	p := ""
	for len(p) < shoal.MaxPathBytes-256 {
		p = string(shoal.Path(p).Join(strings.Repeat("n", 250)))
		t.mkdir(p)
	}
	p += "/" + strings.Repeat("f", shoal.MaxPathBytes-len(p)-1)
	t.write(p, "deep")
	t.holds(p, "deep")
	t.must("rename", t.fs.Rename(p, "high"))
	t.must("rename back", t.fs.Rename("high", p))
	if st := t.stat(p); st.Size != 4 {
		t.Errorf("at %d bytes: %+v", len(p), st)
	}
	t.must("chmod", t.fs.Chmod(p, 0o600))
	t.must("chtimes", t.fs.Chtimes(p, 1e18))
	t.must("sync", t.fs.SyncDir(string(shoal.Path(p).Parent())))
	t.must("remove", t.fs.Remove(p))
}

func testOpen(t tester) {
	t.write("file", "0123456789")
	f, err := t.fs.Open("file")
	t.must("open", err)
	defer f.Close()
	b := make([]byte, 4)
	for _, want := range []string{"0123", "4567"} {
		n, err := f.Read(b)
		t.must("read", err)
		if string(b[:n]) != want {
			t.Errorf("read %q, want %q", b[:n], want)
		}
		n, err = f.ReadAt(b, 3)
		t.must("read at", err)
		if string(b[:n]) != "3456" {
			t.Errorf("read at 3: %q", b[:n])
		}
	}
	n, err := f.ReadAt(b, 8)
	if n != 2 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	n, err = f.ReadAt(b, 100)
	if n != 0 || err != io.EOF {
		t.Errorf("read beyond the end: %d, %v", n, err)
	}
	st, err := f.Stat()
	t.must("stat", err)
	if st != t.stat("file") {
		t.Errorf("the open file says %+v", st)
	}
	t.must("close", f.Close())
	if err := f.Close(); err == nil {
		t.Error("closed twice without an error")
	}
}

func testOpenNoFile(t tester) {
	t.mkdir("folder")
	_, err := t.fs.Open("folder")
	t.wants("open folder", err, disk.ErrNotFile)
	_, err = t.fs.Reopen("folder")
	t.wants("reopen folder", err, disk.ErrNotFile)
	_, err = t.fs.Open("nothing")
	t.wants("open nothing", err, fs.ErrNotExist)
	_, err = t.fs.Reopen("nothing")
	t.wants("reopen nothing", err, fs.ErrNotExist)
	t.absent("nothing")
}

func testOpenSymlink(t tester) {
	t.write("file", "secret")
	t.symlink("file", "link")
	t.symlink("nowhere", "dangling")
	for _, p := range []string{"link", "dangling"} {
		_, err := t.fs.Open(p)
		t.wants("open "+p, err, disk.ErrNotFile)
		_, err = t.fs.Reopen(p)
		t.wants("reopen "+p, err, disk.ErrNotFile)
	}
}

func testOpenRemoved(t tester) {
	t.write("file", "still here")
	f, err := t.fs.Open("file")
	t.must("open", err)
	defer f.Close()
	t.must("rename", t.fs.Rename("file", "other"))
	t.must("remove", t.fs.Remove("other"))
	t.write("file", "another")
	b, err := io.ReadAll(f)
	t.must("read", err)
	if string(b) != "still here" {
		t.Errorf("the open file holds %q", b)
	}
}

func testHoles(t tester) {
	const size, at = 8 << 20, 4 << 20
	w, err := t.fs.Create("sparse", size, 0o644)
	t.must("create", err)
	_, err = w.WriteAt([]byte("data"), at)
	t.must("write", err)
	t.must("close", w.Close())
	f, err := t.fs.Open("sparse")
	t.must("open", err)
	defer f.Close()
	start, end, err := f.NextData(0)
	if err != nil || start < 1<<20 || start > at || end < at+4 || end > size-1<<20 {
		t.Errorf("next data from 0: %d–%d, %v", start, end, err)
	}
	_, _, err = f.NextData(end)
	if err != io.EOF {
		t.Errorf("next data after the last: %v", err)
	}
	_, _, err = f.NextData(size)
	if err != io.EOF {
		t.Errorf("next data at the end: %v", err)
	}
}

func testReadlink(t tester) {
	for i, target := range []string{"x", "../..", "/etc/passwd", "a//b/./c/", "\xff\n", strings.Repeat("t", 4095)} {
		p := fmt.Sprint(i)
		t.symlink(target, p)
		got, err := t.fs.Readlink(p)
		t.must("readlink", err)
		if got != target {
			t.Errorf("target %q came back as %q", target, got)
		}
	}
	t.write("file", "")
	_, err := t.fs.Readlink("file")
	t.wants("readlink of a file", err, fs.ErrInvalid)
	_, err = t.fs.Readlink("nothing")
	t.wants("readlink of nothing", err, fs.ErrNotExist)
}

func testSpace(t tester) {
	free, total, err := t.fs.Space()
	if err != nil || free <= 0 || total < free {
		t.Errorf("space: %d of %d free, %v", free, total, err)
	}
	t.must("check root", t.fs.CheckRoot())
}

func testBusy(t tester) {
	t.write("file", "x")
	is := func(want bool) {
		t.Helper()
		got, err := t.fs.Busy("file")
		if err != nil || got != want {
			t.Errorf("busy: %v, %v, want %v", got, err, want)
		}
	}
	is(false)
	r, err := t.fs.Open("file")
	t.must("open", err)
	defer r.Close()
	is(false)
	w, err := t.fs.Reopen("file")
	t.must("reopen", err)
	is(true)
	t.must("close", w.Close())
	is(false)
	t.mkdir("folder")
	_, err = t.fs.Busy("folder")
	t.wants("busy folder", err, disk.ErrNotFile)
	_, err = t.fs.Busy("nothing")
	t.wants("busy nothing", err, fs.ErrNotExist)
}

func testUnreadable(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "x")
	bar := func(mode uint32) {
		t.Helper()
		t.must("chmod", t.fs.Chmod("folder", mode))
	}
	defer bar(0o755)
	bar(0)
	_, err := t.fs.List("folder")
	t.wants("list of a barred folder", err, fs.ErrPermission)
	_, err = t.fs.Lstat("folder/file")
	t.wants("lstat in a barred folder", err, fs.ErrPermission)
	_, err = t.fs.Lstat("folder/nothing")
	t.wants("lstat of nothing in a barred folder", err, fs.ErrPermission)
	bar(0o400)
	_, err = t.fs.List("folder")
	t.wants("list where nothing can be looked at", err, fs.ErrPermission)
	bar(0o300)
	_, err = t.fs.List("folder")
	t.wants("list of an unreadable folder", err, fs.ErrPermission)
	if t.can.EnterOnly {
		t.stat("folder/file")
	}
	bar(0o500)
	t.lists("folder", "file")
	t.wants("mkdir in a read-only folder", t.fs.Mkdir("folder/sub", 0o755), fs.ErrPermission)
	_, err = t.fs.Create("folder/new", 0, 0o644)
	t.wants("create in a read-only folder", err, fs.ErrPermission)
	t.wants("remove in a read-only folder", t.fs.Remove("folder/file"), fs.ErrPermission)
	t.wants("rename out of a read-only folder", t.fs.Rename("folder/file", "file"), fs.ErrPermission)
	t.must("chmod", t.fs.Chmod("folder/file", 0))
	_, err = t.fs.Open("folder/file")
	t.wants("open of an unreadable file", err, fs.ErrPermission)
	t.must("chmod", t.fs.Chmod("folder/file", 0o644))
}

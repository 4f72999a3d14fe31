package disktest

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

var moveLaws = []law{
	{"RenameMovesWholeTreesAndKeepsInodes", nil, testRename},
	{"RenameNeverReplaces", nil, testRenameExclusive},
	{"RenameIntoItselfIsInvalid", nil, testRenameInside},
	{"RenameMovesASymlinkItself", symlinks, testRenameSymlink},
	{"ExchangeSwapsAnyKinds", exchange, testExchange},
	{"ExchangeNeedsBothAndNeitherInside", exchange, testExchangeRefused},
	{"RemoveTakesOneThing", nil, testRemove},
	{"RemoveOfAFullFolderIsNotEmpty", nil, testRemoveFull},
	{"RemoveDoesNotFollowASymlink", symlinks, testRemoveSymlink},
	{"RmdirTakesNothingButAnEmptyFolder", nil, testRmdir},
}

var walkLaws = []law{
	{"NamesThatArePathsOfNothingAreInvalid", nil, testInvalid},
	{"NothingWalksThroughAFile", nil, func(t tester) {
		t.write("way", "x")
		t.write("beside", "x")
		testBlocked(t)
	}},
	{"NothingWalksThroughASymlink", symlinks, func(t tester) {
		t.mkdir("real")
		t.write("real/in", "x")
		t.mkdir("real/dir")
		t.symlink("real", "way")
		t.write("beside", "x")
		testBlocked(t)
		t.lists("real", "dir", "in")
	}},
}

func testRename(t tester) {
	t.mkdir("a")
	t.write("a/file", "x")
	t.mkdir("a/sub")
	t.mkdir("b")
	file, folder := t.stat("a/file"), t.stat("a")
	t.must("rename a file", t.fs.Rename("a/file", "b/other"))
	t.absent("a/file")
	t.holds("b/other", "x")
	t.same("the file", t.stat("b/other"), file)
	t.must("rename a folder", t.fs.Rename("a", "b/inner"))
	t.absent("a")
	t.lists("b", "inner", "other")
	t.lists("b/inner", "sub")
	t.same("the folder", t.stat("b/inner"), folder)
	t.wants("rename of nothing", t.fs.Rename("nothing", "c"), fs.ErrNotExist)
	t.wants("rename to a folder that is not there", t.fs.Rename("b", "nothing/b"), fs.ErrNotExist)
}

func testRenameExclusive(t tester) {
	t.write("file", "mine")
	t.write("other", "theirs")
	t.mkdir("folder")
	t.mkdir("empty")
	for _, from := range []string{"file", "folder"} {
		for _, to := range []string{"file", "other", "folder", "empty"} {
			t.wants(fmt.Sprintf("rename %s to %s", from, to), t.fs.Rename(from, to), fs.ErrExist)
		}
	}
	if t.can.Symlinks {
		t.symlink("nowhere", "link")
		t.wants("rename over a dangling symlink", t.fs.Rename("file", "link"), fs.ErrExist)
	}
	t.holds("file", "mine")
	t.holds("other", "theirs")
	t.kind("empty", shoal.KindFolder)
}

func testRenameInside(t tester) {
	t.mkdir("a")
	t.mkdir("a/b")
	t.wants("into itself", t.fs.Rename("a", "a/c"), fs.ErrInvalid)
	t.wants("deeper into itself", t.fs.Rename("a", "a/b/c"), fs.ErrInvalid)
	t.lists("a", "b")
}

func testRenameSymlink(t tester) {
	t.mkdir("folder")
	t.symlink("folder", "link")
	t.must("rename", t.fs.Rename("link", "moved"))
	t.kind("moved", shoal.KindSymlink)
	t.kind("folder", shoal.KindFolder)
	t.absent("link")
}

func testExchange(t tester) {
	t.write("file", "x")
	t.write("other", "y")
	t.mkdir("folder")
	t.write("folder/in", "z")
	file := t.stat("file")
	t.must("two files", t.fs.Exchange("file", "other"))
	t.holds("file", "y")
	t.holds("other", "x")
	t.same("the file", t.stat("other"), file)
	t.must("a file and a full folder", t.fs.Exchange("file", "folder"))
	t.holds("folder", "y")
	t.lists("file", "in")
	if t.can.Symlinks {
		t.symlink("nowhere", "link")
		t.must("a file and a symlink", t.fs.Exchange("link", "other"))
		t.holds("link", "x")
		t.kind("other", shoal.KindSymlink)
	}
	t.mkdir("elsewhere")
	t.write("elsewhere/file", "far")
	t.must("across folders", t.fs.Exchange("elsewhere/file", "folder"))
	t.holds("folder", "far")
	t.holds("elsewhere/file", "y")
	t.must("a name and itself", t.fs.Exchange("folder", "folder"))
}

func testExchangeRefused(t tester) {
	t.mkdir("a")
	t.write("a/b", "x")
	t.wants("with nothing", t.fs.Exchange("a", "nothing"), fs.ErrNotExist)
	t.wants("nothing with", t.fs.Exchange("nothing", "a"), fs.ErrNotExist)
	t.wants("with what is inside", t.fs.Exchange("a", "a/b"), fs.ErrInvalid)
	t.wants("with what it is inside of", t.fs.Exchange("a/b", "a"), fs.ErrInvalid)
	t.holds("a/b", "x")
}

func testRemove(t tester) {
	t.write("file", "x")
	t.mkdir("folder")
	t.must("remove a file", t.fs.Remove("file"))
	t.must("remove a folder", t.fs.Remove("folder"))
	t.lists("")
	t.wants("remove nothing", t.fs.Remove("file"), fs.ErrNotExist)
}

func testRemoveFull(t tester) {
	t.mkdir("folder")
	t.write("folder/file", "x")
	for _, err := range []error{t.fs.Remove("folder"), t.fs.Rmdir("folder")} {
		t.wants("remove", err, disk.ErrNotEmpty)
		if errors.Is(err, fs.ErrExist) {
			t.Errorf("%v is also fs.ErrExist", err)
		}
	}
	t.holds("folder/file", "x")
}

func testRmdir(t tester) {
	t.mkdir("folder")
	t.write("file", "x")
	t.must("remove a folder", t.fs.Rmdir("folder"))
	t.wants("remove nothing", t.fs.Rmdir("folder"), fs.ErrNotExist)
	t.wants("remove a file", t.fs.Rmdir("file"), disk.ErrNotFolder)
	if t.can.Symlinks {
		t.mkdir("folder")
		t.symlink("folder", "link")
		t.wants("remove a symlink", t.fs.Rmdir("link"), disk.ErrNotFolder)
	}
	t.holds("file", "x")
}

func testRemoveSymlink(t tester) {
	t.mkdir("folder")
	t.symlink("folder", "link")
	t.must("remove", t.fs.Remove("link"))
	t.lists("", "folder")
}

// attempts are all operations on a path p that must fail; the tree has a file "beside".
func (t tester) attempts(p string) map[string]error {
	errs := map[string]error{}
	_, errs["lstat"] = t.fs.Lstat(p)
	_, errs["list"] = t.fs.List(p)
	_, errs["open"] = t.fs.Open(p)
	_, errs["reopen"] = t.fs.Reopen(p)
	_, errs["readlink"] = t.fs.Readlink(p)
	_, errs["create"] = t.fs.Create(p, 0, 0o644)
	_, errs["busy"] = t.fs.Busy(p)
	errs["mkdir"] = t.fs.Mkdir(p, 0o755)
	errs["remove"] = t.fs.Remove(p)
	errs["rmdir"] = t.fs.Rmdir(p)
	errs["chmod"] = t.fs.Chmod(p, 0o600)
	errs["chtimes"] = t.fs.Chtimes(p, 0)
	errs["sync"] = t.fs.SyncDir(p)
	errs["rename from"] = t.fs.Rename(p, "new")
	errs["rename to"] = t.fs.Rename("beside", p)
	if t.can.Symlinks {
		errs["symlink"] = t.fs.Symlink("x", p)
	}
	if t.can.Exchange {
		errs["exchange"] = t.fs.Exchange("beside", p)
		errs["exchange with"] = t.fs.Exchange(p, "beside")
	}
	return errs
}

func testInvalid(t tester) {
	t.write("beside", "x")
	t.mkdir("dir")
	for _, p := range []string{".", "..", "../x", "dir/..", "dir/../beside", "/", "/etc", "dir/", "dir//x", "dir/./x", "a\x00b"} {
		for op, err := range t.attempts(p) {
			t.wants(fmt.Sprintf("%s of %q", op, p), err, fs.ErrInvalid)
		}
	}
	for op, err := range t.attempts("") {
		if op != "lstat" && op != "list" && op != "sync" && err == nil {
			t.Errorf("%s of the root succeeded", op)
		}
	}
	t.holds("beside", "x")
	t.lists("", "beside", "dir")
}

// testBlocked: "way" is no folder, whatever it leads to.
func testBlocked(t tester) {
	for _, p := range []string{"way/in", "way/nothing", "way/dir/deeper"} {
		for op, err := range t.attempts(p) {
			t.wants(fmt.Sprintf("%s of %q", op, p), err, disk.ErrNotFolder)
		}
	}
	t.holds("beside", "x")
}

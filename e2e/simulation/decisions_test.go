package simulation

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// The tests here play one story each, in which a wrong decision of the engine would lose something, bring something back, or show a conflict that is none.
// Chance comes upon some of these stories too seldom.

func TestAnEditDoesNotAnswerWhatItsAuthorNeverSaw(t *testing.T) {
	s := newScript(t, "f")
	s.join(s.a, s.b)
	s.write(s.a, "f", "a")
	s.write(s.b, "f", "b")
	s.look(s.a)
	s.talk() // b has a's record, and its disk does not show it
	s.look(s.b)
	s.rest()
	s.is("f=b", "f*=a")
}

// writeLate lets a program on a's disk that has f open write to it after f was replaced by what b wrote.
func (s *script) writeLate() {
	s.Helper()
	program, err := s.a.fs.User().OpenForWriting("f")
	s.must(err)
	s.write(s.b, "f", "b")
	s.look(s.b)
	s.talk()
	s.work(s.a)
	s.tick(2 * time.Minute) // the file is replaced although the program has it open
	s.work(s.a)
	if c := contentAt(s.a, "f"); c != "b" {
		s.Fatalf("f has %q", c)
	}
	_, err = program.WriteAt([]byte("a, late"), 0)
	s.must(err)
	s.must(program.Close())
	s.later()
}

func TestLateWritesAreRecorded(t *testing.T) {
	s := newScript(t, "f")
	s.writeLate()
	s.rest()
	s.is("f=a, late", "f*=b")
}

func TestTheOwnLosingSiblingIsKept(t *testing.T) {
	s := newScript(t, "f")
	s.b.skew = time.Hour // its records win
	s.writeLate()
	s.must(s.a.eng.CheckLate(s.ctx)) // a's own record, and its disk shows b's
	s.write(s.a, "f", "a, again")
	s.look(s.a)
	s.rest()
	s.is("f=a, again", "f*=a, late")
}

func TestTheOwnWinnerThatIsNotShownYetIsKept(t *testing.T) {
	s := newScript(t, "f")
	s.writeLate()
	s.must(s.a.eng.CheckLate(s.ctx))
	s.write(s.a, "f", "a, again")
	s.look(s.a)
	s.rest()
	s.is("f=a, again", "f*=a, late")
}

func TestALateWriteDoesNotReplaceANewerEdit(t *testing.T) {
	s := newScript(t, "f")
	s.writeLate()
	s.write(s.a, "f", "a, again")
	s.look(s.a)
	s.must(s.a.eng.CheckLate(s.ctx))
	s.rest()
	s.is("f=a, again", "f*=a, late")
}

// The renamer moved an edit to the new name, and edits what it still shows there.
func TestAnEditMeetsAnEditThatWasMovedHere(t *testing.T) {
	s := newScript(t, "p")
	s.join(s.c)
	s.write(s.a, "p", "a")
	s.rename(s.b, "p", "q")
	s.look(s.a, s.b)
	s.join(s.a, s.b)
	s.talk()
	s.work(s.b) // the edit is at p
	s.must(s.b.follow())
	s.talk()
	s.join()
	s.write(s.b, "q", "b")
	s.look(s.b)
	s.rest()
	s.is("q=b", "q*=a")
}

func TestASwapLooksAtWhatCameOut(t *testing.T) {
	s := newScript(t, "f")
	s.write(s.b, "f", "b")
	s.look(s.b)
	s.talk()
	s.before(s.a, "exchange", "*", func() { s.must(s.a.fs.User().WriteFile("f", "a, a moment before")) })
	s.work(s.a)
	s.rest()
	s.is("f=a, a moment before", "f*=b")
}

func TestARemovalLooksAtWhatItTookAway(t *testing.T) {
	s := newScript(t, "f")
	s.must(s.b.fs.User().Remove("f"))
	s.look(s.b)
	s.talk()
	s.before(s.a, "rename", "f", func() { s.must(s.a.fs.User().WriteFile("f", "a, a moment before")) })
	s.work(s.a)
	s.rest()
	s.is("f=a, a moment before")
}

func TestAnUnreadableFolderIsNoEmptyFolder(t *testing.T) {
	s := newScript(t, "d/f", "d/g")
	closed := false
	s.a.fs.Fail = func(op, p string) error {
		if closed && (p == "d" && op == "list" || p == "d/f" || p == "d/g") {
			return syscall.EACCES
		}
		return nil
	}
	closed = true
	s.look(s.a)
	closed = false
	for _, p := range []shoal.Path{"d/f", "d/g"} {
		if n := s.records(s.a, p); n != 1 {
			t.Errorf("%s has %d records that are no deletions", p, n)
		}
	}
	s.rest()
	s.is("d/f=old d/f", "d/g=old d/g")
}

// A file system that is changed while it is listed may leave a name out that was there all the time.
func TestANameThatAListingLeftOutIsLookedAt(t *testing.T) {
	s := newScript(t, "d/f", "d/g")
	away := func() { s.must(s.a.fs.User().Rename("d/f", "aside")) }
	back := func() { s.must(s.a.fs.User().Rename("aside", "d/f")) }
	listed := false
	s.a.fs.Fail = func(op, p string) error {
		switch {
		case op == "list" && p == "d" && !listed:
			listed = true
			away()
		case op == "lstat" && p == "d/f" && s.a.fs.User().Exists("aside"):
			back()
		}
		return nil
	}
	s.look(s.a)
	if !listed {
		t.Fatal("the folder was not listed")
	}
	if s.a.fs.User().Exists("aside") {
		back()
	}
	if n := s.records(s.a, "d/f"); n != 1 {
		t.Errorf("d/f has %d records that are no deletions: it was never away", n)
	}
	s.rest()
	s.is("d/f=old d/f", "d/g=old d/g")
}

func TestAChmodIsNoConflictWithAnEdit(t *testing.T) {
	s := newScript(t, "f")
	s.join()
	s.write(s.b, "f", "b")
	s.look(s.b)
	s.write(s.b, "f", "b, better") // what a's disk shows is not what this replaced, so only its origin tells
	s.later()
	s.must(s.a.fs.User().Chmod("f", 0o600))
	s.look(s.a, s.b)
	s.rest()
	s.is("f=b, better")
	if st, err := s.c.fs.User().Lstat("f"); err != nil || st.Mode != 0o600 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
}

func TestAFolderIsRemovedAndNothingThatTookItsPlace(t *testing.T) {
	s := newScript(t, "f")
	s.must(s.b.fs.User().MkdirAll("d"))
	s.look(s.b)
	s.talk()
	s.work(s.a)
	s.must(s.b.fs.User().Remove("d"))
	s.look(s.b)
	s.talk()
	s.before(s.a, "rmdir", "d", func() {
		s.must(s.a.fs.User().Remove("d"))
		s.must(s.a.fs.User().WriteFile("d", "a, a moment before"))
	})
	s.work(s.a)
	s.rest()
	s.is("d=a, a moment before", "f=old f")
}

// The empty folder that b put in the place of c's file yields to the file of a. What b then deletes was c's only in b's own journal.
func TestADeletionCoversWhatItsAuthorReplacedBefore(t *testing.T) {
	s := newScript(t, "z")
	s.join(s.b, s.c)
	s.write(s.c, "f", "c")
	s.look(s.c)
	s.talk()
	s.work(s.b)
	s.join()
	s.must(s.b.fs.User().Remove("f"))
	s.must(s.b.fs.User().MkdirAll("f"))
	s.write(s.a, "f", "a")
	s.look(s.a, s.b)
	s.join(s.a, s.b, s.c)
	s.rest()
	s.is("f=a", "z=old z")
	s.must(s.b.fs.User().Remove("f"))
	s.look(s.b)
	s.rest()
	s.is("z=old z")
}

// The power goes after a swap is durable and before the base is committed: what stands there was not written by a user, however much has changed meanwhile.
func TestARestartKnowsItsOwnSwap(t *testing.T) {
	s := newScript(t, "f")
	s.write(s.b, "f", "b")
	s.look(s.b)
	s.talk()
	s.before(s.a, "syncdir", "", func() {
		if c := contentAt(s.a, "f"); c != "b" {
			t.Errorf("the power goes when f has %q", c)
		}
		s.must(s.a.fs.User().Sync())
		panic(disktest.Crashed)
	})
	s.work(s.a)
	for _, c := range []string{"b, second", "b, third"} {
		s.write(s.b, "f", c)
		s.look(s.b)
	}
	s.talk()
	s.look(s.a)
	if n := s.records(s.a, "f"); n != 2 {
		t.Errorf("%d records: what was swapped in was recorded", n)
	}
	s.rest()
	s.is("f=b, third")
}

func TestAVanishedRootIsNoDeletion(t *testing.T) {
	s := newScript(t, "f", "g")
	s.must(s.a.fs.User().RemoveAll(".shoal"))
	s.must(s.a.fs.User().Remove("f"))
	s.must(s.a.fs.User().Remove("g"))
	s.tick(10 * time.Second)
	if err := s.a.scan(true); err == nil {
		t.Error("a root without our marker was looked at")
	}
	if n := s.records(s.a, "f"); n != 1 {
		t.Errorf("f has %d records that are no deletions", n)
	}
}

func TestAnEmptiedFolderIsAskedAbout(t *testing.T) {
	files := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}
	s := newScript(t, files...)
	for _, f := range files {
		s.must(s.a.fs.User().Remove(f))
	}
	s.look(s.a)
	s.talk()
	s.work(s.b)
	if n := s.a.eng.HeldDeletions(); n != len(files) {
		t.Errorf("%d deletions wait for an answer, want %d", n, len(files))
	}
	if c := contentAt(s.b, "a"); c == "" {
		t.Error("b deleted what nobody confirmed")
	}
	s.must(s.a.eng.RestoreDeletions(s.ctx))
	s.rest()
	if c := contentAt(s.a, "a"); c != "old a" {
		t.Errorf("a was restored with %q", c)
	}
}

func TestWhoJoinsAnewOverridesNothing(t *testing.T) {
	s := newScript(t, "f", "g", "h")
	s.must(s.a.loseDatabase())
	s.write(s.a, "f", "a")
	s.must(s.a.fs.User().Remove("g"))
	s.write(s.a, "new", "a")
	s.rest()
	s.is("f=old f", "f*=a", "g=old g", "h=old h", "new=a")
}

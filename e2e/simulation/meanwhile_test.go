package simulation

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// refuse makes the next operation of this kind on p fail.
func (d *device) refuse(op, p string) {
	inner := d.fs.Fail
	d.fs.Fail = func(o, q string) error {
		if o != op || q != p {
			return inner(o, q)
		}
		d.fs.Fail = inner
		return injected{&fs.PathError{Op: op, Path: p, Err: fs.ErrPermission}}
	}
}

// touched has a file on all devices, and a new time of it from a on its way to b.
func touched(t *testing.T) *script {
	s := newScript(t, "f")
	s.later()
	s.must(s.a.fs.User().Chtimes("f", s.now.UnixNano()))
	s.must(s.a.fs.User().Sync())
	s.look(s.a)
	s.talk()
	return s
}

// What a user writes while the time of the old content is set is an edit, also where that time makes it look like the old one (seed 310279).
func TestAFileWrittenWhileItsTimeIsSetIsAnEdit(t *testing.T) {
	for _, moment := range []struct{ op, path string }{
		{"dress", "f"}, {"remove", ".shoal/intents"}, {"create", ".shoal/intents"}, {"syncdir", ".shoal"},
	} {
		t.Run(moment.op+" "+moment.path, func(t *testing.T) {
			s := touched(t)
			s.before(s.b, moment.op, moment.path, func() { s.must(s.b.fs.User().WriteFile("f", "new f")) })
			s.work(s.b)
			s.rest()
			s.is("f=new f")
		})
	}
}

// What a user saves in the moment in which a content that came was put in its place is an edit of it.
func TestAFileSavedRightAfterItWasPutThereIsAnEdit(t *testing.T) {
	for name, save := range map[string]func(u disktest.User, p string) error{
		"in place": func(u disktest.User, p string) error { return u.WriteFile(p, "mine") },
		"by its editor": func(u disktest.User, p string) error {
			return errors.Join(u.WriteFile("other", "mine"), u.Remove(p), u.Rename("other", p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.write(s.a, "f", "from a")
			s.look(s.a)
			s.talk()
			s.before(s.b, "rename", "*", func() {
				s.before(s.b, "lstat", "f", func() { s.must(save(s.b.fs.User(), "f")) })
			})
			s.work(s.b)
			s.rest()
			s.is("f=mine")
		})
	}
}

// Who deletes a content in the moment in which it was put there has deleted it.
func TestAFileDeletedRightAfterItWasPutThereStaysDeleted(t *testing.T) {
	s := newScript(t)
	s.write(s.a, "f", "from a")
	s.look(s.a)
	s.talk()
	s.before(s.b, "rename", "*", func() {
		s.before(s.b, "lstat", "f", func() { s.must(s.b.fs.User().Remove("f")) })
	})
	s.work(s.b)
	s.rest()
	s.is()
}

// A file that its user deletes or replaces while its rename is being prepared keeps nothing else of that batch from being done
// (TestAMeshOfVaultsConvergesThroughChurn, seed 1, hour 94).
func TestARenameWhoseFileGoesMeanwhileHoldsNothingUp(t *testing.T) {
	for name, meanwhile := range map[string]func(u disktest.User) error{
		"deleted": func(u disktest.User) error { return u.Remove("f") },
		"renamed": func(u disktest.User) error { return u.Rename("f", "mine") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, "f", "other")
			s.rename(s.a, "f", "g")
			s.rename(s.a, "other", "another")
			s.look(s.a)
			s.talk()
			s.before(s.b, "lstat", "f", func() { // when it is prepared
				s.before(s.b, "lstat", "f", func() { s.must(meanwhile(s.b.fs.User())) }) // when its intent is written
			})
			s.work(s.b)
			if u := s.b.fs.User(); !u.Exists("another") {
				t.Errorf("the other rename was not done:\n%s", u.Dump())
			}
			s.rest()
			if name == "deleted" {
				s.is("another=old other", "g=old f")
			} else {
				s.is("another=old other", "g=old f", "mine=old f")
			}
		})
	}
}

// Names that could not be made durable are no reason to give up: what was put there is found and adopted (seed 312871).
func TestWhatWasPutInPlaceIsAdoptedWhenItsNameCouldNotBeMadeDurable(t *testing.T) {
	s := newScript(t)
	s.write(s.a, "f", "from a")
	s.look(s.a)
	s.talk()
	s.before(s.b, "rename", "*", func() { s.b.refuse("syncdir", "") })
	s.work(s.b)
	s.work(s.b)
	s.rest()
	s.is("f=from a")
	for _, d := range s.devices {
		if n := s.records(d, "f"); n != 1 {
			t.Errorf("%s has %d records of a file that was written once", d.name, n)
		}
	}
}

// Who puts a folder in the place of a file whose time was just set wins, and nothing is wrong with the disk (seed 321941).
func TestAFolderInThePlaceOfAFileThatIsMadeDurableIsNoError(t *testing.T) {
	s := touched(t)
	s.before(s.b, "dress", "f", func() {
		s.before(s.b, "reopen", "f", func() {
			u := s.b.fs.User()
			s.must(errors.Join(u.Remove("f"), u.MkdirAll("f"), u.WriteFile("f/x", "mine")))
		})
	})
	s.work(s.b)
	s.rest()
	s.is("f/x=mine")
}

// A folder that could not be listed, and is a file by now, is no problem any more (seed 305491).
func TestAFolderThatBecameAFileIsNotUnreadable(t *testing.T) {
	s := newScript(t, "d/x")
	u := s.a.fs.User()
	s.must(u.Remove("d/x"))
	s.must(u.Remove("d"))
	s.write(s.a, "d", "a file")
	s.look(s.a)
	s.a.refuse("list", "d")
	s.must(s.a.eng.Scan(s.ctx, "d"))
	s.rest()
	s.is("d=a file")
	for _, p := range s.a.eng.Problems() {
		t.Errorf("%s: %s: %s", p.Path, p.Kind, p.Message)
	}
}

// A mode that a user gives a folder in the moment in which it gets the one that came is never taken for what this disk makes of modes: all devices show
// one mode in the end (seed 1114763).
func TestAFolderGetsItsModeWhileAUserChangesIt(t *testing.T) {
	chmod := func(s *script) { s.must(s.b.fs.User().Chmod("d", 0o700)) }
	t.Run("of one that was there", func(t *testing.T) {
		s := newScript(t, "d/x")
		s.must(s.a.fs.User().Chmod("d", 0o555))
		s.look(s.a)
		s.talk()
		s.before(s.b, "chmod", "d", func() { s.before(s.b, "lstat", "d", func() { chmod(s) }) })
		s.work(s.b)
		s.rest()
	})
	for looks := range 4 { // of the engine's, until the user acts
		t.Run(fmt.Sprint("of one that is made, before look ", looks), func(t *testing.T) {
			s := newScript(t)
			s.must(s.a.fs.User().MkdirAll("d"))
			s.look(s.a)
			s.talk()
			left, inner := looks+1, s.b.fs.Fail
			s.b.fs.Fail = func(op, p string) error {
				if op == "lstat" && p == "d" && s.b.fs.User().Exists("d") {
					if left--; left == 0 {
						chmod(s)
					}
				}
				return inner(op, p)
			}
			s.work(s.b)
			s.rest()
		})
	}
}

// A folder that stands for what is in it may be recorded after a file came to its path: nobody chose between the two by that, and who deletes the file
// where it was written deletes its copy (seed 1105343).
func TestAFolderThatIsRecordedLateAnswersNoConflict(t *testing.T) {
	s := newScript(t)
	s.must(s.a.fs.User().MkdirAll("d"))
	s.write(s.a, "d/x", "x")
	s.must(s.a.eng.Scan(s.ctx, "d"))
	s.write(s.c, "d", "a file")
	s.look(s.c)
	s.talk()
	s.work(s.a)
	s.copyOn(s.a)
	s.look(s.a)
	s.must(s.c.fs.User().Remove("d"))
	s.look(s.c)
	s.rest()
	s.is("d/x=x")
}

// What is swapped back to where it had been moved away from is kept, also by one who had never seen it there (seeds 1150445 and 1155437).
func TestWhatIsMovedBackIsNotWhatWasMovedAway(t *testing.T) {
	for _, touch := range []bool{false, true} { // then the rename is not seen as one
		for _, other := range []bool{false, true} { // b has another file there when it swaps
			t.Run(fmt.Sprintf("touched %v, other %v", touch, other), func(t *testing.T) {
				s := newScript(t)
				s.write(s.a, "d", "moved")
				s.look(s.a)
				s.rename(s.a, "d", "b")
				if touch {
					s.later()
					s.must(s.a.fs.User().Chtimes("b", s.now.UnixNano()))
				}
				s.must(s.a.fs.User().Sync())
				s.look(s.a)
				want := []string{"d=moved"}
				if other {
					s.write(s.c, "d", "other")
					s.look(s.c)
					want = []string{"b=other", "d=moved"}
				}
				s.talk()
				s.work(s.b)
				u := s.b.fs.User()
				s.must(u.Rename("b", "swap.tmp"))
				if other {
					s.must(u.Rename("d", "b"))
				}
				s.must(errors.Join(u.Rename("swap.tmp", "d"), u.Sync()))
				s.look(s.b)
				s.rest()
				s.is(want...)
			})
		}
	}
}

package simulation

import (
	"errors"
	"testing"
	"time"
)

// The stories here are about conflict copies: which stay, which go, and what counts as an answer.

// The user deleted a file while it was all there was. Before that was seen the file had become the loser of a conflict, and a copy of it was made.
func TestACopyOfWhatWasJustDeletedIsNotKept(t *testing.T) {
	s := newScript(t, "z")
	s.winsApart()
	s.must(s.b.fs.User().Remove("f"))
	s.join(s.a, s.b, s.c)
	s.talk()
	s.work(s.b) // it makes the copy, and finds that f is not as it should be
	s.rest()
	s.is("f=c", "z=old z")
}

// The copy of what loses stands already, and the winner has not come: the path still shows what loses, and that is what the user deletes.
func TestACopyOfWhatIsDeletedBesideItIsNotKept(t *testing.T) {
	for how, do := range map[string]func(*script) error{
		"deleted":              func(s *script) error { return s.b.fs.User().Remove("f") },
		"replaced by a folder": func(s *script) error { return errors.Join(s.b.fs.User().Remove("f"), s.b.fs.User().Mkdir("f")) },
		"overwritten":          func(s *script) error { return s.b.fs.User().WriteFile("f", "b") },
	} {
		t.Run(how, func(t *testing.T) {
			s := newScript(t, "z")
			s.winsApart()
			s.join(s.b, s.c)
			s.talk()
			s.join()
			s.work(s.b)
			if got := len(s.b.fs.User().Tree()); got != 3 {
				t.Fatalf("b shows %d names, want f, its copy and z", got)
			}
			s.must(do(s))
			s.look(s.b)
			s.rest()
			for _, d := range s.devices {
				for c := range s.oracle.shown(d) {
					if c == "a" {
						t.Errorf("%s shows what was deleted:\n%s", d.name, d.fs.User().Dump())
					}
				}
			}
		})
	}
}

// As above, but the user moves what the path still shows over the copy, which is equal: its content is wanted at that name.
func TestWhatIsMovedOverItsCopyIsKept(t *testing.T) {
	s := newScript(t, "z")
	s.winsApart()
	s.join(s.b, s.c)
	s.talk()
	s.join()
	s.work(s.b)
	s.must(s.b.fs.User().Rename("f", s.copyOn(s.b)))
	s.look(s.b)
	s.rest()
	s.is("f=c", "f*=a", "z=old z")
}

// A user wrote a file where others have a conflict, whose copy stands beside it already, and somebody sets the copy's mode to what it is. That is no
// change of the copy, so the file's record, which has seen the copy, must keep it.
func TestACopyThatWasOnlyLookedAtIsKept(t *testing.T) {
	s := newScript(t, "z")
	s.join()
	s.write(s.a, "f", "a")
	s.look(s.a)
	s.now = s.now.Add(time.Hour) // c wins
	s.write(s.c, "f", "c")
	s.look(s.c)
	s.join(s.a, s.b, s.c)
	s.talk()
	s.write(s.b, "f", "b")
	s.work(s.b)
	s.must(s.b.fs.User().Chmod(s.copyOn(s.b), 0o644))
	s.look(s.b)
	s.rest()
	s.is("f=b", "f*=a", "f*=c", "z=old z")
}

// An edit answers a conflict when its author could see the copy.
func TestAnEditBeforeTheCopyIsShownIsNoAnswer(t *testing.T) {
	s := newScript(t, "z")
	s.join()
	s.write(s.c, "f", "c")
	s.look(s.c)
	s.now = s.now.Add(time.Hour) // a wins
	s.write(s.a, "f", "a")
	s.look(s.a)
	s.write(s.a, "f", "a, again")
	s.join(s.a, s.c)
	s.talk()
	s.work(s.a)
	s.join()
	s.must(s.c.fs.User().Remove("f"))
	s.look(s.a, s.c)
	s.join(s.a, s.b, s.c)
	s.rest()
	s.is("f=a, again", "z=old z")
}

// The edit settles the conflict and makes the copies that it saw ordinary files; not the one that was deleted in the same look.
func TestACopyDeletedWithAnEditOfItsWinnerStaysDeleted(t *testing.T) {
	s := newScript(t, "f")
	s.write(s.a, "f", "a")
	s.write(s.b, "f", "b")
	s.look(s.a, s.b)
	s.rest()
	s.must(s.a.fs.User().Remove(s.copyOn(s.a)))
	s.write(s.a, "f", "settled")
	s.look(s.a)
	s.rest()
	s.is("f=settled")
}

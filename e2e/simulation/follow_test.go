package simulation

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/shoalmesh/shoal/index"
)

// What follows a rename that its author had not seen, and what does not.

func TestAnEditFollowsARenameOnce(t *testing.T) {
	s := newScript(t, "p")
	s.join()
	s.write(s.a, "p", "edited")
	s.rename(s.b, "p", "q")
	s.look(s.a, s.b)
	s.join(s.b, s.c)
	s.talk()
	s.work(s.c) // c has the old content at q
	s.join()
	s.rename(s.c, "q", "r")
	s.look(s.c)
	s.join(s.a, s.b)
	s.talk()
	s.must(s.a.follow())
	s.talk()
	s.work(s.a, s.b) // the edit is at q, where a moved it; c renamed q without having seen that
	s.rest()
	s.is("q=edited", "r=old p")
}

// The renamer knows of the new file and does not have it. Were it recorded at its new name by now, all would want for ever what its author replaces.
func TestNobodyRecordsAContentThatItDoesNotHave(t *testing.T) {
	s := newScript(t, "d/x")
	s.write(s.b, "d/new", "b")
	s.look(s.b)
	s.talk()
	s.join(s.b)
	s.rename(s.a, "d", "e")
	s.look(s.a)
	s.must(s.a.follow())
	s.must(s.b.fs.User().Remove("d/new"))
	s.must(s.b.fs.User().MkdirAll("d/new"))
	s.look(s.b)
	s.join()
	s.rest()
	s.is("e/x=old d/x")
}

func TestTheLastOfSeveralEditsFollowsARename(t *testing.T) {
	for _, renamer := range []int{0, 1, 2} { // one of them made the file
		s := newScript(t, "p")
		s.join()
		r, w := s.devices[renamer], s.devices[(renamer+1)%3]
		for _, text := range []string{"once", "twice", "three times"} {
			s.write(w, "p", text)
			s.look(w)
		}
		s.rename(r, "p", "q")
		s.look(r)
		s.join(s.a, s.b, s.c)
		s.talk()
		s.work(w) // it shows what was moved
		s.rest()
		s.is("q=three times")
	}
}

// Two files of one name were made by two who knew nothing of each other; one was then renamed, the other edited: not an edit of what was renamed.
func TestAnotherFileOfTheNameDoesNotFollowARename(t *testing.T) {
	s := newScript(t, "z")
	s.join()
	s.write(s.a, "f", "a")
	s.write(s.b, "f", "b")
	s.look(s.a, s.b)
	s.write(s.b, "f", "b, again")
	s.rename(s.a, "f", "g")
	s.look(s.a, s.b)
	s.join(s.a, s.b, s.c)
	s.talk()
	s.work(s.b) // b shows what a moved to g
	s.rest()
	s.is("f=b, again", "g=a", "z=old z")
}

// A file that takes a folder's place is often seen while it is still empty; what it says then is an edit of an empty file.
func TestAFileInAFoldersPlaceDoesNotFollowTheFolder(t *testing.T) {
	s := newScript(t, "d/x")
	s.join()
	s.rename(s.b, "d", "e")
	s.must(s.a.fs.User().Remove("d/x"))
	s.must(s.a.fs.User().Remove("d"))
	for _, text := range []string{"", "file"} {
		s.write(s.a, "d", text)
		s.look(s.a, s.b)
	}
	s.join(s.a, s.b, s.c)
	s.rest()
	s.is("d=file", "e/x=old d/x")
}

// Two files were swapped by one, and one of them got the other's name elsewhere: what stands in its place now is another file, not
// an edit of it, and does not go after it and replace it.
func TestASwappedFileDoesNotFollowTheOther(t *testing.T) {
	for name, seen := range map[string]bool{"both were known": true, "one was new": false} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, "p")
			s.join()
			s.write(s.a, "q", "new q")
			if seen {
				s.look(s.a)
			}
			s.rename(s.a, "p", "swap")
			s.rename(s.a, "q", "p")
			s.rename(s.a, "swap", "q")
			s.look(s.a)
			s.rename(s.b, "p", "q")
			s.look(s.b)
			s.join(s.a, s.b, s.c)
			s.rest()
			s.is("p=new q", "q=old p")
		})
	}
}

// An edit was recorded under the new name of a file that was renamed elsewhere, and the user saves it once more before it is moved:
// what was saved first is nowhere, and must not be waited for.
func TestASaveBeforeTheFollowedEditIsMovedGoesAfterIt(t *testing.T) {
	s := newScript(t, "p")
	s.join()
	s.write(s.a, "p", "first")
	s.rename(s.b, "p", "q")
	s.look(s.a, s.b)
	s.join(s.a, s.b)
	s.talk()
	s.must(s.a.follow())
	s.write(s.a, "p", "second")
	s.join(s.a, s.b, s.c)
	s.rest()
	s.is("q=second")
}

// As above, and the user deletes the file: it is deleted under its new name, whoever finds out that it is gone (seeds 1411235 and 1411491).
func TestADeletionBeforeTheFollowedEditIsMovedGoesAfterIt(t *testing.T) {
	for name, find := range map[string]func(s *script){
		"a scan finds it":    func(s *script) { s.look(s.a) },
		"the move finds out": func(*script) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, "p", "z")
			s.join()
			s.write(s.a, "p", "edited")
			s.rename(s.b, "p", "q")
			s.look(s.a, s.b)
			s.join(s.a, s.b)
			s.talk()
			s.must(s.a.follow())
			s.must(s.a.fs.User().Remove("p"))
			find(s)
			s.work(s.a)
			s.join(s.a, s.b, s.c)
			s.rest()
			s.is("z=old z")
		})
	}
}

// The recipe of a long file is not in its record.
func TestAnEditOfALongFileFollowsARename(t *testing.T) {
	s := newScript(t, "p")
	s.join()
	long := make([]byte, 24<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(long)
	s.write(s.a, "p", string(long))
	s.rename(s.b, "p", "q")
	s.look(s.a, s.b)
	s.join(s.a, s.b)
	s.talk()
	for _, d := range []*device{s.b, s.a} { // b, which has no block of it, leaves it to a
		s.must(d.follow())
		s.talk()
		s.must(s.b.idx.View(func(tx *index.Tx) error {
			p, err := tx.Desired("p")
			q, err2 := tx.Desired("q")
			if p == nil == (d == s.b) || q == nil || (q.Size == int64(len(long))) != (d == s.a) {
				t.Errorf("after %s looked, b wants %v at p and %v at q", d.name, p, q)
			}
			return errors.Join(err, err2)
		}))
	}
}

package folder_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// fat is a disk as on most USB sticks, and apple one as on most Macs.
var (
	fat = disktest.Options{
		FoldCase: true, StripDots: true, BadChars: "\\:*?\"<>|", NoModes: true, NoSymlinks: true, NoExchange: true, Granularity: int64(2 * time.Second),
	}
	apple = disktest.Options{FoldCase: true, Normalize: true}
)

// The composed and the decomposed form of one text.
const (
	composed   = "caf\u00e9"
	decomposed = "cafe\u0301"
)

// good and odd are the two devices of these tests.
func goodAndOdd(t *testing.T, odd disktest.Options) (*world, *device, *device) {
	w := newWorld(t, disktest.Options{}, odd)
	return w, w.devices[0], w.devices[1]
}

func write(w *world, d *device, p, text string) {
	w.t.Helper()
	w.must(d.fs.User().MkdirAll(string(shoal.Path(p).Parent())))
	w.must(d.fs.User().WriteFile(p, text))
}

// untouched runs the mesh and checks that the odd disk writes no record and leaves the good one as it is.
func untouched(t *testing.T, w *world, good, odd *device) {
	t.Helper()
	before := good.shows()
	w.meet()
	w.meet()
	if after := good.shows(); after != before {
		t.Errorf("the good disk was\n%s\nand is\n%s", before, after)
	}
	if n := odd.wrote(); n > 0 {
		t.Errorf("the odd disk wrote %d records, nobody changed anything there", n)
	}
}

func TestTwinsOfADiskThatKnowsOnlyOneOfThem(t *testing.T) {
	for _, c := range []struct{ name, a, b, inA, inB string }{
		{"case", "a", "A", "", ""},
		{"Unicode", composed, decomposed, "", ""},
		{"folders", "d", "D", "/x", "/y"},
		{"below", "d/sub", "d/SUB", "/x", "/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, good, odd := goodAndOdd(t, apple)
			write(w, good, c.a+c.inA, "one")
			write(w, good, c.b+c.inB, "two")
			untouched(t, w, good, odd)
			if got := odd.texts(); len(got) != 1 {
				t.Fatalf("the odd disk shows %q, want one of the twins", odd.names())
			}
			kept, excused, inside := c.a, c.b, c.inB
			if slices.Contains(odd.names(), c.b) {
				kept, excused, inside = c.b, c.a, c.inA
			}
			if !odd.problem("name", shoal.Path(excused)) {
				t.Errorf("%s is not reported: %v", excused, odd.eng.Problems())
			}
			if odd.eng.Excused()[shoal.Path(excused+inside)] == "" {
				t.Errorf("%s counts as owed for ever", excused+inside)
			}
			// When the twin goes, the other one comes.
			w.must(good.fs.User().RemoveAll(kept))
			w.meet()
			if got, want := odd.texts(), good.texts(); !slices.Equal(got, want) {
				t.Errorf("after the twin went the odd disk has %q, the good one %q", got, want)
			}
			if left := odd.eng.Problems(); len(left) > 0 {
				t.Errorf("problems are left: %v", left)
			}
		})
	}
}

func TestAnEditOfOneTwinLeavesTheOther(t *testing.T) {
	w, good, odd := goodAndOdd(t, apple)
	write(w, good, "a", "one")
	w.meet()
	write(w, good, "A", "two")
	w.meet()
	w.must(odd.fs.User().WriteFile("a", "edited"))
	w.meet()
	if got := good.texts(); !slices.Equal(got, []string{"edited", "two"}) {
		t.Errorf("the good disk has %q", got)
	}
}

func TestWhatTheDiskCannotHoldIsKeptForOthers(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	write(w, good, "plan: b.txt", "colon")
	write(w, good, "x:y/z.txt", "inside")
	write(w, good, "end.", "dot")
	w.must(good.fs.User().Symlink("plain", "link"))
	write(w, good, "plain", "plain")
	untouched(t, w, good, odd)
	if got := odd.names(); !slices.Equal(got, []string{"plain"}) {
		t.Errorf("the odd disk shows %q", got)
	}
	for _, p := range []shoal.Path{"plan: b.txt", "x:y", "end.", "link"} {
		if !odd.problem("name", p) {
			t.Errorf("%s is not reported: %v", p, odd.eng.Problems())
		}
	}
	if odd.eng.Excused()["x:y/z.txt"] == "" {
		t.Error("what is in a folder that the disk can't hold counts as owed for ever")
	}
	// A third device that gets everything from the odd one only would have the records; the good one still serves the rest.
	w.must(good.fs.User().Rename("plan: b.txt", "plan b.txt"))
	w.meet()
	if got := odd.names(); !slices.Equal(got, []string{"plain", "plan b.txt"}) {
		t.Errorf("after the rename the odd disk shows %q", got)
	}
}

func TestModesAndTimesComeBackFromADiskWithoutThem(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	u := good.fs.User()
	write(w, good, "secret", "one")
	w.must(u.Chmod("secret", 0o600))
	w.must(u.Chtimes("secret", 1_600_000_001_987_654_321))
	write(w, good, "dir/moved", "two")
	w.must(u.Chmod("dir/moved", 0o640))
	w.must(u.Chtimes("dir/moved", 1_600_000_003_987_654_321))
	w.must(u.Chmod("dir", 0o700))
	untouched(t, w, good, odd)

	w.must(odd.fs.User().WriteFile("secret", "edited"))
	w.must(odd.fs.User().Rename("dir/moved", "dir/here"))
	w.meet()
	for p, mode := range map[string]uint32{"secret": 0o600, "dir/here": 0o640, "dir": 0o700} {
		if st, err := u.Lstat(p); err != nil || st.Mode != mode {
			t.Errorf("%s has mode %o, want %o: %v", p, st.Mode, mode, err)
		}
	}
	if st, err := u.Lstat("dir/here"); err != nil || st.MTime != 1_600_000_003_987_654_321 {
		t.Errorf("the renamed file has time %d: %v", st.MTime, err)
	}
	if got, err := u.ReadFile("secret"); got != "edited" || err != nil {
		t.Errorf("the edit is %q, %v", got, err)
	}
}

// TestInodesThatChangeAreNoEdit: FAT gives out inode numbers anew each time that it is mounted.
func TestInodesThatChangeAreNoEdit(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	write(w, good, "secret", "one")
	w.must(good.fs.User().Chmod("secret", 0o600))
	w.must(good.fs.User().Chtimes("secret", 1_600_000_001_987_654_321))
	w.meet()
	u := odd.fs.User()
	st, err := u.Lstat("secret")
	w.must(err)
	w.must(u.Rename("secret", ".save~"))
	w.must(u.WriteFile("secret", "one"))
	w.must(u.Chtimes("secret", st.MTime))
	w.must(u.Remove(".save~"))
	untouched(t, w, good, odd)
}

// TestTwoEditsWithinOneTickOfTheClock: the second has the size and the time of the first.
func TestTwoEditsWithinOneTickOfTheClock(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	write(w, good, "new", "000")
	w.meet()
	w.tick(time.Duration(2e9 - w.now.UnixNano()%2e9)) // the clock of the disk has just moved on
	w.must(odd.fs.User().WriteFile("new", "111"))
	w.tick(500 * time.Millisecond)
	odd.look()
	w.must(odd.fs.User().WriteFile("new", "222"))
	w.meet()
	if got := good.texts(); !slices.Equal(got, []string{"222"}) {
		t.Errorf("the good disk has %q", got)
	}
	// The same right after another device's edit was put there.
	w.tick(time.Duration(2e9 - w.now.UnixNano()%2e9))
	w.must(good.fs.User().WriteFile("new", "333"))
	good.look()
	w.exchange()
	odd.work()
	if got := odd.texts(); !slices.Equal(got, []string{"333"}) {
		t.Fatalf("the odd disk has %q", got)
	}
	w.tick(500 * time.Millisecond)
	w.must(odd.fs.User().WriteFile("new", "444"))
	w.meet()
	if got := good.texts(); !slices.Equal(got, []string{"444"}) {
		t.Errorf("the good disk has %q", got)
	}
}

func TestRespellingSpreads(t *testing.T) {
	for name, other := range map[string]disktest.Options{"from an odd disk": {}, "between odd disks": apple} {
		t.Run(name, func(t *testing.T) {
			w, a, odd := goodAndOdd(t, apple)
			if other.FoldCase {
				w = newWorld(t, apple, apple)
				a, odd = w.devices[0], w.devices[1]
			}
			write(w, a, "notes/readme", "one")
			write(w, a, "notes/"+composed, "two")
			w.meet()
			w.must(odd.fs.User().Rename("notes/readme", "notes/README"))
			w.must(odd.fs.User().Rename("notes/"+composed, "notes/"+decomposed))
			w.meet()
			w.must(odd.fs.User().Rename("notes", "Notes"))
			w.meet()
			want := []string{"Notes", "Notes/README", "Notes/" + decomposed}
			slices.Sort(want)
			for _, d := range w.devices {
				if got := d.names(); !slices.Equal(got, want) {
					t.Errorf("a disk shows %q, want %q; %v", got, want, d.eng.Problems())
				}
			}
		})
	}
}

func TestRespellingArrivesAtAnOddDisk(t *testing.T) {
	for name, o := range map[string]disktest.Options{"apple": apple, "fat": fat} {
		t.Run(name, func(t *testing.T) {
			w, good, odd := goodAndOdd(t, o)
			write(w, good, "notes/readme", "one")
			write(w, good, "notes/deep/er", "two")
			w.must(good.fs.User().Mkdir("empty"))
			w.meet()
			w.must(good.fs.User().Rename("notes/readme", "notes/README"))
			w.must(good.fs.User().Rename("notes", "Notes"))
			w.must(good.fs.User().Rename("empty", "EMPTY"))
			w.meet()
			if got, want := odd.names(), good.names(); !slices.Equal(got, want) {
				t.Errorf("the odd disk shows %q, the good one %q; %v", got, want, odd.eng.Problems())
			}
			if len(odd.eng.Problems()) > 0 {
				t.Errorf("problems: %v", odd.eng.Problems())
			}
		})
	}
}

// TestAnEditDoesNotFollowToWhereItCannotBe: the device with the odd disk has the only copy of the edit.
func TestAnEditDoesNotFollowToWhereItCannotBe(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	write(w, good, "plan", "one")
	w.meet()
	w.must(odd.fs.User().WriteFile("plan", "edited"))
	w.must(good.fs.User().Rename("plan", "plan: b"))
	odd.look()
	good.look()
	good.send(odd)
	w.tick(70 * time.Second)
	for range 3 {
		odd.look()
		odd.work()
		odd.work() // while what could not be done waits for its next try
		w.tick(70 * time.Second)
	}
	odd.start() // what is only in memory is gone
	w.meet()
	if got := good.texts(); !slices.Equal(got, []string{"edited"}) {
		t.Errorf("the good disk has %q under %q", got, good.names())
	}
	untouchedFor := odd.wrote()
	w.meet()
	if odd.wrote() != untouchedFor {
		t.Error("the odd disk goes on writing records")
	}
}

// TestNoRecordReachesOurOwnFolder: to a disk without case ".SHOAL" is ".shoal".
func TestNoRecordReachesOurOwnFolder(t *testing.T) {
	w, good, odd := goodAndOdd(t, apple)
	write(w, good, ".SHOAL/tmp/x", "intruder")
	write(w, good, ".Shoal/history/2001-01-01/x", "intruder")
	untouched(t, w, good, odd)
	for _, n := range odd.fs.User().Under(shoal.ReservedName) {
		if n.Content == "intruder" {
			t.Errorf("%s was written by another device", n.Path)
		}
	}
	if !odd.problem("name", ".SHOAL") {
		t.Errorf("not reported: %v", odd.eng.Problems())
	}
}

func TestOurOwnFolderUnderAnotherSpellingIsNotSynced(t *testing.T) {
	w, good, odd := goodAndOdd(t, apple)
	write(w, odd, "a", "one")
	w.must(odd.fs.User().Rename(".shoal", ".Shoal"))
	w.meet()
	if got := good.names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the good disk shows %q", got)
	}
}

func TestAReadOnlyDiskLosesNothing(t *testing.T) {
	w, good, odd := goodAndOdd(t, disktest.Options{})
	write(w, good, "a", "one")
	w.meet()
	odd.fs.Fail = func(op, _ string) error {
		switch op {
		case "lstat", "list", "open", "read", "fstat", "space", "busy", "checkroot", "readlink", "nextdata", "sync", "syncdir", "syncall":
			return nil
		}
		return disk.ErrReadOnly
	}
	write(w, good, "a", "two")
	write(w, good, "new/b", "three")
	w.must(good.fs.User().Mkdir("empty"))
	untouched(t, w, good, odd)
	if !slices.ContainsFunc(odd.eng.Problems(), func(p folder.Problem) bool { return strings.Contains(p.Message, "read-only") }) {
		t.Errorf("not reported: %v", odd.eng.Problems())
	}
	w.must(odd.eng.Recover(t.Context()))
	odd.fs.Fail = nil
	w.meet()
	if got, want := odd.shows(), good.shows(); got != want {
		t.Errorf("after it is writable again the disk shows\n%s\nwant\n%s", got, want)
	}
}

func TestAFileTooBigForTheDiskIsKeptForOthers(t *testing.T) {
	w, good, odd := goodAndOdd(t, disktest.Options{})
	odd.fs.Fail = func(op, p string) error {
		if op == "create" && strings.HasPrefix(p, ".shoal/tmp/") {
			return disk.ErrTooBig
		}
		return nil
	}
	write(w, good, "big", "one")
	untouched(t, w, good, odd)
	if !odd.problem("name", "big") {
		t.Errorf("not reported: %v", odd.eng.Problems())
	}
}

// One refusal is no property of the disk: the mode or time is set when it is tried again.
func TestARefusalOnceIsNotForgiven(t *testing.T) {
	for _, refused := range []string{"chmod", "chtimes"} {
		t.Run(refused, func(t *testing.T) {
			w := newWorld(t, disktest.Options{}, disktest.Options{})
			a, b := w.devices[0], w.devices[1]
			w.must(a.fs.User().WriteFile("f", "x"))
			w.must(a.fs.User().Chmod("f", 0o640))
			times := 0
			b.fs.Fail = func(op, p string) error {
				if op != refused || times == 2 { // of the open file, and by name
					return nil
				}
				times++
				return fs.ErrPermission
			}
			w.meet()
			if got, want := b.shows(), a.shows(); got != want || times < 2 {
				t.Errorf("after %d refusals it shows %q, want %q", times, got, want)
			}
		})
	}
}

// TestADiskThatRefusesModesGetsItsFiles: FAT refuses most modes, and to who does not own it all of them.
func TestADiskThatRefusesModesGetsItsFiles(t *testing.T) {
	w, good, odd := goodAndOdd(t, fat)
	odd.fs.Fail = func(op, _ string) error {
		if op == "chmod" || op == "chtimes" {
			return fs.ErrPermission
		}
		return nil
	}
	write(w, good, "dir/a", "one")
	w.must(good.fs.User().Chmod("dir/a", 0o600))
	w.must(good.fs.User().Chmod("dir", 0o750))
	untouched(t, w, good, odd)
	if got, want := odd.names(), good.names(); !slices.Equal(got, want) {
		t.Errorf("the odd disk shows %q, the good one %q; %v", got, want, odd.eng.Problems())
	}
}

// TestANameThatTheDiskDoesNotFind: some drivers say of a name that they can't hold that it does not exist.
func TestANameThatTheDiskDoesNotFind(t *testing.T) {
	w, good, odd := goodAndOdd(t, disktest.Options{})
	odd.fs.Fail = func(op, p string) error {
		if op == "mkdir" && p == "x:y" {
			return fs.ErrNotExist
		}
		return nil
	}
	write(w, good, "x:y/z", "one")
	untouched(t, w, good, odd)
	if !odd.problem("name", "x:y") {
		t.Errorf("not reported: %v", odd.eng.Problems())
	}
}

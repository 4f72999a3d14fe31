package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/folder/disk"
)

func TestWeakDisksAreDisksToo(t *testing.T) {
	for _, weak := range []struct {
		name string
		opts Options
		can  func(*Abilities)
	}{
		{"without exchange", Options{NoExchange: true}, func(a *Abilities) { a.Exchange = false }},
		{"without symlinks", Options{NoSymlinks: true}, func(a *Abilities) { a.Symlinks, a.SymlinkTimes = false, false }},
		{"without modes", Options{NoModes: true}, func(a *Abilities) { a.Modes, a.Permissions = false, false }},
		{"without case", Options{FoldCase: true}, func(a *Abilities) { a.ByteNames = false }},
		{"without Unicode forms", Options{Normalize: true}, func(a *Abilities) { a.ByteNames = false }},
		{"without dots at the end", Options{StripDots: true}, func(a *Abilities) { a.ByteNames = false }},
		{"without odd names", Options{BadChars: "\\:*?\"<>|"}, func(a *Abilities) { a.ByteNames = false }},
		{"with a clock that runs", Options{Step: time.Millisecond}, func(*Abilities) {}},
	} {
		t.Run(weak.name, func(t *testing.T) {
			can := Good
			weak.can(&can)
			Run(t, can, func(*testing.T) disk.FS { return New(weak.opts) })
		})
	}
}

func TestNamesThatDifferInCaseAreOne(t *testing.T) {
	f := New(Options{FoldCase: true})
	put(t, f, "Name", "x")
	if err := f.Mkdir("nAME", 0o755); !errors.Is(err, fs.ErrExist) {
		t.Errorf("mkdir: %v", err)
	}
	a, errA := f.Lstat("Name")
	b, errB := f.Lstat("name")
	must(t, errA, errB)
	if !a.Same(b) {
		t.Error("two spellings are two files")
	}
	must(t, f.Rename("NAME", "name"))
	list, err := f.List("")
	must(t, err)
	if len(list) != 1 || list[0].Name != "name" || !list[0].Same(a) {
		t.Errorf("after respelling: %+v", list)
	}
	must(t, f.Check())
}

func TestTimesAreRoundedDown(t *testing.T) {
	f := New(Options{Granularity: 2e9, Now: 5e9})
	put(t, f, "a", "x")
	for _, c := range []struct{ ask, get int64 }{{7_999_999_999, 6e9}, {8e9, 8e9}, {-1, -2e9}} {
		must(t, f.Chtimes("a", c.ask))
		if st, err := f.Lstat("a"); err != nil || st.MTime != c.get || st.CTime != 4e9 {
			t.Errorf("asked for %d, got %+v, %v", c.ask, st, err)
		}
	}
}

func TestTheClockIsTheTests(t *testing.T) {
	f := New(Options{Now: 1000})
	put(t, f, "a", "x")
	put(t, f, "b", "x")
	f.Advance(5)
	must(t, f.User().WriteFile("b", "y"))
	f.SetNow(1)
	must(t, f.Chmod("a", 0o600))
	a, errA := f.Lstat("a")
	b, errB := f.Lstat("b")
	must(t, errA, errB)
	if a.MTime != 1000 || a.CTime != 1 || b.MTime != 1005 || f.Now() != 1 {
		t.Errorf("a %+v, b %+v, now %d", a, b, f.Now())
	}
}

func TestAFullDiskTakesNoMore(t *testing.T) {
	f := New(Options{Capacity: 2 * pageSize})
	put(t, f, "a", "x")
	w, err := f.Create("b", 1<<20, 0o644) // a hole takes no space
	must(t, err)
	_, err = w.WriteAt(make([]byte, pageSize), 5*pageSize)
	must(t, err)
	if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.WriteAt([]byte("x"), 5*pageSize); err != nil {
		t.Errorf("overwriting: %v", err)
	}
	if err := f.User().WriteFile("c", "x"); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("user: %v", err)
	}
	must(t, f.Remove("b"))
	if free, total, err := f.Space(); free != 0 || total != 2*pageSize || err != nil {
		t.Errorf("a removed file that is open gives its space back: %d of %d, %v", free, total, err)
	}
	must(t, f.Clone().Check(), f.Check(), w.Close())
	if free, _, err := f.Space(); free != pageSize || err != nil {
		t.Errorf("free after the close: %d, %v", free, err)
	}
	f.SetCapacity(100 * pageSize)
	must(t, f.User().WriteFile("c", "x"), f.Check())
}

func TestAnotherFileSystemInside(t *testing.T) {
	f := New(Options{})
	u := f.User()
	must(t, u.Mkdir("mnt"), u.Mount("mnt"), u.WriteFile("mnt/in", "x"), u.WriteFile("out", "y"))
	in, errIn := f.Lstat("mnt/in")
	out, errOut := f.Lstat("out")
	must(t, errIn, errOut)
	if in.Device == out.Device {
		t.Error("one device number")
	}
	for what, err := range map[string]error{
		"rename in":  f.Rename("out", "mnt/out"),
		"rename out": f.Rename("mnt/in", "in"),
		"exchange":   f.Exchange("out", "mnt/in"),
	} {
		if !errors.Is(err, disk.ErrCrossDevice) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, u.RemoveAll("mnt/in"))
	if err := f.Remove("mnt"); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("remove of a mount point: %v", err)
	}
}

func TestTheRootMayGo(t *testing.T) {
	f := New(Options{})
	must(t, f.CheckRoot())
	f.SetRootGone(true)
	if err := f.CheckRoot(); !errors.Is(err, disk.ErrRootGone) {
		t.Errorf("check root: %v", err)
	}
}

func TestTheUserSavesWithAnotherInode(t *testing.T) {
	f := New(Options{})
	u := f.User()
	must(t, u.WriteFile("a", "1"), u.Chmod("a", 0o640))
	first, err := u.Lstat("a")
	must(t, err, u.WriteFile("a", "2"))
	second, err := u.Lstat("a")
	must(t, err, u.Save("a", "3"))
	third, err := u.Lstat("a")
	must(t, err)
	if !first.Same(second) || second.Same(third) || third.Mode != 0o640 {
		t.Errorf("%+v, %+v, %+v", first, second, third)
	}
	if got := u.Dump(); got != "file 0640 \"a\" \"3\"\n" {
		t.Error(got)
	}
}

func TestAProgramThatKeepsAFileOpenWritesIntoItWhereverItWent(t *testing.T) {
	f := New(Options{})
	u := f.User()
	must(t, u.WriteFile("a", "1"))
	w, err := u.OpenForWriting("a")
	must(t, err, f.Rename("a", "b"))
	if busy, err := f.Busy("b"); !busy || err != nil {
		t.Errorf("busy: %v, %v", busy, err)
	}
	_, err = w.WriteAt([]byte("late"), 0)
	must(t, err, w.Close())
	if got, err := u.ReadFile("b"); got != "late" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if busy, err := f.Busy("b"); busy || err != nil {
		t.Errorf("busy: %v, %v", busy, err)
	}
}

func TestSpecialFilesHaveNoKind(t *testing.T) {
	f := New(Options{})
	must(t, f.User().Special("pipe"))
	list, err := f.List("")
	must(t, err)
	if len(list) != 1 || list[0].Kind != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := f.Open("pipe"); !errors.Is(err, disk.ErrNotFile) {
		t.Errorf("open: %v", err)
	}
}

func BenchmarkClone(b *testing.B) {
	f := New(Options{})
	for i := range 10_000 {
		if err := f.User().WriteFile(fmt.Sprint(i), "x"); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		c := f.Clone()
		if err := c.User().WriteFile("5", "y"); err != nil {
			b.Fatal(err)
		}
	}
}

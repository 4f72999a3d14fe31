package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal/folder/disk"
)

// must ends the test on an error.
func must(t rapid.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// put writes the file p through the program's side.
func put(t rapid.TB, f *FS, p, content string) {
	t.Helper()
	w, err := f.Create(p, 0, 0o644)
	must(t, err)
	_, err = w.WriteAt([]byte(content), 0)
	must(t, err, w.Close())
}

// after tries n power cuts and returns what they leave, each once, sorted.
func after(t rapid.TB, f *FS, n uint64) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range n {
		c := f.Crash(seed)
		if err := c.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen[names(c)] = true
	}
	var all []string
	for s := range seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// names prints paths and contents, shortly.
func names(f *FS) string {
	var parts []string
	for _, n := range f.User().Tree() {
		content := n.Content
		if len(content) > 10 {
			content = fmt.Sprintf("%d bytes", len(content))
		}
		parts = append(parts, string(n.Path)+"="+content)
	}
	return strings.Join(parts, " ")
}

func wantStates(t *testing.T, f *FS, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := after(t, f, 300); !slices.Equal(got, want) {
		t.Errorf("power cuts leave\n%q, want\n%q", got, want)
	}
}

func TestNothingIsCertainBeforeASync(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", "x")
	wantStates(t, f, "", "a=", "a=\x00", "a=x")
	must(t, f.SyncAll())
	wantStates(t, f, "a=x")
}

func TestASyncedFileMayLoseItsNameAndASyncedNameItsContent(t *testing.T) {
	f := New(Options{})
	w, err := f.Create("a", 0, 0o644)
	must(t, err)
	_, err = w.WriteAt([]byte("x"), 0)
	must(t, err, w.Sync())
	wantStates(t, f, "", "a=x")
	must(t, f.SyncDir(""))
	wantStates(t, f, "a=x")
	_, err = w.WriteAt([]byte("y"), 0)
	must(t, err, w.Close())
	wantStates(t, f, "a=x", "a=y")
}

func TestOperationsOnOneFolderAreLostFromTheEnd(t *testing.T) {
	f := New(Options{})
	must(t, f.Mkdir("a", 0o755), f.Mkdir("b", 0o755), f.Mkdir("c", 0o755))
	wantStates(t, f, "", "a=", "a= b=", "a= b= c=")
	must(t, f.SyncDir(""))
	must(t, f.Mkdir("a/1", 0o755), f.Mkdir("b/1", 0o755))
	wantStates(t, f, "a= b= c=", "a= a/1= b= c=", "a= b= b/1= c=", "a= a/1= b= b/1= c=")
}

func TestRenameIsAtomicAcrossFolders(t *testing.T) {
	f := New(Options{})
	must(t, f.Mkdir("d", 0o755))
	put(t, f, "a", "x")
	must(t, f.SyncAll())
	must(t, f.Rename("a", "d/a"))
	wantStates(t, f, "a=x d=", "d= d/a=x")
	must(t, f.SyncDir("d"))
	wantStates(t, f, "d= d/a=x")
}

func TestExchangeIsAtomic(t *testing.T) {
	f := New(Options{})
	must(t, f.Mkdir("d", 0o755))
	put(t, f, "a", "x")
	put(t, f, "d/b", "y")
	must(t, f.SyncAll(), f.Exchange("a", "d/b"))
	wantStates(t, f, "a=x d= d/b=y", "a=y d= d/b=x")
	must(t, f.SyncDir(""))
	wantStates(t, f, "a=y d= d/b=x")
}

// TestMovesOfFoldersNeverMakeACircle: without an order among them, "b" could be in "a" and "a" in "b".
func TestMovesOfFoldersNeverMakeACircle(t *testing.T) {
	f := New(Options{})
	for _, p := range []string{"x", "y", "y/b", "y/b/c", "y/b/c/a", "y/b/c/a/d"} {
		must(t, f.Mkdir(p, 0o755))
	}
	must(t, f.SyncAll(), f.Rename("y/b/c/a", "x/a"), f.Rename("y/b", "x/a/d/b"))
	wantStates(t, f, "x= y= y/b= y/b/c= y/b/c/a= y/b/c/a/d=", "x= x/a= x/a/d= y= y/b= y/b/c=", "x= x/a= x/a/d= x/a/d/b= x/a/d/b/c= y=")
}

func TestAReplacedFileIsThereOrItsSuccessor(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", "old")
	must(t, f.SyncAll())
	must(t, f.User().Save("a", "new"))
	for _, state := range after(t, f, 300) {
		if !strings.Contains(state, "a=") {
			t.Errorf("%q: neither", state)
		}
	}
}

func TestARemovedFileMayComeBack(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", "x")
	must(t, f.SyncAll(), f.Remove("a"))
	wantStates(t, f, "", "a=x")
	must(t, f.SyncDir(""))
	wantStates(t, f, "")
}

func TestTearingKeepsPagesWhole(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", strings.Repeat("x", 3*pageSize))
	must(t, f.SyncAll())
	must(t, f.User().WriteFile("a", strings.Repeat("y", 4*pageSize)))
	mixed := false
	for seed := range uint64(300) {
		got, err := f.Crash(seed).User().ReadFile("a")
		must(t, err)
		if len(got) < 3*pageSize {
			t.Fatalf("seed %d: %d bytes", seed, len(got))
		}
		for i := 0; i < len(got); i += pageSize {
			page := got[i:min(i+pageSize, len(got))]
			if strings.Trim(page, page[:1]) != "" || !strings.Contains("xy\x00", page[:1]) || i < 3*pageSize && page[0] == 0 {
				t.Fatalf("seed %d: torn inside a page, or zeros where there was content", seed)
			}
		}
		mixed = mixed || strings.Contains(got, "x") && strings.Contains(got, "y")
	}
	if !mixed {
		t.Error("no power cut mixed old and new pages")
	}
}

func TestModesAndTimesMayBeLost(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", "")
	must(t, f.Chtimes("a", 1), f.SyncAll(), f.Chmod("a", 0o600), f.Chtimes("a", 2))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		st, err := f.Crash(seed).Lstat("a")
		must(t, err)
		seen[fmt.Sprintf("%o %d", st.Mode, st.MTime)] = true
	}
	if len(seen) != 4 {
		t.Errorf("power cuts leave %v", seen)
	}
}

func TestWorkAfterACrashGoesOn(t *testing.T) {
	f := New(Options{})
	put(t, f, "a", "x")
	c := f.Crash(1)
	must(t, c.Mkdir("new", 0o755), c.SyncAll())
	if got := after(t, c, 20); len(got) != 1 {
		t.Errorf("synced, and power cuts leave %q", got)
	}
	if f.User().Exists("new") {
		t.Error("the disk before the power cut has changed")
	}
}

func TestAHandleOfBeforeTheCrashStaysWithItsDisk(t *testing.T) {
	f := New(Options{})
	w, err := f.Create("a", 0, 0o644)
	must(t, err, f.SyncAll())
	c := f.Crash(1)
	_, err = w.WriteAt([]byte("late"), 0)
	must(t, err)
	if got, err := c.User().ReadFile("a"); err != nil || got != "" {
		t.Errorf("after the power cut: %q, %v", got, err)
	}
	if busy, err := c.Busy("a"); busy || err != nil {
		t.Errorf("busy after the power cut: %v, %v", busy, err)
	}
}

// randomly does one random operation; errors do not matter.
func randomly(t *rapid.T, f *FS) {
	paths := rapid.SampledFrom([]string{"a", "b", "a/a", "a/b", "b/a", "a/a/a", "b/a/b"})
	p, q := paths.Draw(t, "p"), paths.Draw(t, "q")
	u := f.User()
	switch rapid.SampledFrom([]string{
		"write", "mkdir", "mkdir", "rename", "exchange", "remove", "replace", "link", "syncdir", "syncall", "syncfile", "chmod",
	}).Draw(t, "do") {
	case "write":
		_ = u.WriteFile(p, strings.Repeat(p, 3000))
	case "mkdir":
		_ = f.Mkdir(p, 0o755)
	case "rename":
		_ = f.Rename(p, q)
	case "exchange":
		_ = f.Exchange(p, q)
	case "remove":
		_ = f.Remove(p)
	case "replace":
		_ = u.Rename(p, q)
	case "link":
		_ = u.Link(p, q)
	case "syncdir":
		_ = f.SyncDir(p)
	case "syncall":
		_ = f.SyncAll()
	case "syncfile":
		if w, err := f.Reopen(p); err == nil {
			_ = w.Sync()
			_ = w.Close()
		}
	case "chmod":
		_ = f.Chmod(p, 0o700)
	}
}

// TestNoCrashLosesWhatWasSynced does random operations and compares each power cut with what was certain before it: a
// file that was there at the last SyncAll and that nothing touched since.
func TestNoCrashLosesWhatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(Options{Step: 1})
		for range rapid.IntRange(0, 10).Draw(t, "before") {
			randomly(t, f)
		}
		must(t, f.SyncAll())
		certain := map[uint64]Node{} // by inode
		for _, n := range f.User().Tree() {
			certain[n.Inode] = n
		}
		for range rapid.IntRange(0, 10).Draw(t, "since") {
			randomly(t, f)
		}
		now := map[uint64]Node{}
		for _, n := range f.User().Tree() {
			now[n.Inode] = n
		}
		for seed := range uint64(5) {
			c := f.Crash(seed)
			must(t, c.Check())
			left := map[uint64]Node{}
			for _, n := range c.User().Tree() {
				left[n.Inode] = n
			}
			for ino, was := range certain {
				is, kept := now[ino]
				if !kept {
					continue // removed or replaced since; either is fine
				}
				got, ok := left[ino]
				if !ok {
					t.Errorf("seed %d: %q, synced and only moved since, is gone", seed, was.Path)
				}
				if is.Content == was.Content && is.MTime == was.MTime && got.Content != was.Content {
					t.Errorf("seed %d: %q has lost its content", seed, was.Path)
				}
			}
		}
	})
}

// TestChanceComesOnlyFromTheSeed runs the same operations twice.
func TestChanceComesOnlyFromTheSeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := New(Options{})
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			randomly(t, f)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		a, b := f.Crash(seed), f.Clone().Crash(seed)
		if fmt.Sprintf("%+v", a.User().Tree()) != fmt.Sprintf("%+v", b.User().Tree()) {
			t.Errorf("one seed, two disks:\n%s\n%s", a.User().Dump(), b.User().Dump())
		}
	})
}

// TestClonesAreIndependent changes a disk and its clone in turns and compares each with one that was never cloned.
func TestClonesAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type script []uint64
		run := func(f *FS, s script) {
			for _, seed := range s {
				u := f.User()
				p := []string{"a", "b", "a/c", "b/c"}[seed%4]
				switch seed / 4 % 5 {
				case 0:
					_ = u.Append(p, fmt.Sprint(seed))
				case 1:
					_ = f.Mkdir(p, 0o755)
				case 2:
					_ = f.Rename(p, "z")
				case 3:
					_ = f.SyncDir("")
				case 4:
					_ = f.Remove(p)
				}
			}
		}
		draw := func(name string) script { return rapid.SliceOfN(rapid.Uint64(), 0, 12).Draw(t, name) }
		common, mine, yours := draw("common"), draw("mine"), draw("yours")
		f := New(Options{})
		run(f, common)
		c := f.Clone()
		half := len(mine) / 2
		run(f, mine[:half])
		run(c, yours)
		run(f, mine[half:])
		for _, pair := range []struct {
			got  *FS
			rest script
		}{{f, mine}, {c, yours}} {
			alone := New(Options{})
			run(alone, common)
			run(alone, pair.rest)
			if got, want := pair.got.User().Dump(), alone.User().Dump(); got != want {
				t.Errorf("beside its clone:\n%s\nalone:\n%s", got, want)
			}
			must(t, pair.got.Check())
			for seed := range uint64(3) {
				if pair.got.Crash(seed).User().Dump() != alone.Crash(seed).User().Dump() {
					t.Error("another power cut beside its clone")
				}
			}
		}
	})
}

func TestAnOperationOnACloneIsNotInTheOthersLog(t *testing.T) {
	for before := range 10 { // whatever room the log has
		f := New(Options{})
		for i := range before {
			must(t, f.Mkdir(fmt.Sprint(i), 0o755))
		}
		must(t, f.SyncDir(""))
		for i := range before {
			must(t, f.Mkdir(fmt.Sprintf("%d/in", i), 0o755))
		}
		c := f.Clone()
		must(t, f.Mkdir("mine", 0o755), c.Mkdir("yours", 0o755))
		for seed := range uint64(20) {
			if got := names(f.Crash(seed)); strings.Contains(got, "yours") {
				t.Fatalf("with %d before, a power cut leaves %q", before, got)
			}
			must(t, f.Crash(seed).Check())
		}
	}
}

func TestFailInjectsErrors(t *testing.T) {
	f := New(Options{})
	var asked []string
	f.Fail = func(op, p string) error {
		asked = append(asked, op+" "+p)
		if op == "write" {
			return disk.ErrNoSpace
		}
		return nil
	}
	w, err := f.Create("a", 0, 0o644)
	must(t, err)
	if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("write: %v", err)
	}
	must(t, w.Close(), f.User().WriteFile("b", "not asked"))
	if want := []string{"create a", "write a"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if got, err := f.User().ReadFile("a"); got != "" || err != nil {
		t.Errorf("a failed write left %q, %v", got, err)
	}
}

func TestAPanicInFailTurnsThePowerOff(t *testing.T) {
	f := New(Options{})
	f.Fail = func(op, _ string) error {
		if op == "mkdir" {
			panic(Crashed)
		}
		return nil
	}
	w, err := f.Create("a", 0, 0o644)
	must(t, err)
	func() {
		defer func() {
			if r := recover(); r != Crashed {
				t.Errorf("recovered %v", r)
			}
			// What the program does while it goes down does not reach the disk.
			if err := f.Remove("a"); !errors.Is(err, Crashed) {
				t.Errorf("remove: %v", err)
			}
			if _, err := w.WriteAt([]byte("x"), 0); !errors.Is(err, Crashed) {
				t.Errorf("write: %v", err)
			}
			must(t, w.Close())
		}()
		_ = f.Mkdir("d", 0o755)
	}()
	if err := f.User().WriteFile("b", ""); !errors.Is(err, Crashed) {
		t.Errorf("user: %v", err)
	}
	c := f.Crash(1)
	must(t, c.Mkdir("d", 0o755))
	if _, err := f.Lstat("a"); !errors.Is(err, Crashed) {
		t.Errorf("the dead disk answers %v", err)
	}
	if _, err := f.Lstat("nothing"); errors.Is(err, fs.ErrNotExist) {
		t.Error("the dead disk knows what is not there")
	}
}

package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// watching is a Watcher at work in a test.
type watching struct {
	t    failer
	w    *Watcher
	root string
	stop func() error // ends Run and returns what it returned

	marks int // how many folders catchUp has made
}

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// how runs a watcher.
type how struct {
	name    string
	run     func(*Watcher, context.Context) error
	settles bool // tells Settled
}

// backends are all ways to run on this system.
func backends() []how {
	native := how{"native", (*Watcher).Run, nativeSettles}
	return []how{native, {"portable", (*Watcher).runPortable, false}}
}

// each runs a test for every backend.
func each(t *testing.T, test func(t *testing.T, b how)) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

func start(t failer, root string, b how, o Options) *watching {
	t.Helper()
	w, err := New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var result error
	done.Go(func() { result = b.run(w, ctx) })
	stop := sync.OnceValue(func() error {
		cancel()
		done.Wait()
		return result
	})
	x := &watching{t: t, w: w, root: root, stop: stop}
	x.until("the first report", func(d Dirty) bool { return d.All })
	return x
}

// until takes reports until one is as wanted.
func (x *watching) until(what string, seen func(Dirty) bool) Dirty {
	x.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case <-x.w.Changed():
			if d := x.w.Take(); seen(d) {
				return d
			}
		case <-timeout:
			x.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// folder waits for a report of one folder, or of everything, which is deep.
func (x *watching) folder(p string) (last Folder) {
	x.t.Helper()
	x.until("folder "+p, func(d Dirty) bool {
		for _, f := range d.Folders {
			if f.Path == p {
				last = f
				return true
			}
		}
		last = Folder{Deep: true}
		return d.All
	})
	return last
}

func (x *watching) path(p string) string { return filepath.Join(x.root, filepath.FromSlash(p)) }

func (x *watching) do(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *watching) write(p, content string) {
	x.t.Helper()
	x.do(os.WriteFile(x.path(p), []byte(content), 0o644))
}

func (x *watching) mkdir(p string) {
	x.t.Helper()
	x.do(os.MkdirAll(x.path(p), 0o755))
}

func TestTheFirstReportIsEverything(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		x := start(t, t.TempDir(), b, Options{})
		if err := x.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAChangedFileMakesItsFolderDirty(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
			t.Fatal(err)
		}
		x := start(t, root, b, Options{})
		defer x.stop()
		x.write("a/b/file", "1")
		x.folder("a/b")
		x.write("a/b/file", "2")
		x.folder("a/b")
		x.do(os.Chmod(x.path("a/b/file"), 0o600))
		x.folder("a/b")
		x.do(os.Rename(x.path("a/b/file"), x.path("a/file")))
		x.folder("a")
		x.do(os.Remove(x.path("a/file")))
		x.folder("a")
		x.write("top", "")
		x.folder("")
	})
}

func TestANewFolderIsReportedDeepAfterItIsWatched(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		x := start(t, t.TempDir(), b, Options{})
		defer x.stop()
		x.mkdir("new")
		if f := x.folder("new"); !f.Deep {
			t.Errorf("reported %+v", f)
		}
		x.write("new/file", "")
		x.folder("new")
	})
}

func TestAMovedFolderIsReportedAtItsNewPlace(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "a", "in", "deep"), 0o755); err != nil {
			t.Fatal(err)
		}
		x := start(t, root, b, Options{})
		defer x.stop()
		x.mkdir("b")
		x.folder("b")
		x.do(os.Rename(x.path("a/in"), x.path("b/out")))
		if f := x.folder("b/out"); !f.Deep {
			t.Errorf("reported %+v", f)
		}
		x.write("b/out/deep/file", "")
		x.folder("b/out/deep")
	})
}

func TestAFolderThatComesInIsWatchedToItsDepth(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		base := t.TempDir()
		root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
		for _, p := range []string{root, filepath.Join(outside, "in", "deep")} {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		x := start(t, root, b, Options{})
		defer x.stop()
		x.do(os.Rename(outside, x.path("came")))
		if f := x.folder("came"); !f.Deep {
			t.Errorf("reported %+v", f)
		}
		x.write("came/in/deep/file", "")
		x.folder("came/in/deep")
	})
}

func TestTheReservedFolderIsLeftAlone(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		x := start(t, t.TempDir(), b, Options{Skip: func(p string) bool { return p == "skipped" }})
		defer x.stop()
		x.mkdir(".shoal/tmp")
		x.write(".shoal/tmp/file", "")
		x.mkdir("skipped/inside")
		x.write("skipped/inside/file", "")
		x.mkdir("seen")
		x.until("the folder that counts", func(d Dirty) bool {
			return slices.ContainsFunc(d.Folders, func(f Folder) bool {
				if strings.HasPrefix(f.Path, ".shoal") || strings.HasPrefix(f.Path, "skipped") {
					t.Errorf("reported %+v", f)
				}
				return f.Path == "seen"
			})
		})
	})
}

func TestAFullSetBecomesEverything(t *testing.T) {
	w, err := New(t.TempDir(), Options{Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	w.mark("a", flags{deep: true})
	w.mark("b", flags{})
	w.mark("a", flags{settled: true})
	want := []Folder{{Path: "a", Deep: true, Settled: true}, {Path: "b"}}
	if d := w.Take(); d.All || !slices.Equal(d.Folders, want) {
		t.Errorf("took %+v", d)
	}
	for _, p := range []string{"a", "b", "c", "d"} {
		w.mark(p, flags{})
	}
	if d := w.Take(); !d.All || len(d.Folders) != 0 {
		t.Errorf("took %+v", d)
	}
	if d := w.Take(); d.All || len(d.Folders) != 0 {
		t.Errorf("took twice: %+v", d)
	}
}

func TestRefreshReportsEverythingAndAsksSkipAnew(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "maybe"), 0o755); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		skip := true
		x := start(t, root, b, Options{Skip: func(string) bool {
			mu.Lock()
			defer mu.Unlock()
			return skip
		}})
		defer x.stop()
		mu.Lock()
		skip = false
		mu.Unlock()
		x.w.Refresh()
		x.until("everything", func(d Dirty) bool { return d.All })
		x.write("maybe/file", "")
		x.folder("maybe")
	})
}

func TestAMissingRootIsAnError(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		w, err := New(filepath.Join(t.TempDir(), "nothing"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.run(w, t.Context()); !errors.Is(err, ErrRootGone) {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAFolderThatCannotBeReadIsBlind(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	each(t, func(t *testing.T, b how) {
		root := t.TempDir()
		barred := filepath.Join(root, "barred")
		if err := os.Mkdir(barred, 0); err != nil {
			t.Fatal(err)
		}
		x := start(t, root, b, Options{})
		defer x.stop()
		if n, why := x.w.Blind(); n == 0 || why == nil {
			t.Errorf("blind: %d, %v", n, why)
		}
		x.do(os.Chmod(barred, 0o755))
		x.w.Refresh()
		x.until("everything", func(d Dirty) bool { return d.All })
		if n, why := x.w.Blind(); n != 0 || why != nil {
			t.Errorf("blind after Refresh: %d, %v", n, why)
		}
	})
}

// lister keeps a picture of the tree as the folder's engine does: it lists what is reported and nothing else.
type lister struct {
	root string
	seen map[string][]string // folder → names in it, folders with a slash
}

func (l *lister) list(p string) {
	list, err := os.ReadDir(filepath.Join(l.root, p))
	if err != nil {
		l.forget(p)
		return
	}
	var names []string
	for _, e := range list {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	for _, old := range l.seen[p] {
		if dir, ok := strings.CutSuffix(old, "/"); ok && !slices.Contains(names, old) {
			l.forget(join(p, dir))
		}
	}
	l.seen[p] = names
}

func (l *lister) deep(p string) {
	l.forget(p)
	l.list(p)
	for _, name := range l.seen[p] {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			l.deep(join(p, dir))
		}
	}
}

func (l *lister) forget(p string) {
	for dir := range l.seen {
		if p == "" || dir == p || strings.HasPrefix(dir, p+"/") {
			delete(l.seen, dir)
		}
	}
}

func (l *lister) take(d Dirty) {
	if d.All {
		l.deep("")
	}
	for _, f := range d.Folders {
		if f.Deep {
			l.deep(f.Path)
		} else {
			l.list(f.Path)
		}
	}
}

// String prints the picture.
func (l *lister) String() string {
	var lines []string
	for dir, names := range l.seen {
		lines = append(lines, fmt.Sprintf("%q: %q", dir, names))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// catchUp lists until all changes so far are reported: events come in order, so they are when a folder made after them is
// reported by name.
func catchUp(x *watching, l *lister) {
	x.t.Helper()
	mark := ""
	next := func() {
		mark = fmt.Sprintf("end/%d", x.marks)
		x.marks++
		x.mkdir(mark)
	}
	next()
	x.until(mark, func(d Dirty) bool {
		l.take(d)
		if d.All {
			next()
		}
		return slices.ContainsFunc(d.Folders, func(f Folder) bool { return f.Path == mark })
	})
}

// TestListingWhatIsReportedMissesNothing makes random changes while a watcher runs, and lists what it reports meanwhile.
func TestListingWhatIsReportedMissesNothing(t *testing.T) {
	each(t, func(t *testing.T, b how) {
		if testing.Short() && b.name == "portable" {
			t.Skip("the native one is enough for a short run")
		}
		rapid.Check(t, func(rt *rapid.T) {
			base, err := os.MkdirTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			root, outside := filepath.Join(base, "root"), filepath.Join(base, "outside")
			for _, p := range []string{filepath.Join(root, "end"), outside} {
				if err := os.MkdirAll(p, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			x := start(rt, root, b, Options{Max: rapid.SampledFrom([]int{3, 4, 1000}).Draw(rt, "max")})
			defer x.stop()
			l := &lister{root: root, seen: map[string][]string{}}
			l.deep("")
			place := rapid.SampledFrom([]string{"root/a", "root/b", "root/a/b", "root/a/a", "root/b/a", "root/a/b/a", "root/a/x", "outside/a", "outside/b", "outside/a/b"})
			for range rapid.IntRange(1, 40).Draw(rt, "changes") {
				p := filepath.Join(base, place.Draw(rt, "at"))
				switch rapid.SampledFrom([]string{"mkdir", "mkdirs", "write", "move", "move", "remove", "look", "catch up"}).Draw(rt, "what") {
				case "mkdir":
					_ = os.Mkdir(p, 0o755)
				case "mkdirs":
					_ = os.MkdirAll(filepath.Join(p, "x", "y"), 0o755)
				case "write":
					_ = os.WriteFile(filepath.Join(p, rapid.SampledFrom([]string{"f", "g"}).Draw(rt, "name")), nil, 0o644)
				case "move":
					_ = os.Rename(p, filepath.Join(base, place.Draw(rt, "to")))
				case "remove":
					_ = os.RemoveAll(p)
				case "look":
					l.take(x.w.Take())
				case "catch up":
					catchUp(x, l)
				}
			}
			catchUp(x, l)
			want := &lister{root: root, seen: map[string][]string{}}
			want.deep("")
			if l.String() != want.String() {
				rt.Errorf("by listing what was reported:\n%v\nreally there:\n%v", l, want)
			}
		})
	})
}

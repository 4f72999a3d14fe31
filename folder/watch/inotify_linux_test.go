package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const nativeSettles = true

func TestAFolderSettlesWhenItsFilesAreClosed(t *testing.T) {
	b := backends()[0]
	x := start(t, t.TempDir(), b, Options{})
	defer x.stop()
	f, err := os.Create(x.path("file"))
	x.do(err)
	if d := x.folder(""); d.Settled {
		t.Error("settled while a new file is open")
	}
	_, err = f.WriteString("x")
	x.do(err)
	if d := x.folder(""); d.Settled {
		t.Error("settled while a written file is open")
	}
	x.do(os.Mkdir(x.path("other"), 0o755))
	if d := x.folder(""); d.Settled {
		t.Error("settled by something else")
	}
	x.do(f.Close())
	if d := x.folder(""); !d.Settled {
		t.Error("not settled after the close")
	}
	x.do(os.Symlink("file", x.path("link")))
	if d := x.folder(""); !d.Settled {
		t.Error("a symlink counts as a file that is open")
	}
	x.do(os.Link(x.path("file"), x.path("second")))
	if d := x.folder(""); !d.Settled {
		t.Error("a second name counts as a file that is open")
	}
}

func TestARootThatGoesEndsTheRun(t *testing.T) {
	for _, how := range []string{"removed", "moved"} {
		t.Run(how, func(t *testing.T) {
			root := t.TempDir() + "/root"
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			w, err := New(root, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			done := make(chan struct{})
			go func() {
				defer close(done)
				ended <- w.Run(t.Context())
			}()
			<-w.Changed()
			w.Take()
			if how == "removed" {
				err = os.Remove(root)
			} else {
				err = os.Rename(root, root+"2")
			}
			if err != nil {
				t.Fatal(err)
			}
			<-done
			if err := <-ended; !errors.Is(err, ErrRootGone) {
				t.Errorf("Run returned %v", err)
			}
			if d := w.Take(); !d.All {
				t.Errorf("took %+v", d)
			}
		})
	}
}

// opened returns a run of w that has set its watches and reads no events but those handed to it.
func opened(t *testing.T, w *Watcher) *inotify {
	t.Helper()
	in, err := w.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.file.Close() })
	in.walkAll()
	return in
}

// overflow is the event that the system sends in place of what it had no room for.
func overflow() []byte {
	b := make([]byte, unix.SizeofInotifyEvent)
	binary.NativeEndian.PutUint32(b, ^uint32(0)) // wd -1
	binary.NativeEndian.PutUint32(b[4:], unix.IN_Q_OVERFLOW)
	return b
}

func TestAfterLostEventsEverythingIsDirtyAndWatchedWhereItIs(t *testing.T) {
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"moves/in", "goes/in", "becomes"} {
		must(os.MkdirAll(filepath.Join(root, p), 0o755))
	}
	w, err := New(root, Options{})
	must(err)
	in := opened(t, w)
	w.Take()
	must(os.Rename(filepath.Join(root, "moves"), filepath.Join(root, "becomes", "moved")))
	must(os.RemoveAll(filepath.Join(root, "goes")))
	must(os.MkdirAll(filepath.Join(root, "new", "in"), 0o755))
	must(in.handle(overflow()))
	if d := w.Take(); !d.All {
		t.Errorf("took %+v", d)
	}
	var got []string
	for _, n := range in.tree.byWD {
		p, ok := in.tree.path(n)
		if !ok {
			t.Errorf("%q is watched and in no place", n.name)
		}
		got = append(got, p)
	}
	slices.Sort(got)
	want := []string{"", "becomes", "becomes/moved", "becomes/moved/in", "new", "new/in"}
	if !slices.Equal(got, want) {
		t.Errorf("watched: %q, want %q", got, want)
	}
}

func TestAFolderThatLeavesIsNotWatchedAnyMore(t *testing.T) {
	base := t.TempDir()
	if err := os.MkdirAll(filepath.Join(base, "root", "goes", "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := New(filepath.Join(base, "root"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := opened(t, w)
	if err := os.Rename(filepath.Join(base, "root", "goes"), filepath.Join(base, "gone")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := in.file.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.handle(buf[:n]); err != nil {
		t.Fatal(err)
	}
	if len(in.tree.byWD) != 1 {
		t.Errorf("%d folders are watched, want the root alone", len(in.tree.byWD))
	}
}

func BenchmarkLatency(b *testing.B) {
	x := start(b, b.TempDir(), backends()[0], Options{})
	defer x.stop()
	x.write("file", "x")
	x.until("settled", func(d Dirty) bool { return len(d.Folders) > 0 && d.Folders[0].Settled })
	var worst time.Duration
	for b.Loop() {
		begin := time.Now()
		x.do(os.Chmod(x.path("file"), 0o644))
		<-x.w.Changed()
		worst = max(worst, time.Since(begin))
		x.w.Take()
	}
	b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
}

// moveEvent is one half of the move cookie, of name in the folder that wd watches.
func moveEvent(wd int32, mask, cookie uint32, name string) []byte {
	b := make([]byte, unix.SizeofInotifyEvent+16)
	binary.NativeEndian.PutUint32(b, uint32(wd))
	binary.NativeEndian.PutUint32(b[4:], mask)
	binary.NativeEndian.PutUint32(b[8:], cookie)
	binary.NativeEndian.PutUint32(b[12:], 16)
	copy(b[unix.SizeofInotifyEvent:], name)
	return b
}

// Who looks between the two events of a move would see a deletion, and then a new file.
func TestAMoveIsNotSettledBeforeBothItsEndsAreSeen(t *testing.T) {
	root := t.TempDir()
	for _, p := range []string{"from", "to"} {
		if err := os.Mkdir(filepath.Join(root, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w, err := New(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := opened(t, w)
	w.Take()
	from, to := in.tree.root.children["from"].wd, in.tree.root.children["to"].wd
	handle := func(ev []byte) []Folder {
		t.Helper()
		if err := in.handle(ev); err != nil {
			t.Fatal(err)
		}
		return w.Take().Folders
	}
	if got, want := handle(moveEvent(from, unix.IN_MOVED_FROM, 7, "f")), []Folder{{Path: "from"}}; !slices.Equal(got, want) {
		t.Errorf("after the first half: %+v, want %+v", got, want)
	}
	if got, want := handle(moveEvent(to, unix.IN_MOVED_TO, 8, "g")), []Folder{{Path: "to", Settled: true}}; !slices.Equal(got, want) {
		t.Errorf("after another move: %+v, want %+v", got, want)
	}
	want := []Folder{{Path: "from", Settled: true}, {Path: "to", Settled: true}}
	if got := handle(moveEvent(to, unix.IN_MOVED_TO, 7, "f")); !slices.Equal(got, want) {
		t.Errorf("after both halves: %+v, want %+v", got, want)
	}
}

package folder_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
)

// refusals are the paths that a device says it may only read.
func refusals(d *device) (out []shoal.Path) {
	for _, p := range d.eng.Problems() {
		if p.Kind == "read-only" {
			out = append(out, p.Path)
		}
	}
	return out
}

func TestWhatAReaderChangesStaysWithIt(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	writer, reader := w.devices[0], w.devices[1]
	reader.access = folder.AccessRead
	for _, name := range []string{"edited", "deleted", "open", "renamed", "dir/child"} {
		write(w, writer, name, name+" by the writer")
	}
	w.meet()
	whole := writer.shows()
	if got := reader.shows(); got != whole {
		t.Fatalf("the reader shows\n%s\nwant\n%s", got, whole)
	}

	u := reader.fs.User()
	write(w, reader, "edited", "edited by the reader")
	write(w, reader, "new", "new of the reader")
	w.must(u.Remove("deleted"))
	w.must(u.Chmod("open", 0o777))
	w.must(u.Chmod("dir", 0o700))
	w.must(u.Rename("renamed", "elsewhere"))
	w.meet()
	if got := writer.shows(); got != whole {
		t.Errorf("a reader's changes reached the writer:\n%s\nwant\n%s", got, whole)
	}
	var shown []string
	mine := 0
	for line := range strings.Lines(reader.shows()) {
		switch {
		case strings.HasPrefix(line, "edited (conflict dev1 "):
			if !strings.Contains(line, "edited by the reader") {
				t.Errorf("%q is not what the reader wrote", line)
			}
			mine++
		case strings.HasPrefix(line, "new "), strings.HasPrefix(line, "elsewhere "):
			mine++
		default:
			shown = append(shown, line)
		}
	}
	if got := strings.Join(shown, ""); got != whole || mine != 3 {
		t.Errorf("beside %d files of its own the reader shows\n%s\nwant 3 and\n%s", mine, got, whole)
	}
	for _, p := range []shoal.Path{"edited", "new", "deleted", "open", "dir", "renamed", "elsewhere"} {
		if !slices.Contains(refusals(reader), p) {
			t.Errorf("the change of %s was not reported: %v", p, refusals(reader))
		}
	}
}

// rewrite puts a file in the place of one that is the same in all but its inode, as an editor does that saves what nobody changed, or a backup put back.
func rewrite(w *world, d *device, p string) {
	u := d.fs.User()
	st, err := u.Lstat(p)
	w.must(err)
	data, err := u.ReadFile(p)
	w.must(err)
	w.must(u.WriteFile(p+"~", data))
	w.must(u.Chmod(p+"~", st.Mode))
	w.must(u.Chtimes(p+"~", st.MTime))
	w.must(u.Rename(p+"~", p))
}

func TestAReaderThatWritesTheSameAgainChangedNothing(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	writer, reader := w.devices[0], w.devices[1]
	reader.access = folder.AccessRead
	write(w, writer, "f", "text")
	w.meet()
	rewrite(w, reader, "f")
	w.meet()
	if got, want := reader.shows(), writer.shows(); got != want || len(refusals(reader)) > 0 {
		t.Errorf("the reader shows\n%s\nwant\n%s\nand refused %v", got, want, refusals(reader))
	}
}

// Nobody would give a revoked device what it had before, so it keeps what it has.
func TestARevokedDeviceKeepsItsFiles(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	owner, revoked := w.devices[0], w.devices[1]
	write(w, owner, "edited", "before")
	write(w, owner, "deleted", "x")
	write(w, owner, "rewritten", "same")
	w.meet()
	whole := owner.shows()
	write(w, revoked, "just before", "y")
	revoked.look()
	revoked.access = folder.AccessNone
	u := revoked.fs.User()
	rewrite(w, revoked, "rewritten")
	rewrite(w, revoked, "just before")
	write(w, revoked, "edited", "after")
	write(w, revoked, "new", "z")
	w.must(u.Remove("deleted"))
	want := revoked.shows()
	for range 3 {
		w.tick(70 * time.Second)
		revoked.look()
		revoked.work()
	}
	if got := revoked.shows(); got != want {
		t.Errorf("the revoked device shows\n%s\nwant what its user made of it:\n%s", got, want)
	}
	owes := true
	w.must(revoked.idx.View(func(tx *index.Tx) (err error) {
		owes, err = folder.Owes(tx, nil)
		return err
	}))
	if owes {
		t.Error("the revoked device waits for what nobody will give it")
	}
	if got := owner.shows(); got != whole {
		t.Errorf("the owner shows\n%s\nwant\n%s", got, whole)
	}
}

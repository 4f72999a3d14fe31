package folder_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
)

// longText is the content of a file whose recipe no record carries itself.
func longText(b byte) string {
	content := randomContent((block.InlineRecipe + 12) * block.TargetSize)
	content[0] = b
	return string(content)
}

// longWorld is two devices that have a long file and a small one.
func longWorld(t *testing.T) (w *world, a, b *device) {
	w = newWorld(t, disktest.Options{}, disktest.Options{})
	a, b = w.devices[0], w.devices[1]
	write(w, a, "dir/long", longText('a'))
	write(w, a, "small", "small")
	w.meet()
	w.must(a.idx.View(func(tx *index.Tx) error {
		want, err := tx.Desired("dir/long")
		if err == nil && len(want.Recipe) <= block.InlineRecipe {
			t.Fatalf("the long file has %d blocks, too few for this test", len(want.Recipe))
		}
		return err
	}))
	return w, a, b
}

// same holds that both devices show these names, and the same.
func same(t *testing.T, a, b *device, names ...string) {
	t.Helper()
	if got := a.names(); !slices.Equal(got, names) {
		t.Errorf("the first shows %q, want %q", got, names)
	}
	equal := func(x, y disktest.Node) bool {
		return x.Path == y.Path && x.Kind == y.Kind && x.Mode == y.Mode && (x.Kind == shoal.KindFolder || x.MTime == y.MTime) && x.Content == y.Content
	}
	if !slices.EqualFunc(a.fs.User().Tree(), b.fs.User().Tree(), equal) {
		t.Errorf("the first shows %q, the second %q, or other contents", a.names(), b.names())
	}
}

func TestALongFileIsRenamed(t *testing.T) {
	w, a, b := longWorld(t)
	u := a.fs.User()
	w.must(u.Rename("dir/long", "long"))
	w.meet()
	same(t, a, b, "dir", "long", "small")
	w.must(u.Rename("long", "dir/again"))
	w.must(u.Rename("dir", "folder"))
	w.meet()
	same(t, a, b, "folder", "folder/again", "small")
}

func TestModeAndTimeOfALongFile(t *testing.T) {
	w, a, b := longWorld(t)
	w.must(a.fs.User().Chmod("dir/long", 0o600))
	w.meet()
	w.must(b.fs.User().Chtimes("dir/long", 1_600_000_000_000_000_000))
	w.meet()
	same(t, a, b, "dir", "dir/long", "small")
}

// Whatever settles a conflict between long files: the records that say so bring no content, and know what they are of.
func TestAConflictOfLongFiles(t *testing.T) {
	for how, settle := range map[string]func(w *world, d *device, winner, loser string){
		"the copy is deleted":      func(w *world, d *device, _, loser string) { w.must(d.fs.User().Remove(loser)) },
		"the copy is renamed":      func(w *world, d *device, _, loser string) { w.must(d.fs.User().Rename(loser, "kept")) },
		"the copy takes its place": func(w *world, d *device, winner, loser string) { w.must(d.fs.User().Rename(loser, winner)) },
		"the winner is deleted":    func(w *world, d *device, winner, _ string) { w.must(d.fs.User().Remove(winner)) },
		"the winner is renamed":    func(w *world, d *device, winner, _ string) { w.must(d.fs.User().Rename(winner, "kept")) },
		"the winner is edited":     func(w *world, d *device, winner, _ string) { write(w, d, winner, longText('e')) },
		"the folder is renamed":    func(w *world, d *device, _, _ string) { w.must(d.fs.User().Rename("dir", "folder")) },
	} {
		t.Run(how, func(t *testing.T) {
			if raceEnabled && how != "the copy takes its place" {
				t.Skip("many megabytes: it runs without the race detector")
			}
			w, a, b := longWorld(t)
			write(w, a, "dir/long", longText('b'))
			w.tick(time.Second)
			write(w, b, "dir/long", longText('c'))
			w.meet()
			loser := ""
			for _, name := range a.names() {
				if strings.Contains(name, " (conflict ") {
					loser = name
				}
			}
			if loser == "" {
				t.Fatalf("there is no conflict: %q", a.names())
			}
			settle(w, a, "dir/long", loser)
			w.meet()
			same(t, a, b, a.names()...)
			for _, d := range w.devices {
				w.must(d.db.Check(t.Context()))
			}
		})
	}
}

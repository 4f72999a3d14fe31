package node

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

func TestWordsAreOverwrittenWhateverTheyAre(t *testing.T) {
	good := strings.Repeat("abandon ", 23) + "art"
	for name, words := range map[string]string{"good": good, "bad": good + " art", "long": strings.Repeat(good, 10)} {
		text := []byte(words)
		w, err := ReadWords(text)
		if (err == nil) != (name == "good") || (w != nil) != (name == "good") {
			t.Errorf("%s words: %v", name, err)
		}
		if !bytes.Equal(text, make([]byte, len(text))) {
			t.Errorf("%s words are left in memory", name)
		}
		if err != nil && strings.Contains(err.Error(), "abandon") {
			t.Errorf("an error says words: %v", err)
		}
	}
}

func TestNamesOfFoldersBecomeNamesOfDirectories(t *testing.T) {
	for name, want := range map[string]string{
		"Photos": "Photos", "été 2026": "été 2026", "a/b\\c": "a_b_c", "..": "folder", "...": "folder", ".ssh": "folder .ssh",
		"con:": "con_", "end. ": "end", "../../etc": "folder .._.._etc",
	} {
		if got := fileName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
		if got := fileName(name); filepath.Base(filepath.Join("/x", got)) != strings.TrimRight(got, "/") || !filepath.IsLocal(got) {
			t.Errorf("%q becomes %q, which is no name", name, got)
		}
	}
}

func TestARecoveredFolderMixesWithNothing(t *testing.T) {
	id, err := mesh.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n, parent, f := &Node{id: id}, t.TempDir(), mesh.Folder{ID: shoal.FolderID{1}, Name: "Photos"}
	expect := func(want string) {
		t.Helper()
		if got := n.freePlace(parent, f); got != filepath.Join(parent, want) {
			t.Errorf("it goes to %s, want %s", got, want)
		}
	}
	fill := func(dir string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(parent, dir, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	expect("Photos")
	if err := os.Mkdir(filepath.Join(parent, "Photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	expect("Photos") // an empty one
	fill("Photos")
	expect("Photos (recovered)")
	fill("Photos (recovered)")
	expect("Photos (recovered 2)")
	// What an earlier try began goes on there.
	if err := writeMarker(filepath.Join(parent, "Photos (recovered)"), f.ID, id.Device()); err != nil {
		t.Fatal(err)
	}
	expect("Photos (recovered)")
}

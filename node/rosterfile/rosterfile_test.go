package rosterfile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/mesh"
)

var when = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// begin makes a store with a new mesh, whose saves are noted.
func begin(t *testing.T) (s *Store, id *mesh.Identity, path string, saves *[]error) {
	t.Helper()
	id, err := mesh.NewIdentity(rand.Reader)
	must(t, err)
	words, err := mesh.NewPhrase(make([]byte, 32))
	must(t, err)
	root, err := mesh.RootFromPhrase(words)
	must(t, err)
	r, err := mesh.Create(root, id, "laptop", rand.Reader, when)
	must(t, err)
	saves = new([]error)
	path = filepath.Join(t.TempDir(), "roster")
	s, err = Open(path, id, func(err error) { *saves = append(*saves, err) })
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	must(t, s.Replace(r))
	return s, id, path, saves
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addFolder(t *testing.T, s *Store, id *mesh.Identity, name string) error {
	t.Helper()
	return s.Update(func(r *mesh.Roster) error {
		_, err := r.AddFolder(id, name, when, rand.Reader)
		must(t, err)
		return nil
	})
}

// names are the folders that a fresh start finds in the file.
func names(t *testing.T, path string, id *mesh.Identity) (out []string) {
	t.Helper()
	s, err := Open(path, id, nil)
	must(t, err)
	defer s.Close()
	for _, f := range s.State().Folders() {
		out = append(out, f.Name)
	}
	return out
}

func TestWhatIsSavedIsThereAfterAStart(t *testing.T) {
	s, id, path, saves := begin(t)
	must(t, addFolder(t, s, id, "one"))
	must(t, addFolder(t, s, id, "two"))
	must(t, s.Update(func(*mesh.Roster) error { return nil }))
	if got := names(t, path, id); len(got) != 2 {
		t.Errorf("folders %q", got)
	}
	if len(*saves) != 3 || errors.Join(*saves...) != nil {
		t.Errorf("saves %v", *saves)
	}
	if err := s.Replace(mesh.NewRoster()); err == nil {
		t.Error("a second mesh took the place of the first")
	}
}

// A save that fails loses nothing: the next one writes all of it, and over what the first left.
func TestASaveThatFailsIsMadeUpFor(t *testing.T) {
	s, id, path, saves := begin(t)
	good := s.file
	readOnly, err := os.Open(path)
	must(t, err)
	defer readOnly.Close()
	s.file = readOnly
	if err := addFolder(t, s, id, "one"); err == nil {
		t.Fatal("saved into a file that can't be written")
	}
	s.file = good
	_, err = good.WriteAt([]byte("half a statement"), s.size)
	must(t, err)
	must(t, s.Update(func(*mesh.Roster) error { return nil }))
	must(t, addFolder(t, s, id, "two"))
	if got := names(t, path, id); len(got) != 2 {
		t.Errorf("folders %q", got)
	}
	if n := len(*saves); n != 4 || (*saves)[1] == nil || (*saves)[2] != nil {
		t.Errorf("saves %v", *saves)
	}
}

func TestATornTailIsCut(t *testing.T) {
	s, id, path, _ := begin(t)
	must(t, addFolder(t, s, id, "one"))
	whole, err := os.ReadFile(path)
	must(t, err)
	must(t, addFolder(t, s, id, "two"))
	data, err := os.ReadFile(path)
	must(t, err)
	torn := filepath.Join(t.TempDir(), "torn")
	for cut := len(whole) + 1; cut < len(data); cut += (len(data) - len(whole)) / 7 {
		must(t, os.WriteFile(torn, data[:cut], 0o600))
		s, err := Open(torn, id, nil)
		must(t, err)
		must(t, addFolder(t, s, id, "three"))
		must(t, s.Close())
		if got := names(t, torn, id); !slices.Contains(got, "one") || !slices.Contains(got, "three") {
			t.Errorf("cut at %d of %d: folders %q", cut, len(data), got)
		}
	}
}

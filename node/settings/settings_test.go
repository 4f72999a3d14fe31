package settings

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSettingsAreThereAfterAStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.json")
	s, err := Open(path)
	must(t, err)
	id := shoal.FolderID{7}
	dir := t.TempDir()
	must(t, s.Update(func(s *Settings) {
		s.Name = "laptop"
		s.Folders = []Folder{{ID: id.String(), Path: dir, Joined: true, Options: map[string]string{"a": "b"}}}
		s.Addresses["phone"] = []string{"/ip4/192.0.2.1/tcp/1"}
	}))
	again, err := Open(path)
	must(t, err)
	got := again.Get()
	f := got.Folder(id)
	if got.Name != "laptop" || f == nil || f.Path != dir || !f.Joined || f.Options["a"] != "b" || len(got.Addresses["phone"]) != 1 {
		t.Errorf("%+v", got)
	}
	if got.Folder(shoal.FolderID{8}) != nil {
		t.Error("a folder that is not there was found")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("%d files were left behind", len(left))
	}
}

// What Get returned is the caller's.
func TestGetReturnsACopy(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "settings.json"))
	must(t, err)
	must(t, s.Update(func(s *Settings) {
		s.Folders = []Folder{{ID: shoal.FolderID{1}.String(), Path: filepath.Join(t.TempDir(), "x"), Options: map[string]string{"a": "b"}}}
		s.Addresses["phone"] = []string{"here"}
	}))
	got := s.Get()
	got.Folders[0].Joined, got.Folders[0].Options["a"], got.Addresses["phone"], got.Addresses["nas"] = true, "c", nil, nil
	now := s.Get()
	if now.Folders[0].Joined || now.Folders[0].Options["a"] != "b" || len(now.Addresses) != 1 || len(now.Addresses["phone"]) != 1 {
		t.Errorf("%+v", now)
	}
}

func TestAnUpdateThatFailsChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "settings.json"))
	must(t, err)
	must(t, s.Update(func(s *Settings) { s.Name = "laptop" }))
	for name, f := range map[string]Folder{
		"relative path": {ID: shoal.FolderID{1}.String(), Path: "x"},
		"bad ID":        {ID: "x", Path: dir},
	} {
		err := s.Update(func(s *Settings) { s.Name, s.Folders = "other", []Folder{f} })
		if !errors.Is(err, shoal.ErrInvalid) || s.Get().Name != "laptop" || len(s.Get().Folders) != 0 {
			t.Errorf("%s: %v, %+v", name, err, s.Get())
		}
	}
	s.path = filepath.Join(dir, "gone", "settings.json")
	if err := s.Update(func(s *Settings) { s.Name = "other" }); err == nil || s.Get().Name != "laptop" {
		t.Errorf("not saved: %v, %+v", err, s.Get())
	}
}

func TestDamagedSettingsAreRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"folders":[{"id":"x","path":"/x"}]}`, `[]`} {
		path := filepath.Join(t.TempDir(), "settings.json")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := Open(path); err == nil {
			t.Errorf("%q was taken for settings", text)
		}
	}
	path := filepath.Join(t.TempDir(), "settings.json")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Truncate(path, maxFile+1))
	if _, err := Open(path); err == nil {
		t.Error("a file without bounds was read")
	}
}

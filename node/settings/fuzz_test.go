package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/shoalmesh/shoal"
)

// FuzzOpen: what is accepted is valid, can be saved, and is the same when it is read again.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"name":"x","folders":[{"id":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","path":"/a","joined":true,"root":7,"options":{"a":"b"}}],"addresses":{"d":["/ip4/1.2.3.4/tcp/1"]}}`))
	f.Add([]byte(`{"folders":[{"id":"00000000000000000000000000000000","path":"/a"}]}`))
	f.Add([]byte(`{"folders":[{"id":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","path":"/a"},{"id":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","path":"/b"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "settings.json")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			return
		}
		now := s.Get()
		if err := now.Validate(); err != nil {
			t.Fatalf("accepted and invalid: %v", err)
		}
		for i := range now.Folders {
			if f := &now.Folders[i]; now.Folder(mustID(t, f.ID)) != f {
				t.Fatalf("folder %s is not found, or is another one", f.ID)
			}
		}
		if err := s.Update(func(*Settings) {}); err != nil {
			t.Fatalf("what was read can't be saved: %v", err)
		}
		again, err := Open(path)
		if err != nil {
			t.Fatalf("what was saved can't be read: %v", err)
		}
		if back := again.Get(); !reflect.DeepEqual(normal(back), normal(s.Get())) {
			t.Fatalf("saved %+v, read %+v", s.Get(), back)
		}
	})
}

func mustID(t *testing.T, s string) shoal.FolderID {
	t.Helper()
	id, err := shoal.ParseFolderID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// normal makes no difference between what is empty and what is not there.
func normal(s Settings) Settings {
	if len(s.Folders) == 0 {
		s.Folders = nil
	}
	for i := range s.Folders {
		if len(s.Folders[i].Options) == 0 {
			s.Folders[i].Options = nil
		}
	}
	for k, v := range s.Addresses {
		if len(v) == 0 {
			s.Addresses[k] = nil
		}
	}
	return s
}

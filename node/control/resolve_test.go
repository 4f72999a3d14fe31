package control

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// links is a disk that has only symlinks to directories: name → target, both clean and absolute. Everything else exists
// as it is named, but what is under /gone.
type links map[string]string

func (l links) eval(p string) (string, error) {
	for range 10 {
		if p == "/gone" || strings.HasPrefix(p, "/gone/") {
			return "", fs.ErrNotExist
		}
		found := false
		for name, target := range l {
			if p == name || strings.HasPrefix(p, name+"/") {
				p, found = target+p[len(name):], true
				break
			}
		}
		if !found {
			return p, nil
		}
	}
	return "", errors.New("too many links")
}

func TestAPathIsFoundInItsFolder(t *testing.T) {
	list := []Folder{
		{Name: "Home", Here: true, Path: "/home/ann/Shoal"},
		{Name: "Nested", Here: true, Path: "/home/ann/Shoal/deep/root"},
		{Name: "Linked", Here: true, Path: "/home/ann/link"},
		{Name: "Elsewhere", Path: ""},
		{Name: "Missing", Here: true, Path: "/gone/away"},
	}
	disk := links{"/home/ann/link": "/big/disk", "/h": "/home", "/home/ann/Shoal/inside": "/home/ann/Shoal/docs", "/home/ann/Shoal/out": "/tmp"}
	for _, row := range []struct{ name, abs, folder, rel string }{
		{"the root", "/home/ann/Shoal", "Home", ""},
		{"a file", "/home/ann/Shoal/a/b.txt", "Home", "a/b.txt"},
		{"unclean", "/home/ann/Shoal//a/../b.txt/", "Home", "b.txt"},
		{"the deepest of nested roots", "/home/ann/Shoal/deep/root/x", "Nested", "x"},
		{"above a nested root", "/home/ann/Shoal/deep/x", "Home", "deep/x"},
		{"a sibling with the same beginning", "/home/ann/Shoal2/a", "", ""},
		{"through a symlink above the root", "/h/ann/Shoal/a", "Home", "a"},
		{"a root that is a symlink", "/home/ann/link/a", "Linked", "a"},
		{"the symlink itself", "/home/ann/link", "Linked", ""},
		{"behind such a root", "/big/disk/a", "Linked", "a"},
		{"through a symlink inside the folder", "/home/ann/Shoal/inside/a", "Home", "docs/a"},
		{"a symlink inside the folder is itself", "/home/ann/Shoal/inside", "Home", "inside"},
		{"through a symlink that leads out", "/home/ann/Shoal/out/a", "", ""},
		{"in a folder whose disk is gone", "/gone/away/a/b", "Missing", "a/b"},
		{"nowhere", "/etc/passwd", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			in, rel, ok := locate(list, row.abs, disk.eval)
			if ok != (row.folder != "") || in.Name != row.folder || string(rel) != row.rel {
				t.Errorf("%s is %q in %q (%v), want %q in %q", row.abs, rel, in.Name, ok, row.rel, row.folder)
			}
		})
	}
}

func TestWhateverIsUnderARootIsFoundThere(t *testing.T) {
	name := rapid.StringMatching(`[a-c]{1,2}`)
	rapid.Check(t, func(t *rapid.T) {
		root := "/" + strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "root"), "/")
		rel := strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "path"), "/")
		other := "/" + strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "other root"), "/")
		list := []Folder{{Name: "root", Here: true, Path: Path(root)}, {Name: "other", Here: true, Path: Path(other)}}
		in, got, ok := locate(list, root+"/"+rel, links{}.eval)
		if !ok || filepath.Join(string(in.Path), string(got)) != root+"/"+rel {
			t.Fatalf("found %q in %q (%v)", got, in.Path, ok)
		}
		if in.Name == "other" && len(other) < len(root) {
			t.Fatalf("found in the shallower root %s", other)
		}
	})
}

func TestNamesThatSeveralShareNeedTheID(t *testing.T) {
	type thing struct{ name, id string }
	list := []thing{{"a", "1"}, {"b", "2"}, {"b", "3"}, {"2", "4"}, {"", "5"}}
	of := func(x thing) (string, string) { return x.name, x.id }
	for key, want := range map[string]string{"a": "1", "1": "1", "3": "3", "2": "2", "5": "5"} {
		if got, err := pick("thing", key, list, of); err != nil || got != want {
			t.Errorf("%q is %q (%v), want %q", key, got, err, want)
		}
	}
	if _, err := pick("thing", "b", list, of); CodeOf(err) != CodeUsage || !strings.Contains(err.Error(), "2, 3") {
		t.Errorf("an ambiguous name: %v", err)
	}
	for _, key := range []string{"c", ""} {
		if _, err := pick("thing", key, list, of); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", key, err)
		}
	}
}

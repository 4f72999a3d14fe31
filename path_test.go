package shoal_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

// names draws valid names, with bytes around '/' so that orders are tested, and some that are not UTF-8.
func names() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-c!.0-]{1,4}`),
		rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 1, 6), func(b []byte) string { return string(b) }),
	).Filter(func(s string) bool {
		return s != "." && s != ".." && s != shoal.ReservedName && !strings.Contains(s, "/")
	})
}

func paths() *rapid.Generator[shoal.Path] {
	return rapid.Map(rapid.SliceOfN(names(), 1, 4), func(n []string) shoal.Path { return shoal.Path(strings.Join(n, "/")) })
}

func TestPathValidate(t *testing.T) {
	long := strings.Repeat("n", shoal.MaxNameBytes)
	deep := strings.Repeat(long+"/", 15) + long // 16 names of 255 bytes and 15 slashes: 4095 bytes
	tests := []struct {
		name string
		path string
		ok   bool
	}{
		{"a name", "a", true},
		{"a path", "a/b.txt", true},
		{"a dot-file", ".bashrc", true},
		{"three dots", "...", true},
		{"spaces", " / ", true},
		{"bytes that are not UTF-8", "caf\xe9", true},
		{"a backslash", `a\b`, true},
		{"a colon", "a:b", true},
		{"a newline", "a\nb", true},
		{"the longest name", long, true},
		{"the longest path", deep + "/", false},
		{"a path of 4095 bytes", deep, true},
		{"a reserved name inside", "a/" + shoal.ReservedName, true},
		{"a name that begins like the reserved one", shoal.ReservedName + "ignore", true},

		{"nothing", "", false},
		{"the root", "/", false},
		{"an absolute path", "/a", false},
		{"a slash at the end", "a/", false},
		{"two slashes", "a//b", false},
		{"a dot", ".", false},
		{"a dot inside", "a/./b", false},
		{"two dots", "..", false},
		{"two dots at the end", "a/..", false},
		{"two dots at the beginning", "../a", false},
		{"a NUL", "a\x00b", false},
		{"a name that is too long", long + "n", false},
		{"a path that is too long", deep + "/n", false},
		{"the reserved folder", shoal.ReservedName, false},
		{"a path in the reserved folder", shoal.ReservedName + "/tmp", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := shoal.Path(tt.path).Validate()
			if (err == nil) != tt.ok {
				t.Fatalf("gives %v", err)
			}
			if err != nil && !errors.Is(err, shoal.ErrInvalid) {
				t.Errorf("%v does not wrap ErrInvalid", err)
			}
		})
	}
}

func TestPathParts(t *testing.T) {
	for _, tt := range []struct{ path, parent, name string }{
		{"a", "", "a"},
		{"a/b", "a", "b"},
		{"a/b/c.txt", "a/b", "c.txt"},
		{"", "", ""},
	} {
		p := shoal.Path(tt.path)
		if p.Name() != tt.name || string(p.Parent()) != tt.parent {
			t.Errorf("%q is %q in %q", tt.path, p.Name(), p.Parent())
		}
	}
}

func TestPathUnder(t *testing.T) {
	for _, tt := range []struct {
		path, dir string
		want      bool
	}{
		{"a/b", "a", true},
		{"a/b/c", "a", true},
		{"a", "", true},
		{"a", "a", false},
		{"ab", "a", false},
		{"ab/c", "a", false},
		{"", "", false},
		{"a", "a/b", false},
	} {
		if got := shoal.Path(tt.path).Under(shoal.Path(tt.dir)); got != tt.want {
			t.Errorf("%q under %q: %v", tt.path, tt.dir, got)
		}
	}
}

func TestPathRebase(t *testing.T) {
	for _, tt := range []struct{ path, from, to, want string }{
		{"a/b", "a", "x", "x/b"},
		{"a/b/c", "a/b", "x/y", "x/y/c"},
		{"a", "a", "x", "x"},
		{"a/b", "", "x", "x/a/b"},
		{"a/b", "a", "", "b"},
		{"a/b", "", "", "a/b"},
	} {
		if got := shoal.Path(tt.path).Rebase(shoal.Path(tt.from), shoal.Path(tt.to)); string(got) != tt.want {
			t.Errorf("%q moved from %q to %q is %q, want %q", tt.path, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestPathLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, name, to := paths().Draw(t, "path"), names().Draw(t, "name"), paths().Draw(t, "to")
		child := p.Join(name)
		if err := child.Validate(); err != nil {
			t.Fatal(err)
		}
		if child.Parent() != p || child.Name() != name || p.Parent().Join(p.Name()) != p {
			t.Fatalf("%q is %q in %q", child, child.Name(), child.Parent())
		}
		if !child.Under(p) || p.Under(child) || p.Under(p) || !p.Under("") {
			t.Fatalf("%q and %q do not lie as they should", p, child)
		}
		if moved := child.Rebase(p, to); moved != to.Join(name) || moved.Rebase(to, p) != child {
			t.Fatalf("%q moved from %q to %q is %q", child, p, to, moved)
		}
	})
}

// byNames orders paths name by name: the tree walk, written so that it is obviously one.
func byNames(a, b shoal.Path) int {
	if a == "" || b == "" {
		return cmp.Compare(len(a), len(b))
	}
	return slices.Compare(strings.Split(string(a), "/"), strings.Split(string(b), "/"))
}

func TestComparePathsIsTheOrderOfATreeWalk(t *testing.T) {
	sign := func(n int) int { return cmp.Compare(n, 0) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := paths().Draw(t, "a"), paths().Draw(t, "b")
		if rapid.Bool().Draw(t, "inside") {
			b = a + "/" + b
		}
		if got, want := sign(shoal.ComparePaths(a, b)), byNames(a, b); got != want {
			t.Fatalf("%q against %q: %d, in a walk %d", a, b, got, want)
		}
		if sign(shoal.ComparePaths(b, a)) != -byNames(a, b) || shoal.ComparePaths(a, a) != 0 {
			t.Fatal("not an order")
		}
		if (shoal.ComparePaths(a, b) == 0) != (a == b) {
			t.Fatal("different paths compare equal")
		}
	})
}

func TestKinds(t *testing.T) {
	for kind, name := range map[shoal.Kind]string{
		shoal.KindTombstone: "tombstone", shoal.KindFile: "file", shoal.KindFolder: "folder", shoal.KindSymlink: "symlink",
	} {
		if kind.String() != name || kind.Validate() != nil {
			t.Errorf("%s: %v", kind, kind.Validate())
		}
	}
	if shoal.KindTombstone != 1 || shoal.KindFile != 2 || shoal.KindFolder != 3 || shoal.KindSymlink != 4 {
		t.Error("the numbers of kinds are part of the record format")
	}
	for _, kind := range []shoal.Kind{0, 5, 255} {
		if err := kind.Validate(); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s gives %v", kind, err)
		}
	}
}

func FuzzPathValidate(f *testing.F) {
	for _, s := range []string{"a", "a/b", "", "/", "..", "a/../b", "a//b", "a\x00", ".shoal/x", strings.Repeat("n", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := shoal.Path(s)
		if err := p.Validate(); err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("%q gives %v", s, err)
			}
			return
		}
		if len(s) > shoal.MaxPathBytes || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
			t.Fatalf("%q is accepted", s)
		}
		for i, name := range strings.Split(s, "/") {
			if name == "" || name == "." || name == ".." || len(name) > shoal.MaxNameBytes || strings.Contains(name, "\x00") || i == 0 && name == ".shoal" {
				t.Fatalf("%q is accepted", s)
			}
		}
		if q := p.Parent(); q != "" && q.Validate() != nil {
			t.Fatalf("%q is accepted, its parent is not", s)
		}
	})
}

package disktest

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// Abilities says what the disk under test can do; Run skips what needs others, by name.
type Abilities struct {
	Exchange     bool // atomic swaps
	Symlinks     bool
	SymlinkTimes bool // and set their times
	Inodes       bool // names of one thing can be told from names of two
	Modes        bool // permission bits are kept as asked
	Permissions  bool // and keep this process out: not so for root
	EnterOnly    bool // folders that may be entered and not read can be walked through
	ByteNames    bool // names are any bytes but NUL and '/', up to 255 of them
	Holes        bool // and tells where they are
	Busy         bool // tells who has a file open for writing
	LongPaths    bool // paths of up to shoal.MaxPathBytes
}

// Good are the abilities of a good disk, as an ordinary user has it.
var Good = Abilities{Exchange: true, Symlinks: true, SymlinkTimes: true, Inodes: true, Modes: true, Permissions: true, EnterOnly: true, ByteNames: true, Holes: true, Busy: true, LongPaths: true}

// Run checks that a disk obeys the contract of disk.FS. fresh returns a new disk with an empty root; it is called once for
// each test.
func Run(t *testing.T, can Abilities, fresh func(t *testing.T) disk.FS) {
	for _, group := range [][]law{readLaws, writeLaws, moveLaws, walkLaws} {
		for _, l := range group {
			t.Run(l.name, func(t *testing.T) {
				if l.needs != nil && !l.needs(can) {
					t.Skip("the disk under test lacks this ability")
				}
				l.test(tester{t, fresh(t), can})
			})
		}
	}
}

// law is one promise of the contract and its test.
type law struct {
	name  string
	needs func(Abilities) bool // nil: nothing
	test  func(tester)
}

func exchange(a Abilities) bool     { return a.Exchange }
func symlinks(a Abilities) bool     { return a.Symlinks }
func symlinkTimes(a Abilities) bool { return a.SymlinkTimes }
func modes(a Abilities) bool        { return a.Modes }
func permissions(a Abilities) bool  { return a.Permissions }
func byteNames(a Abilities) bool    { return a.ByteNames }
func holes(a Abilities) bool        { return a.Holes }
func busy(a Abilities) bool         { return a.Busy }
func longPaths(a Abilities) bool    { return a.LongPaths }

// tester is the vocabulary of the laws: what is not itself under test ends the test on an error.
type tester struct {
	*testing.T
	fs  disk.FS
	can Abilities
}

func (t tester) must(what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wants fails unless err is want; a nil want wants success.
func (t tester) wants(what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func (t tester) write(p, content string) {
	t.Helper()
	w, err := t.fs.Create(p, 0, 0o644)
	t.must("create "+brief(p), err)
	t.fill(w, content)
}

// fill writes the beginning of w and closes it.
func (t tester) fill(w disk.WFile, content string) {
	t.Helper()
	_, err := w.WriteAt([]byte(content), 0)
	t.must("write", err)
	t.must("close", w.Close())
}

func (t tester) mkdir(p string) {
	t.Helper()
	t.must("mkdir "+brief(p), t.fs.Mkdir(p, 0o755))
}

func (t tester) symlink(target, p string) {
	t.Helper()
	t.must("symlink "+brief(p), t.fs.Symlink(target, p))
}

func (t tester) stat(p string) disk.Stat {
	t.Helper()
	st, err := t.fs.Lstat(p)
	t.must("lstat "+brief(p), err)
	return st
}

func (t tester) read(p string) string {
	t.Helper()
	f, err := t.fs.Open(p)
	t.must("open "+brief(p), err)
	defer f.Close()
	b, err := io.ReadAll(f)
	t.must("read "+brief(p), err)
	return string(b)
}

// holds fails unless the file p has that content.
func (t tester) holds(p, content string) {
	t.Helper()
	if got := t.read(p); got != content {
		t.Errorf("%s holds %q, want %q", p, got, content)
	}
}

// absent fails unless nothing is at p.
func (t tester) absent(p string) {
	t.Helper()
	_, err := t.fs.Lstat(p)
	t.wants("lstat "+p, err, fs.ErrNotExist)
}

// lists fails unless dir holds exactly these names, in this order.
func (t tester) lists(dir string, names ...string) {
	t.Helper()
	list, err := t.fs.List(dir)
	t.must("list "+brief(dir), err)
	var got []string
	for _, st := range list {
		got = append(got, st.Name)
	}
	if strings.Join(got, "\x00") != strings.Join(names, "\x00") {
		t.Errorf("%q lists %q, want %q", dir, got, names)
	}
}

// kind fails unless that is at p.
func (t tester) kind(p string, want shoal.Kind) {
	t.Helper()
	if got := t.stat(p).Kind; got != want {
		t.Errorf("%s is a %v, want a %v", p, got, want)
	}
}

// brief keeps long paths out of messages.
func brief(p string) string {
	if len(p) > 80 {
		return p[:80] + "…"
	}
	return p
}

// same fails unless a and b are one thing, as far as the disk tells.
func (t tester) same(what string, a, b disk.Stat) {
	t.Helper()
	if t.can.Inodes && !a.Same(b) {
		t.Errorf("%s has another inode", what)
	}
}

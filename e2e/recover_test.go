//go:build linux

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// fire is a mesh in which every device is lost but one, which holds everything, and of which the words are left.
type fire struct {
	left  *device
	words string
	tree  lab.Tree // what was in the first folder
	other lab.Tree // what was in the second
}

// afterFire lets two devices fill two folders with a third, and burns the two.
func afterFire(t *testing.T) fire {
	t.Helper()
	a, b, c := newDevice(t, "anna"), newDevice(t, "ben"), newDevice(t, "carla")
	paper := filepath.Join(tempDir(t), "words")
	a.up(t, "--recovery-out", paper)
	join(t, a, b)
	join(t, a, c)
	check(t, lab.SmallFiles(a.path("many"), 300, 0, 9000, 1))
	check(t, lab.RandomFile(a.path("large"), 5<<20, 2))
	a.at(t).write("café/überall", "von anna")
	a.at(t).mkdir("empty")
	a.at(t).symlink("large", "link")
	a.at(t).write("run.sh", "#!/bin/sh")
	a.at(t).chmod("run.sh", 0o755)
	settle(t, a, b, c)
	b.at(t).write("edited", "by ben")
	b.at(t).write("gone", "for a while")
	settle(t, a, b, c)
	check(t, os.Remove(b.path("gone")))
	f := fire{left: c, tree: settle(t, a, b, c)}
	_, second := secondFolder(t, a, c)
	var err error
	f.other, err = lab.Snapshot(second.root)
	check(t, err)
	words, err := os.ReadFile(paper)
	check(t, err)
	f.words = strings.TrimSpace(string(words))
	for _, d := range []*device{a, b} {
		check(t, d.Kill())
		check(t, os.RemoveAll(d.Home))
		check(t, os.RemoveAll(d.Dir))
	}
	return f
}

// recover runs `shoal recover` on a fresh device with the words on standard input.
func (f fire) recover(t *testing.T, d *device, words string, more ...string) lab.Result {
	t.Helper()
	args := append([]string{"recover", "-v", "--name", d.Name, "--listen", d.Listen, "--no-mdns", "--no-dht"}, more...)
	r, err := d.RunInput(within(t), words+"\n", append(args, d.Dir)...)
	check(t, err)
	return r
}

// address is where the device that is left is, without its ID.
func (f fire) address() string { return f.left.Listen }

func TestTheWordsAndOneAddressBringEverythingBack(t *testing.T) {
	t.Parallel()
	f := afterFire(t)
	d := newDevice(t, "dora")
	r := f.recover(t, d, f.words, "--vault", f.address(), "--once")
	if r.Code != 0 {
		t.Fatal(r)
	}
	if diff := d.tree(t).Diff(f.tree); len(diff) > 0 {
		t.Errorf("the tree is not what it was:\n%s", strings.Join(diff, "\n"))
	}
	second, err := lab.Snapshot(filepath.Join(filepath.Dir(d.Dir), "Second"))
	check(t, err)
	if diff := second.Diff(f.other); len(diff) > 0 {
		t.Errorf("the second folder is not what it was:\n%s", strings.Join(diff, "\n"))
	}
	hidesWords(t, f.words, d, r)

	// It is an owner like any other now: it puts out what burnt, and a new epoch begins without it.
	d.up(t)
	settleTwo(t, d, f.left)
	d.do(t, "devices", "revoke", "anna")
	d.do(t, "devices", "revoke", "ben")
	knowsRevoked(t, f.left, "anna", "ben")
	d.at(t).write("after", "from dora")
	f.left.at(t).write("also after", "from carla")
	settleTwo(t, d, f.left)
	if d.at(t).read("also after") != "from carla" || f.left.at(t).read("after") != "from dora" {
		t.Error("the recovered device and the one that was left do not go on together")
	}
	d.exits(t, 0, "doctor")
}

// hidesWords holds that the phrase is nowhere: not in what was said, and not in the home.
func hidesWords(t *testing.T, words string, d *device, r lab.Result) {
	t.Helper()
	some := strings.Join(strings.Fields(words)[:3], " ")
	if strings.Contains(r.Stdout+r.Stderr, some) {
		t.Error("the words were said")
	}
	if _, err := os.Stat(d.Home); os.IsNotExist(err) {
		return // words that are none make no home
	}
	check(t, filepath.WalkDir(d.Home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), some) {
			t.Errorf("the words are in %s", path)
		}
		return err
	}))
}

// settleTwo waits until the first folders of two devices are the same and stay so for a look.
func settleTwo(t *testing.T, a, b *device) {
	t.Helper()
	eventually(t, "both become the same", func() error {
		for _, d := range []*device{a, b} {
			if r, err := d.Run(within(t), "wait", "--timeout", "10s", "--peers", "1"); err != nil || r.Code != 0 {
				return fmt.Errorf("%s %w", r, err)
			}
		}
		_, err := equalTrees([]*device{a, b})
		return err
	})
}

func TestOthersArePutOutByTheWordsWhenAsked(t *testing.T) {
	t.Parallel()
	f := afterFire(t)
	d := newDevice(t, "dora")
	r := f.recover(t, d, f.words, "--vault", strings.TrimPrefix(strings.Replace(f.address(), "/tcp/", ":", 1), "/ip4/"), "--once", "--revoke-others")
	if r.Code != 0 {
		t.Fatal(r)
	}
	if diff := d.tree(t).Diff(f.tree); len(diff) > 0 {
		t.Errorf("what the others wrote does not count any more:\n%s", strings.Join(diff, "\n"))
	}
	d.up(t)
	knowsRevoked(t, f.left, "anna", "ben")
	f.left.at(t).write("after", "from carla")
	settleTwo(t, d, f.left)
	if diff := f.tree.Diff(d.tree(t)); len(diff) != 1 {
		t.Errorf("these differ from before: %q", diff)
	}
}

func TestWrongWordsAndAddressesAreExplained(t *testing.T) {
	t.Parallel()
	a, d := newDevice(t, "anna"), newDevice(t, "dora")
	paper := filepath.Join(tempDir(t), "words")
	a.up(t, "--recovery-out", paper)
	raw, err := os.ReadFile(paper)
	check(t, err)
	words := strings.TrimSpace(string(raw))
	list := strings.Fields(words)
	others := strings.Repeat("abandon ", 23) + "art"
	f := fire{left: a}
	for name, c := range map[string]struct {
		words, vault string
		code         int
		says         string
	}{
		"a word too few": {strings.Join(list[:23], " "), f.address(), 2, "23 words, want 24"},
		"no such word":   {strings.Join(append([]string{"shoal"}, list[1:]...), " "), f.address(), 2, "word 1 is not in the word list"},
		"swapped words":  {strings.Join(append([]string{list[1], list[0]}, list[2:]...), " "), f.address(), 2, "checksum"},
		"another mesh":   {others, f.address(), 5, "no mesh of these words"},
		"no address":     {words, "nowhere", 2, "not an address"},
		"no vault":       {words, "", 2, "--vault ADDR"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "swapped words" && list[0] == list[1] {
				t.Skip("the words begin with the same one twice")
			}
			r := f.recover(t, d, c.words, "--vault", c.vault)
			want := c.says
			if r.Code != c.code && !(name == "swapped words" && r.Code == 5) { // one swap in 256 has a good checksum
				t.Errorf("want exit code %d: %s", c.code, r)
			} else if r.Code == c.code && !strings.Contains(r.Stderr, want) {
				t.Errorf("it does not say %q: %s", want, r)
			}
			hidesWords(t, words, d, r)
		})
	}
	if devices := a.status(t).Devices; len(devices) != 0 {
		t.Errorf("in the mesh there are %+v", devices)
	}
	// What was refused leaves the home as it was.
	if r := f.recover(t, d, words, "--vault", f.address(), "--once"); r.Code != 0 {
		t.Error(r)
	}
}

// A vault that holds only ciphertext is enough, beside the words.
func TestTheWordsAndAVaultBringEverythingBack(t *testing.T) {
	t.Parallel()
	a, v := newDevice(t, "anna"), newVault(t, "vera")
	paper := filepath.Join(tempDir(t), "words")
	a.up(t, "--recovery-out", paper)
	join(t, a, v)
	check(t, lab.SmallFiles(a.path("many"), 200, 0, 9000, 1))
	check(t, lab.RandomFile(a.path("long"), 20<<20, 2)) // its blocks stand in a tree of reference nodes
	a.at(t).write("café/überall", "von anna")
	a.at(t).symlink("long", "link")
	a.wait(t)
	want := a.tree(t)
	words, err := os.ReadFile(paper)
	check(t, err)
	check(t, a.Kill())
	check(t, os.RemoveAll(a.Home))
	check(t, os.RemoveAll(a.Dir))

	f := fire{left: v, words: strings.TrimSpace(string(words)), tree: want}
	d := newDevice(t, "dora")
	r := f.recover(t, d, f.words, "--vault", f.address(), "--once")
	if r.Code != 0 {
		t.Fatal(r)
	}
	if diff := d.tree(t).Diff(f.tree); len(diff) > 0 {
		t.Errorf("the tree is not what it was:\n%s", strings.Join(diff, "\n"))
	}
	hidesWords(t, f.words, d, r)
}

//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// newVault makes a vault that does not run yet.
func newVault(t *testing.T, name string, options ...option) *device {
	t.Helper()
	return newDevice(t, name, append([]option{func(d *lab.Device) { d.Vault = true }}, options...)...)
}

// The marks that a test looks for in a vault: of a content, a file name, a folder name, and the name of a device, which its folder has as well.
const (
	markContent = "the-quick-mark-of-a-content-that-nobody-else-has"
	markFile    = "mark-of-a-file-name"
	markFolder  = "mark-of-a-folder-name"
	markDevice  = "anna-who-meets-nobody"
)

// keptIn makes the three devices of these tests: two that are never on at the same time once they know each other, and a vault.
func keptIn(t *testing.T) (a, b, v *device) {
	t.Helper()
	a, b, v = newDevice(t, markDevice), newDevice(t, "ben"), newVault(t, "vera")
	a.up(t)
	join(t, a, v)
	join(t, a, b)
	a.wait(t)
	b.wait(t)
	b.stop(t)
	return a, b, v
}

func TestTwoDevicesThatNeverMeetAreTheSameThroughAVault(t *testing.T) {
	beside(t)
	a, b, v := keptIn(t)
	d := a.at(t)
	d.write(markFolder+"/"+markFile+".txt", markContent+"\n")
	d.write("deep/"+markFolder+"/empty", "")
	d.random("small", 700, 1)
	d.random("some blocks", 3<<20, 2)
	d.random("long", 40<<20, 3) // more than 64 blocks: its blocks stand in a tree of reference nodes
	d.symlink("long", "link")
	for i := range 40 {
		d.random(filepath.Join("many", string(rune('a'+i%26))+string(rune('a'+i/26))), 3000, uint64(100+i))
	}
	if *long {
		check(t, lab.CopyTree(filepath.Join(goroot(t), "src"), filepath.Join(d.root, "go")))
	}
	a.wait(t)
	if f := a.folder(t); f.CopiesMin < 2 {
		t.Errorf("%d copies, with one in a vault", f.CopiesMin)
	}
	want := a.tree(t)
	a.stop(t)

	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Fatalf("what came through the vault is not what went in: %q", diff)
	}

	// Both change the same file while apart.
	b.at(t).write("clash", "what ben wrote\n")
	b.at(t).replace("small", "ben's small\n")
	b.wait(t)
	b.stop(t)
	a.at(t).write("clash", "what anna wrote\n")
	a.at(t).replace("small", "anna's small\n")
	a.up(t)
	a.wait(t)
	want = a.tree(t)
	if len(a.at(t).copies("clash")) != 1 || len(a.at(t).copies("small")) != 1 {
		t.Errorf("copies of clash %q, of small %q, want one each", a.at(t).copies("clash"), a.at(t).copies("small"))
	}
	a.stop(t)
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("a conflict is shown in two ways: %q", diff)
	}

	v.stop(t)
	for _, mark := range []string{markContent, markFile, markFolder, markDevice, "ben's small"} {
		for _, name := range filesWith(t, v.Home, mark) {
			t.Errorf("the vault's %s says %q", name, mark)
		}
	}
}

// filesWith returns the files below a folder that contain some text. A short text would be found in sealed blocks by chance: one of four bytes once in
// each hundred times that 44 MiB are searched.
func filesWith(t *testing.T, root, text string) (names []string) {
	t.Helper()
	if len(text) < 8 {
		t.Fatalf("%q is too short to be looked for in sealed blocks", text)
	}
	check(t, filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if bytes.Contains(data, []byte(text)) {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// killTimes is how often the vault is killed while it receives.
const killTimes = 4

func TestAVaultThatIsKilledHasAllThatItAcknowledged(t *testing.T) {
	beside(t)
	a, b, v := keptIn(t)
	d := a.at(t)
	for round := range killTimes {
		for i := range 60 {
			d.random(fmt.Sprintf("round %d/%d", round, i), int64(1+i*i*7), uint64(1000*round+i))
		}
		d.random(fmt.Sprintf("round %d/big", round), 24<<20, uint64(round+7))
		a.wait(t, "--peers", "0")
		held := -1
		eventually(t, "the vault receives", func() error {
			for _, p := range a.status(t).Devices {
				if p.Role == "vault" && p.Connected {
					held++
				}
			}
			if held < round { // each time at another moment
				return errors.New("not yet")
			}
			return nil
		})
		check(t, v.Kill())
		check(t, v.Start())
		check(t, v.Ready(within(t)))
	}
	a.wait(t)
	want := a.tree(t)
	a.stop(t)
	check(t, v.Kill()) // what was acknowledged is durable
	check(t, v.Start())
	check(t, v.Ready(within(t)))
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("what the vault acknowledged is not all there: %q", diff)
	}
}

func TestAFullVaultSaysSoAndNeverThatItHasWhatItHasNot(t *testing.T) {
	beside(t)
	a, b, v := keptIn(t)
	v.do(t, "vault", "quota", "1M", "--data", v.Home)
	a.at(t).random("too much", 12<<20, 1)
	a.wait(t, "--peers", "0")
	eventually(t, "the device tells of the quota", func() error {
		for _, p := range a.status(t).Problems {
			if p.Kind == "quota" {
				return nil
			}
		}
		return errors.New("no problem of kind quota")
	})
	a.exits(t, 4, "wait", "--timeout", "2s")
	if f := a.folder(t); f.CopiesMin != 1 {
		t.Errorf("%d copies, while the vault has no room", f.CopiesMin)
	}
	v.do(t, "vault", "quota", "0", "--data", v.Home)
	a.wait(t)
	want := a.tree(t)
	a.stop(t)
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("after the quota was raised something is missing: %q", diff)
	}
}

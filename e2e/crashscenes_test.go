//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// proved returns a content that says whether it is whole (see whole), of at least so many bytes that no block holds twice.
func proved(text string, size int) string {
	var b bytes.Buffer
	b.WriteString(text + "\n")
	for i := 0; b.Len() < size; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", text, i))
		b.Write(sum[:])
	}
	sum := sha256.Sum256(b.Bytes())
	return b.String() + hex.EncodeToString(sum[:])
}

// bigFile is the size of a file of several blocks.
const bigFile = 700 * kib

// ended waits until the daemon has died of its crash point, and tells that it did; or until alive returns nil.
func (d *device) ended(t *testing.T, alive func() error) (died bool) {
	t.Helper()
	eventually(t, d.Name+" dies or has done everything", func() error {
		if !d.Running() {
			died = true
			return nil
		}
		return alive()
	})
	if died {
		code, err := d.Ended(within(t))
		check(t, err)
		if code != -1 {
			t.Errorf("%s ended with exit code %d, and not by a signal", d.Name, code)
		}
	}
	return died
}

// again starts the daemon without what its environment told it, after it died, or lived on though it might still die later.
func (d *device) again(t *testing.T) {
	t.Helper()
	if d.Running() {
		_ = d.Kill() // unless it dies by itself just now
	}
	d.Env = nil
	d.up(t)
}

// inOrder holds that no device has anything to complain of, nor anything left over from a crash.
func inOrder(t *testing.T, devices ...*device) {
	t.Helper()
	for _, d := range devices {
		checks, err := d.Doctor(within(t))
		check(t, err)
		for _, c := range checks {
			if c.State != "ok" && c.Name != "recovery phrase" {
				t.Errorf("`shoal doctor` of %s complains: %s: %s", d.Name, c.Name, c.Message)
			}
		}
		eventually(t, "nothing is left in .shoal/tmp of "+d.Name, func() error {
			left, err := lab.Texts(d.path(".shoal/tmp"))
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("%.60q", left)
			}
			return err
		})
		if _, err := os.Lstat(d.path(".shoal/intents")); err == nil {
			t.Errorf("%s has kept its intents", d.Name)
		}
	}
}

// playCreate makes a mesh on a device that may die of it; the same command again must do.
func playCreate(t *testing.T, l *crashLane, env ...string) (died bool) {
	d := crashing(t, "carla")
	d.at(t).write("kept", proved("kept", 100))
	d.Env = env
	check(t, d.Start())
	died = d.ended(t, func() error { return alone1(t, d) })
	d.again(t)
	eventually(t, "the device is idle", func() error { return alone1(t, d) })
	if got := d.at(t).read("kept"); got != proved("kept", 100) {
		t.Errorf("the file holds %d bytes of something else", len(got))
	}
	inOrder(t, d)
	check(t, d.Kill())
	return died
}

// crashing makes a device that runs the program that dies.
func crashing(t *testing.T, name string) *device {
	t.Helper()
	path, err := crashBuild()
	check(t, err)
	d := newDevice(t, name)
	d.Program = path
	return d
}

// alone1 returns nil when a device that is alone has recorded its only file.
func alone1(t *testing.T, d *device) error {
	at, err := frontier(t, []*device{d})
	if err == nil && len(at) == 0 {
		err = fmt.Errorf("%s has recorded nothing", d.Name)
	}
	return err
}

// playJoin lets a new device join the lane's pair, with files of its own, and die of it; then it is told to join again, as a user would.
func playJoin(t *testing.T, l *crashLane, env ...string) (died bool) {
	a, b := l.pair(t)
	l.round++
	if b.Running() {
		check(t, b.Kill())
	}
	d := crashing(t, "dora")
	own := fmt.Sprintf("brought along %d", l.round)
	d.at(t).write(own, proved(own, 3000))
	d.Env = env
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	check(t, d.Start("--join", invite.Ticket))
	same := func() error { return together1(t, own, a, d) }
	died = d.ended(t, same)
	if died {
		d.Env = nil
		joinAgain(t, a, d)
	} else {
		d.again(t)
	}
	eventually(t, "the joined device is up to date", same)
	tree := settle(t, a, d)
	if _, there := tree[own]; !there {
		t.Errorf("%q is lost", own)
	}
	noCopies(t, tree)
	noHalves(t, d)
	inOrder(t, a, d)
	check(t, d.Kill())
	return died
}

// together1 returns nil when a name is on both devices and both are up to date.
func together1(t *testing.T, name string, a, d *device) error {
	if _, err := os.Lstat(a.path(name)); err != nil {
		return err
	}
	_, err := frontier(t, []*device{a, d})
	return err
}

// joinAgain does what a user does whose device died while it joined: the same again, with a new ticket; when the device says that it is in the mesh already,
// without one.
func joinAgain(t *testing.T, a, d *device) {
	t.Helper()
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	check(t, d.Start("--join", invite.Ticket))
	if err := d.Ready(within(t)); err == nil {
		return
	}
	code, err := d.Ended(within(t))
	check(t, err)
	if code != 2 {
		t.Fatalf("joining again ended with exit code %d", code)
	}
	d.up(t)
}

// noCopies holds that there are no conflict copies, but those of files named clash: one each.
func noCopies(t *testing.T, tree lab.Tree) {
	t.Helper()
	for name := range tree {
		if isCopy(name) && !strings.Contains(name, "clash (conflict ") {
			t.Errorf("there is a conflict copy that nobody made: %q", name)
		}
	}
}

// playRound is what a device can meet when it comes back: everything that applying does, and a conflict. It dies of it, and comes back again.
func playRound(t *testing.T, l *crashLane, env ...string) (died bool) {
	a, b := l.pair(t)
	dir := fmt.Sprintf("round %03d", l.round)
	if _, err := os.Lstat(a.path(dir)); err != nil || !b.Running() {
		before(a.at(t, dir))
		if !b.Running() {
			b.Env = nil
			b.up(t)
		}
		settle(t, a, b)
	}
	recorded := ownRecords(t, b)
	check(t, b.Kill())
	acts(a.at(t, dir))
	b.at(t, dir).write("clash", proved("clash of b", 200))
	b.at(t, dir).write("by b", proved("by b", 5000))
	b.at(t, dir).write("edited by b", proved("second form", 300))
	if l.first != "" {
		b.Env = []string{"SHOAL_CRASH_AT=" + l.first}
		check(t, b.Start())
		if !b.ended(t, func() error { return settled(t, a, b) }) {
			t.Fatalf("%q was not reached", l.first)
		}
	}
	b.Env = env
	check(t, b.Start())
	died = b.ended(t, func() error { return settled(t, a, b) })
	noHalves(t, b)
	l.round++
	before(a.at(t, fmt.Sprintf("round %03d", l.round))) // of the next
	b.again(t)
	tree := settle(t, a, b)
	holdsRound(t, b, dir)
	if n := ownRecords(t, b) - recorded; n != 3 {
		t.Errorf("%s has written %d records of 3 changes: it took its own work for a user's", b.Name, n)
	}
	noCopies(t, tree)
	noHalves(t, b)
	inOrder(t, a, b)
	return died
}

// ownRecords counts what a device has recorded in all its journals.
func ownRecords(t *testing.T, d *device) (n uint64) {
	t.Helper()
	s := d.status(t)
	for journal, seq := range s.Folders[0].Frontier {
		if strings.HasPrefix(journal, s.Device.ID) {
			n += seq
		}
	}
	return n
}

// settled returns nil when both devices are up to date.
func settled(t *testing.T, a, b *device) error {
	if _, err := equalTrees([]*device{a, b}); err != nil {
		return err
	}
	_, err := frontier(t, []*device{a, b})
	return err
}

// old is the content that a file has when a round begins: another one in each, or it would be taken from the last round's.
func (d disk) old(name string) string { return proved(filepath.Base(d.root)+" "+name, 400) }

// before makes what a round begins with.
func before(d disk) {
	for _, name := range []string{
		"edited", "edited by b", "clash", "gone", "away", "folder/one", "folder/two", "chmodded", "folder chmodded/inside", "touched", "dressed", "moved and dressed", "becomes a folder", "becomes a file/inside", "dropped/inside",
	} {
		d.write(name, d.old(name))
	}
	d.write("big", proved("big", bigFile))
	d.symlink("edited", "link")
}

// acts is what happens on the other device in a round.
func acts(d disk) {
	d.replace("edited", proved("edited again", 800))
	d.write("big", proved("big again", bigFile))
	d.write("created/deep/new", proved("new", 900))
	d.write("created/empty", proved("", 0))
	d.rename("away", "moved")
	d.rename("folder", "folder moved")
	d.chmod("chmodded", 0o600)
	d.chmod("folder chmodded", 0o700)
	d.touch("touched", time.Unix(1_700_000_000, 0))
	d.rename("moved and dressed", "dressed elsewhere")
	for _, name := range []string{"dressed", "dressed elsewhere"} {
		d.chmod(name, 0o600)
		d.touch(name, time.Unix(1_700_000_000, 0))
	}
	d.remove("gone")
	d.removeAll("dropped")
	d.remove("becomes a folder")
	d.write("becomes a folder/inside", proved("in the folder", 300))
	d.removeAll("becomes a file")
	d.write("becomes a file", proved("a file now", 300))
	d.remove("link")
	d.symlink("moved", "link")
	d.write("clash", proved("clash of a", 200))
}

// afterRound is what a round ends with, but for the clash: names and contents.
func afterRound(d disk) layout {
	return layout{
		"edited": proved("edited again", 800), "edited by b": proved("second form", 300), "big": proved("big again", bigFile),
		"created/deep/new": proved("new", 900), "created/empty": proved("", 0), "moved": d.old("away"),
		"folder moved/one": d.old("folder/one"), "folder moved/two": d.old("folder/two"), "chmodded": d.old("chmodded"),
		"folder chmodded/inside": d.old("folder chmodded/inside"),
		"touched":                d.old("touched"), "dressed": d.old("dressed"), "dressed elsewhere": d.old("moved and dressed"),
		"becomes a folder/inside": proved("in the folder", 300), "becomes a file": proved("a file now", 300), "by b": proved("by b", 5000),
	}
}

// takenAway is what a round must leave in the history of the device on which it was applied.
var takenAway = []string{"edited", "gone", "becomes a folder"}

// holdsRound holds that a round ended as it must.
func holdsRound(t *testing.T, b *device, dir string) {
	t.Helper()
	d := b.at(t, dir)
	contents := afterRound(d)
	names := slices.Collect(maps.Keys(contents))
	names = append(append(names, "clash"), d.copies("clash")...)
	slices.Sort(names)
	var there []string
	for name, row := range b.tree(t).Under(dir) {
		if row.Kind == "file" {
			there = append(there, name)
		}
	}
	slices.Sort(there)
	if !slices.Equal(names, there) {
		t.Errorf("there are the files %q, want %q", there, names)
		return
	}
	for name, want := range contents {
		if got := d.read(name); got != want {
			t.Errorf("%q holds something else: %.40q, want %.40q", name, got, want)
		}
	}
	for name, row := range b.tree(t).Under(dir) {
		if strings.HasPrefix(name, "dressed") && (row.Mode != 0o600 || row.MTime != time.Unix(1_700_000_000, 0).UnixNano()) {
			t.Errorf("%q has lost its mode or time: %s", name, row)
		}
	}
	var clash []string
	for _, name := range append(d.copies("clash"), "clash") {
		clash = append(clash, d.read(name))
	}
	slices.Sort(clash)
	if want := []string{proved("clash of a", 200), proved("clash of b", 200)}; !slices.Equal(clash, want) {
		t.Errorf("the clash left %d contents, want those of both", len(clash))
	}
	holdsHistory(t, b, dir)
}

// holdsHistory holds that what was taken away is in the history, and forgets it for the next round.
func holdsHistory(t *testing.T, b *device, dir string) {
	t.Helper()
	history := filepath.Join(b.Dir, ".shoal/history")
	texts, err := lab.Texts(history)
	check(t, err)
	for _, name := range takenAway {
		if !slices.Contains(slices.Collect(maps.Values(texts)), b.at(t, dir).old(name)) {
			t.Errorf("what was %q is not in the history of %s", name, b.Name)
		}
	}
	for name := range texts {
		check(t, os.Remove(filepath.Join(history, name)))
	}
}

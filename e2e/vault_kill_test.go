//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/e2e/kept"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// witness notes what a vault has acknowledged, as a device shows it, and holds what the vault left when it was killed against that.
type witness struct {
	t     *testing.T
	a, v  *device
	acked map[shoal.JournalID]shoal.Seq
	seen  kept.Memory // what earlier kills have shown to be there
	times int         // that something was acknowledged which was not before
}

func newWitness(t *testing.T, a, v *device) *witness {
	t.Helper()
	return &witness{t: t, a: a, v: v, seen: kept.NewMemory(), acked: map[shoal.JournalID]shoal.Seq{}}
}

// watch lets time pass, and asks meanwhile whether the vault has all that there was.
func (w *witness) watch(d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	_ = lab.Poll(ctx, 50*time.Millisecond, func() error {
		w.look()
		return errors.New("go on")
	})
}

// look notes the device's frontier as acknowledged if the vault, asked after that, lacks nothing of it.
func (w *witness) look() {
	w.t.Helper()
	before := w.a.folder(w.t)
	s := w.a.status(w.t)
	if len(s.Folders) != 1 || s.Folders[0].CopiesMin < 2 || s.Folders[0].State != "idle" || before.State != "idle" {
		return
	}
	grew := false
	for text, seq := range before.Frontier {
		j, err := shoal.ParseJournalID(text)
		check(w.t, err)
		if w.acked[j] < shoal.Seq(seq) {
			w.acked[j], grew = shoal.Seq(seq), true
		}
	}
	if grew {
		w.times++
	}
}

// hold holds a copy of what the killed vault left against all that it acknowledged.
func (w *witness) hold(when string) kept.Found {
	w.t.Helper()
	data := filepath.Join(tempDir(w.t), "data")
	check(w.t, os.MkdirAll(filepath.Join(data, "packs"), 0o755))
	names, err := filepath.Glob(filepath.Join(w.v.Home, "packs", "*"))
	check(w.t, err)
	for _, name := range append(names, filepath.Join(w.v.Home, "index.db"), filepath.Join(w.v.Home, "device.key"), filepath.Join(w.v.Home, "roster")) {
		rel, err := filepath.Rel(w.v.Home, name)
		check(w.t, err)
		raw, err := os.ReadFile(name)
		check(w.t, err)
		check(w.t, os.WriteFile(filepath.Join(data, rel), raw, 0o600))
	}
	found, err := kept.Check(w.t.Context(), data, w.acked, w.seen)
	if err != nil {
		w.t.Fatalf("%s: what the vault acknowledged is not all there: %v", when, err)
	}
	check(w.t, os.RemoveAll(data))
	for j, seq := range found.Said {
		w.acked[j] = max(w.acked[j], seq)
	}
	return found
}

// many writes some files, told apart by round, a few of them long.
func many(d disk, round, files int) {
	for i := range files {
		d.random(fmt.Sprintf("round %02d/%d", round, i), int64(1+(i*i*37)%9000), uint64(10_000*round+i))
	}
	d.random(fmt.Sprintf("round %02d/some blocks", round), 2<<20, uint64(10_000*round+9998))
	if round%5 == 0 {
		d.random(fmt.Sprintf("round %02d/long", round), 20<<20, uint64(10_000*round+9999))
	}
	if round > 0 { // and changes some of the last round
		for i := range files / 10 {
			d.random(fmt.Sprintf("round %02d/%d", round-1, i), 500, uint64(10_000*round+5000+i))
		}
	}
}

// TestNothingThatAVaultAcknowledgedIsMissingAfterAKill kills a vault at random moments while it receives, and holds, block by block, what it left
// against what it had acknowledged until then. In long runs 30 times, over 5,000 files.
func TestNothingThatAVaultAcknowledgedIsMissingAfterAKill(t *testing.T) {
	beside(t)
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("kills of -kill-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds, files := choose(4, 30), choose(320, 5000)
	if *kills > 0 {
		rounds = *kills
	}
	a, b, v := keptIn(t)
	w := newWitness(t, a, v)
	for round := range rounds {
		many(a.at(t), round, files/rounds)
		w.watch(time.Duration(random.Int64N(int64(choose(time.Second, 4*time.Second)))))
		check(t, v.Kill())
		w.hold(fmt.Sprintf("kill %d", round))
		check(t, v.Start())
		check(t, v.Ready(within(t)))
		if random.IntN(3) == 0 { // else it is killed again before it has caught up
			w.watch(time.Duration(random.Int64N(int64(3 * time.Second))))
		}
	}
	a.wait(t)
	w.look()
	want := a.tree(t)
	a.stop(t)
	check(t, v.Kill())
	found := w.hold("the last kill")
	t.Logf("acknowledged %d times; in the end %d records with %d blocks", w.times, found.Records, found.Blocks)
	if found.Said == nil || found.Records < files || w.times == 0 {
		t.Errorf("acknowledged %d times, %d records, complete %v: the test has seen too little", w.times, found.Records, found.Said != nil)
	}
	check(t, v.Start())
	check(t, v.Ready(within(t)))
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("what came through the vault is not what went in: %q", diff)
	}
}

// TestAVaultWhoseDiskIsFullOnceLosesNothing fills the disk of a vault while it receives, kills it there, and makes room again. It needs the right to mount.
func TestAVaultWhoseDiskIsFullOnceLosesNothing(t *testing.T) {
	beside(t)
	root := tempDir(t)
	mount(t, root, "64m")
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	v := newVault(t, "vera", func(d *lab.Device) { d.Home = filepath.Join(root, "home") })
	a.up(t)
	join(t, a, v)
	join(t, a, b)
	a.wait(t)
	b.wait(t)
	b.stop(t)
	w := newWitness(t, a, v)
	many(a.at(t), 1, 200)
	a.wait(t)
	w.look()
	many(a.at(t), 2, 200)
	a.at(t).random("too much", 70<<20, 77)
	eventually(t, "the vault says that its disk is full", func() error {
		w.look()
		for _, p := range a.status(t).Problems {
			if p.Kind == "disk" {
				return nil
			}
		}
		return errors.New("no problem of kind disk")
	})
	if f := a.folder(t); f.CopiesMin != 1 {
		t.Errorf("%d copies, while the vault has no room", f.CopiesMin)
	}
	if !v.Running() {
		t.Error("the vault has ended because its disk is full")
	}
	a.at(t).write("while it is full", "x")
	w.watch(2 * time.Second)
	check(t, v.Kill())
	w.hold("killed with a full disk")
	check(t, exec.Command("mount", "-o", "remount,size=600m", root).Run())
	check(t, v.Start())
	check(t, v.Ready(within(t)))
	a.wait(t)
	w.look()
	want := a.tree(t)
	a.stop(t)
	check(t, v.Kill())
	found := w.hold("at the end")
	t.Logf("%d records with %d blocks", found.Records, found.Blocks)
	check(t, v.Start())
	check(t, v.Ready(within(t)))
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("after the disk was full something is missing: %q", diff)
	}
}

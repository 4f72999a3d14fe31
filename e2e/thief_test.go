//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/e2e/faulty"
	"github.com/shoalmesh/shoal/e2e/kept"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// TestAStolenDeviceTakesNothingFromAVault lets a thief do with a device, and with its keys, whatever program and protocols allow. The vault keeps every record
// and every copy of every block that was there before. Once the device is revoked the vault gives it nothing, and takes nothing; and a new device gets all
// that was there before the theft, from the vault alone.
func TestAStolenDeviceTakesNothingFromAVault(t *testing.T) {
	t.Parallel()
	h := newHeist(t)
	h.vandalise(t)
	h.lie(t)
	h.revoke(t)
	h.comeBack(t)

	c := newDevice(t, "carla")
	r := fire{left: h.v, words: h.words}.recover(t, c, h.words, "--vault", h.v.Listen, "--once")
	if r.Code != 0 {
		t.Fatal(r)
	}
	if diff := h.want.Diff(c.tree(t)); len(diff) > 0 {
		t.Errorf("what the vault gave back is not what was there before the theft: %q", diff)
	}
}

// heist is a mesh of which ben's device is stolen.
type heist struct {
	a, b, v *device
	vault   shoal.DeviceID
	owner   shoal.DeviceID
	addrs   []string
	words   string
	want    lab.Tree // before the theft
	w       *witness
}

// newHeist has anna and ben fill a folder, of which the vault has everything. Then both are off.
func newHeist(t *testing.T) *heist {
	t.Helper()
	h := &heist{a: newDevice(t, "anna"), b: newDevice(t, "ben"), v: newVault(t, "vera")}
	paper := filepath.Join(tempDir(t), "words")
	h.a.up(t, "--recovery-out", paper)
	join(t, h.a, h.v)
	join(t, h.a, h.b)
	words, err := os.ReadFile(paper)
	check(t, err)
	h.words = strings.TrimSpace(string(words))
	d := h.a.at(t)
	for i := range 30 {
		d.random(fmt.Sprintf("anna's/%d", i), int64(1+i*i*41), uint64(i))
		h.b.at(t).random(fmt.Sprintf("ben's/%d", i), int64(1+i*i*43), uint64(100+i))
	}
	d.random("some blocks", 3<<20, 1000)
	d.random("long", 20<<20, 1001) // its blocks stand in a tree
	settle(t, h.a, h.b)
	h.b.at(t).replace("anna's/7", "edited by ben")
	h.want = settle(t, h.a, h.b)
	h.a.wait(t)
	h.b.wait(t)
	h.vault, h.owner, h.addrs = h.v.id(t), h.a.id(t), h.v.status(t).Addresses
	h.w = newWitness(t, h.a, h.v)
	h.w.look()
	h.a.stop(t)
	h.b.stop(t)
	h.look(t, "before the theft")
	return h
}

// look kills the vault, holds what it left against what it had, and starts it again.
func (h *heist) look(t *testing.T, when string) kept.Found {
	t.Helper()
	check(t, h.v.Kill())
	found := h.w.hold(when)
	check(t, h.v.Start())
	check(t, h.v.Ready(within(t)))
	if len(found.Have) < 2 || len(found.Needs) < 100 {
		t.Fatalf("%s the vault has %d needs in %d journals: the test sees too little", when, len(found.Needs), len(found.Have))
	}
	return found
}

// vandalise uses the program as it is: everything is overwritten, then deleted.
func (h *heist) vandalise(t *testing.T) {
	t.Helper()
	h.b.up(t)
	d := h.b.at(t)
	for i := range 30 {
		d.replace(fmt.Sprintf("anna's/%d", i), fmt.Sprintf("overwritten %d", i))
		d.replace(fmt.Sprintf("ben's/%d", i), fmt.Sprintf("overwritten, too %d", i))
	}
	d.random("long", 1<<20, 1002)
	h.b.wait(t)
	for _, name := range []string{"anna's", "ben's", "some blocks", "long"} {
		d.removeAll(name)
	}
	eventually(t, "the deletions are recorded", func() error {
		// An emptied folder asks first; the thief is glad to say yes.
		if _, err := h.b.Run(within(t), "folder", "confirm", h.b.folder(t).Name, "--deletions"); err != nil {
			return err
		}
		if f := h.b.folder(t); f.State != "idle" || f.Files != 0 {
			return fmt.Errorf("%+v", f)
		}
		return nil
	})
	h.b.wait(t)
	h.b.stop(t)
	h.look(t, "after everything was overwritten and deleted")
}

// steal makes the thief a program of its own, with the keys of ben.
func (h *heist) steal(t *testing.T) *faulty.Thief {
	t.Helper()
	thief, err := faulty.Steal(within(t), h.b.Home, h.vault, h.addrs)
	check(t, err)
	t.Cleanup(thief.Close)
	return thief
}

// lie has the thief send what the program does not: records that replace those of all others, other histories, statements that are not its to make, doubts
// in every copy, and garbage in their place.
func (h *heist) lie(t *testing.T) {
	t.Helper()
	found := h.look(t, "before the lies")
	records, blocks := found.Asked()
	var journals []shoal.JournalID
	for j := range found.Have {
		journals = append(journals, j)
	}
	thief := h.steal(t)
	check(t, thief.Governs(within(t), h.owner))
	check(t, thief.Rewrites(within(t), journals...))
	check(t, thief.Replaces(within(t), records))
	check(t, thief.Reserves(within(t))) // so that it can be told below that it does not any more
	garbage := make([]byte, 40<<10)
	_, _ = rand.Read(garbage)
	refuse(t, thief.Peer, func() []byte { return garbage })
	copies, err := thief.Doubts(within(t), blocks)
	check(t, err)
	if copies < len(blocks)/2 {
		t.Errorf("the thief could doubt %d copies of %d blocks: the test sees too little", copies, len(blocks))
	}
	eventually(t, "the vault has what the thief recorded", func() error {
		if now := h.look(t, "after the lies"); now.Have[thief.Journal()] == 0 {
			return errors.New("it has not")
		}
		return nil
	})
	thief.Close() // one that goes on dialling would take the place of the next, who has the same keys
}

// revoke has anna, who was away, revoke ben's device before she hears of what the thief did.
func (h *heist) revoke(t *testing.T) {
	t.Helper()
	check(t, h.v.Kill())
	h.a.up(t)
	h.a.do(t, "devices", "revoke", "ben")
	h.a.wait(t, "--peers", "0")
	check(t, h.v.Start())
	check(t, h.v.Ready(within(t)))
	h.a.wait(t)
	if diff := h.want.Diff(h.a.tree(t)); len(diff) > 0 {
		t.Errorf("what the thief did reached anna: %q", diff)
	}
	h.a.stop(t)
	h.w.seen.Renewed = true
	h.look(t, "after the revocation")
	h.w.seen.Renewed = false
}

// comeBack has the thief try again, with the program and with its own: the vault's data stays as it is.
func (h *heist) comeBack(t *testing.T) {
	t.Helper()
	before := h.look(t, "before the thief comes back")
	roster := fileSize(t, filepath.Join(h.v.Home, "roster"))
	thief := h.steal(t)
	_, blocks := before.Asked()
	if copies, err := thief.Doubts(within(t), blocks[:20]); !errors.Is(err, faulty.ErrNothing) {
		t.Errorf("a revoked device was given %d blocks: %v", copies, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := thief.Listens(soon); err == nil {
		t.Error("the vault tells a revoked device of folders")
	}
	check(t, thief.Reconnect(within(t)))
	check(t, thief.Pushes(within(t)))
	soon, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := thief.Reserves(soon); err == nil {
		t.Error("a revoked device has a place at the relay")
	}
	thief.Close()

	h.b.up(t)
	h.b.at(t).write("from the thief", "nobody wants this")
	h.b.wait(t, "--peers", "0")
	cutOff(t, h.b)
	eventually(t, "the vault's log names the reason", func() error {
		log, err := os.ReadFile(h.v.Log)
		if err == nil && !strings.Contains(string(log), "revoked device") {
			err = errors.New("it does not")
		}
		return err
	})
	h.b.stop(t)
	after := h.look(t, "after the thief came back")
	if fmt.Sprint(after.Have) != fmt.Sprint(before.Have) || len(after.Needs) != len(before.Needs) || after.Blocks != before.Blocks {
		t.Errorf("a revoked device changed what the vault keeps: %d needs of %v before, %d of %v after", len(before.Needs), before.Have, len(after.Needs), after.Have)
	}
	if now := fileSize(t, filepath.Join(h.v.Home, "roster")); now != roster {
		t.Errorf("a revoked device made the roster grow from %d to %d bytes", roster, now)
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	st, err := os.Stat(name)
	check(t, err)
	return st.Size()
}

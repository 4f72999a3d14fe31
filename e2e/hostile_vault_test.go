//go:build linux

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/e2e/faulty"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// These tests let a vault lie to devices that run: package faulty speaks the real protocols. docs/threat-model.md lists what each is about.

// hostileVault makes a vault that lies, and is in the mesh of a device.
func hostileVault(t *testing.T, host *device, below ...*device) *faulty.Vault {
	t.Helper()
	invite, err := host.Invite(within(t), "--role", "vault", "--yes")
	check(t, err)
	var ids []shoal.DeviceID
	for _, d := range below {
		ids = append(ids, d.id(t))
	}
	v, err := faulty.JoinAsVault(within(t), invite.Ticket, "mallory", ids...)
	check(t, err)
	t.Cleanup(v.Close)
	return v
}

func (d *device) id(t *testing.T) shoal.DeviceID {
	t.Helper()
	id, err := shoal.ParseDeviceID(d.status(t).Device.ID)
	check(t, err)
	return id
}

// learn begins a session of a vault with its victim.
func learn(t *testing.T, v *faulty.Vault) []faulty.Position {
	t.Helper()
	at, err := v.Learn(t.Context())
	check(t, err)
	return at
}

// names returns the problem of a kind that a device tells of, with some words in it; nil: it tells of none.
func (d *device) tells(t *testing.T, kind string, words ...string) *lab.Problem {
	t.Helper()
	for _, p := range d.status(t).Problems {
		found := p.Kind == kind
		for _, w := range words {
			found = found && strings.Contains(p.Message, w)
		}
		if found {
			return &p
		}
	}
	return nil
}

func (d *device) eventuallyTells(t *testing.T, kind string, words ...string) *lab.Problem {
	t.Helper()
	var p *lab.Problem
	eventually(t, fmt.Sprintf("%s tells of %s %q", d.Name, kind, words), func() error {
		if p = d.tells(t, kind, words...); p == nil {
			return fmt.Errorf("problems: %+v", d.status(t).Problems)
		}
		return nil
	})
	return p
}

func (d *device) eventuallyTellsNoMore(t *testing.T, kind string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has no problem %s any more", d.Name, kind), func() error {
		if p := d.tells(t, kind); p != nil {
			return fmt.Errorf("%+v", *p)
		}
		return nil
	})
}

// logs tells whether a device's events have one of a kind about somebody, with some words in it.
func (d *device) logs(t *testing.T, kind, who, words string) bool {
	t.Helper()
	events, err := d.Events(within(t))
	check(t, err)
	for _, e := range events {
		if e.Kind == kind && e.Device == who && strings.Contains(e.Message, words) {
			return true
		}
	}
	return false
}

// examined returns what doctor says of something.
func (d *device) examined(t *testing.T, name string) lab.Check {
	t.Helper()
	r, err := d.Run(within(t), "--json", "doctor") // ends with 6 when a check fails
	check(t, err)
	var checks []lab.Check
	check(t, json.Unmarshal([]byte(r.Stdout), &checks))
	for _, c := range checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("doctor says nothing of %s: %+v", name, checks)
	return lab.Check{}
}

// A vault acknowledges everything, then shows less: a rolled-back head, withheld records.
func TestAVaultThatTakesBackWhatItAcknowledgedIsNamed(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.at(t).write("one", "1")
	a.at(t).write("two", "2")
	a.wait(t, "--peers", "0")
	v := hostileVault(t, a)
	all := learn(t, v)
	check(t, v.Shows(all))
	check(t, v.Acknowledges(7, all))
	eventually(t, "the vault's word is known", func() error {
		if f := a.folder(t); f.CopiesClaimed != 2 {
			return fmt.Errorf("%d copies are claimed", f.CopiesClaimed)
		}
		return nil
	})
	if p := a.tells(t, "withheld"); p != nil {
		t.Errorf("a vault that has shown what it acknowledged is accused: %+v", *p)
	}

	check(t, v.Reconnect(within(t)))
	learn(t, v)
	check(t, v.Shows(nil))
	p := a.eventuallyTells(t, "withheld", "mallory", "this device")
	if p.Folder == "" {
		t.Errorf("it names no folder: %+v", p)
	}
	if !a.logs(t, "problem", "mallory", "had acknowledged") {
		t.Error("the log does not tell of it")
	}
	if c := a.examined(t, "vault mallory"); c.State != "fail" || !strings.Contains(c.Fix, "revoke") {
		t.Errorf("doctor says %+v", c)
	}

	// What it acknowledged is remembered over a restart.
	a.stop(t)
	a.up(t)
	check(t, v.Reconnect(within(t)))
	learn(t, v)
	check(t, v.Shows(nil))
	a.eventuallyTells(t, "withheld", "mallory")

	// It shows everything again: that ends the problem, and the evidence stays.
	check(t, v.Reconnect(within(t)))
	check(t, v.Shows(learn(t, v)))
	a.eventuallyTellsNoMore(t, "withheld")
	if c := a.examined(t, "vault mallory"); c.State != "warn" || !strings.Contains(c.Message, "evidence") {
		t.Errorf("doctor says %+v", c)
	}
}

// A vault signs to one device that it has less than it signed to another: a replayed old status.
func TestAVaultThatSignsLessThanBeforeIsNamed(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.at(t).write("one", "1")
	a.wait(t, "--peers", "0")
	v := hostileVault(t, a)
	all := learn(t, v)
	check(t, v.Shows(all))
	check(t, v.Acknowledges(7, all))
	check(t, v.Acknowledges(8, nil))
	a.eventuallyTells(t, "withheld", "mallory")
}

// A vault never has the statements that a device tells it of, to hide them from others.
func TestAVaultThatShowsAnOldRosterIsNamed(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.at(t).write("one", "1")
	a.wait(t, "--peers", "0")
	v := hostileVault(t, a)
	v.OldRoster = true
	check(t, v.Shows(learn(t, v)))
	if p := a.eventuallyTells(t, "withheld", "mallory", "old roster"); p.Folder != "" {
		t.Errorf("it is about a folder: %+v", p)
	}
	if !a.logs(t, "problem", "mallory", "old roster") {
		t.Error("the log does not tell of it")
	}
	if c := a.examined(t, "roster of mallory"); c.State != "fail" || !strings.Contains(c.Fix, "revoke") {
		t.Errorf("doctor says %+v", c)
	}

	// It shows the present one: that ends the problem.
	check(t, v.Reconnect(within(t)))
	v.OldRoster = false
	check(t, v.Shows(learn(t, v)))
	a.eventuallyTellsNoMore(t, "withheld")
}

// A vault shows one device the present and another the past. They find out when they meet.
func TestAVaultWithTwoFacesIsNamedWhenItsVictimsMeet(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("old", "old")
	settle(t, a, b)
	v := hostileVault(t, a, b)
	eventually(t, "both know the vault", func() error {
		if n := len(b.status(t).Devices); n != 2 {
			return fmt.Errorf("%d devices", n)
		}
		return nil
	})
	past := learn(t, v)
	a.stop(t)
	b.at(t).write("new", "new")
	b.wait(t, "--peers", "0")
	other, err := v.FaceOf(within(t), b.id(t), b.status(t).Addresses)
	check(t, err)
	t.Cleanup(other.Close)
	present := learn(t, other)
	check(t, other.Shows(present))
	check(t, other.Acknowledges(8, present))
	eventually(t, "ben knows the vault's word", func() error {
		if f := b.folder(t); f.CopiesClaimed < 2 {
			return fmt.Errorf("%d copies are claimed", f.CopiesClaimed)
		}
		return nil
	})
	b.stop(t)

	a.up(t)
	check(t, v.Reconnect(within(t)))
	learn(t, v)
	check(t, v.Shows(past))
	check(t, v.Acknowledges(9, past)) // later by its number
	a.wait(t, "--peers", "0")
	if p := a.tells(t, "withheld"); p != nil {
		t.Errorf("anna, who can't know better, accuses the vault: %+v", *p)
	}
	b.up(t)
	a.eventuallyTells(t, "withheld", "mallory", "of ben")
	b.eventuallyTells(t, "withheld", "mallory", "this device")
}

// A vault says that it has what it never asked for.
func TestAVaultThatOnlySaysThatItHasIsNoCopy(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.at(t).random("big", 300<<10, 1)
	a.wait(t, "--peers", "0")
	v := hostileVault(t, a)
	all := learn(t, v)
	check(t, v.Shows(all))
	check(t, v.Acknowledges(7, all))
	eventually(t, "the vault's word is known", func() error {
		if f := a.folder(t); f.CopiesClaimed != 2 {
			return fmt.Errorf("%d copies are claimed", f.CopiesClaimed)
		}
		return nil
	})
	if f := a.folder(t); f.CopiesMin != 1 {
		t.Errorf("%d copies, of which one is a claim", f.CopiesMin)
	}
	refuse(t, v.Peer, nil)
	p := a.eventuallyTells(t, "copy", "mallory")
	if p.Path != "big" {
		t.Errorf("it names %q", p.Path)
	}
	if !a.logs(t, "problem", "mallory", "no good copy") {
		t.Error("the log does not tell of it")
	}
	if c := a.examined(t, "vault mallory"); c.State != "warn" || !strings.Contains(c.Message, "no good copy") {
		t.Errorf("doctor says %+v", c)
	}
	if f := a.folder(t); f.CopiesMin != 1 {
		t.Errorf("%d copies, of which one is known to be none", f.CopiesMin)
	}
}

// refuse answers a victim's requests for blocks in the background until the test ends.
func refuse(t *testing.T, p *faulty.Peer, give func() []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.Refuse(ctx, give) })
	t.Cleanup(func() { cancel(); p.Close(); wg.Wait() })
}

// A vault serves other bytes than the block that is asked for: forged or swapped ones.
func TestAVaultThatServesOtherBytesIsNamedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.at(t).random("one", 50<<10, 1)
	a.at(t).random("two", 50<<10, 2)
	a.wait(t, "--peers", "0")
	v := hostileVault(t, a)
	all := learn(t, v)
	check(t, v.Shows(all))
	check(t, v.Acknowledges(7, all))
	want := a.tree(t)
	forged := make([]byte, 60<<10)
	_, _ = rand.Read(forged)
	refuse(t, v.Peer, func() []byte { return forged })
	a.eventuallyTells(t, "copy", "mallory")
	if f := a.folder(t); f.CopiesMin != 1 || f.CopiesClaimed != 2 {
		t.Errorf("%d copies, %d claimed", f.CopiesMin, f.CopiesClaimed)
	}
	if diff := want.Diff(a.tree(t)); len(diff) > 0 {
		t.Errorf("its files changed: %q", diff)
	}
}

// A member gives an honest vault garbage under a good block ID. Whoever gets it from there says so; the vault gets a good copy from somebody who has
// one, and everybody has the file.
func TestGarbageThatAMemberGaveAVaultIsNamedAndReplaced(t *testing.T) {
	t.Parallel()
	a, b, v := keptIn(t) // ben is off
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	p, err := faulty.Join(within(t), invite.Ticket, "mallory", v.id(t))
	check(t, err)
	t.Cleanup(p.Close)
	content := make([]byte, 40<<10)
	_, _ = rand.Read(content)
	garbage := make([]byte, 44<<10)
	_, _ = rand.Read(garbage)
	face, err := p.Face(within(t), v.id(t), v.status(t).Addresses)
	check(t, err)
	given := make(chan struct{}, 1)
	refuse(t, face, func() []byte {
		select {
		case given <- struct{}{}:
			return garbage
		default:
			return nil // once was enough
		}
	})
	check(t, face.Records(t.Context(), "faulty-file", uint32(len(content)), face.NameOf(content)))
	problem := a.eventuallyTells(t, "copy", "vera")
	if problem.Path != "faulty-file" {
		t.Errorf("it names %q", problem.Path)
	}
	if f := a.folder(t); f.CopiesMin > 1 {
		t.Errorf("%d copies, of which one does not open", f.CopiesMin)
	}
	if _, err := os.Stat(a.path("faulty-file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("garbage is on the disk: %v", err)
	}

	// Ben has the same content, and comes back.
	check(t, os.WriteFile(filepath.Join(b.Dir, "ben's"), content, 0o644))
	b.up(t)
	b.wait(t)
	eventually(t, "anna has the file", func() error {
		got, err := os.ReadFile(a.path("faulty-file"))
		if err == nil && string(got) != string(content) {
			t.Fatal("anna has other bytes")
		}
		return err
	})
	a.eventuallyTellsNoMore(t, "copy")
	if !a.logs(t, "solved", "vera", "good copy") {
		t.Error("the log does not tell that it was mended")
	}
}

// An honest vault that loses everything is not named once it has it again, and its copies count only when they are proved again.
func TestAnHonestVaultThatWasResetIsCountedAgainAndNotAccused(t *testing.T) {
	t.Parallel()
	a, b, v := keptIn(t)
	a.at(t).random("one", 300<<10, 1)
	a.wait(t)
	v.stop(t)
	for _, name := range []string{"index.db", "packs", "vault.json"} {
		check(t, os.RemoveAll(filepath.Join(v.Home, name)))
	}
	v.up(t)
	a.wait(t)
	b.up(t)
	b.wait(t)
	for _, d := range []*device{a, b} {
		eventually(t, d.Name+" counts the vault's copy", func() error {
			if f := d.folder(t); f.CopiesMin != 3 || f.CopiesClaimed != 3 {
				return fmt.Errorf("%d copies, %d claimed", f.CopiesMin, f.CopiesClaimed)
			}
			return nil
		})
		d.eventuallyTellsNoMore(t, "withheld")
		if p := d.tells(t, "copy"); p != nil {
			t.Errorf("%s says %+v", d.Name, *p)
		}
	}
}

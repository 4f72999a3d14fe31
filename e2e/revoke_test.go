//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// revokedIn returns the names of the devices that are revoked in the eyes of d, sorted.
func revokedIn(t *testing.T, d *device) []string {
	t.Helper()
	devices, err := d.Devices(within(t))
	check(t, err)
	var revoked []string
	for _, peer := range devices {
		if peer.Revoked {
			revoked = append(revoked, peer.Name)
		}
	}
	slices.Sort(revoked)
	return revoked
}

// knowsRevoked waits until a device knows who is revoked: exactly these.
func knowsRevoked(t *testing.T, d *device, want ...string) {
	t.Helper()
	eventually(t, d.Name+" knows who is revoked", func() error {
		if got := revokedIn(t, d); !slices.Equal(got, want) {
			return fmt.Errorf("%q are, want %q", got, want)
		}
		return nil
	})
}

// cutOff holds that nobody is connected with a device, and that it shows.
func cutOff(t *testing.T, revoked *device, others ...*device) {
	t.Helper()
	eventually(t, revoked.Name+" is connected with nobody", func() error {
		for _, d := range others {
			for _, peer := range d.status(t).Devices {
				if peer.Name == revoked.Name {
					return fmt.Errorf("%s still counts it among its mesh: %+v", d.Name, peer)
				}
			}
		}
		for _, peer := range revoked.status(t).Devices {
			if peer.Connected {
				return errors.New("it is connected with " + peer.Name)
			}
		}
		return nil
	})
}

func TestARevokedDeviceIsRefusedFromThenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	a.at(t).write("before", "all may read this")
	settle(t, w.devices...)
	b.exits(t, 5, "devices", "revoke", "anna") // a member may not
	a.do(t, "devices", "revoke", "carla")
	knowsRevoked(t, a, "carla")
	knowsRevoked(t, b, "carla")
	cutOff(t, c, a, b)

	a.at(t).write("after", "carla may not read this")
	b.at(t).write("before", "edited after it")
	settle(t, a, b)
	c.at(t).write("from carla", "nobody wants this")
	c.wait(t, "--peers", "0")
	refusedAfter := func() {
		t.Helper()
		tree := settle(t, a, b)
		if _, there := tree["from carla"]; there {
			t.Error("a revoked device can still write")
		}
		if got := c.tree(t); len(got) != 2 || c.at(t).read("before") != "all may read this" {
			t.Errorf("a revoked device can still read:\n%s", got.List())
		}
	}
	refusedAfter()

	// It stays so over restarts, of each.
	for _, d := range []*device{c, a, b} {
		d.stop(t)
		d.up(t)
	}
	a.at(t).write("after restarts", "x")
	refusedAfter()
	cutOff(t, c, a, b)
	c.wait(t, "--peers", "0") // it has what it may have, though nobody tells it so
	knowsRevoked(t, a, "carla")
	knowsRevoked(t, b, "carla")
}

func TestADeviceThatWasAwayLearnsOfARevocationAndWhatWasWrittenAfterItIsVoid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	a.at(t).write("f", "first")
	c.at(t).write("good", "written before the cut")
	settle(t, w.devices...)
	b.stop(t)
	c.stop(t)
	a.do(t, "devices", "revoke", "carla")
	a.at(t).write("f2", "in the new epoch")
	a.wait(t, "--peers", "0")
	a.stop(t)

	// Neither of them knows of it, so what carla writes reaches ben.
	b.up(t)
	c.up(t)
	c.at(t).write("f", "written after the cut")
	c.at(t).write("new", "written after the cut")
	c.at(t).remove("good")
	settle(t, b, c)
	b.at(t).write("by ben", "what ben wrote meanwhile")
	settle(t, b, c)
	c.stop(t)

	a.up(t)
	tree := settle(t, a, b)
	knowsRevoked(t, b, "carla")
	want := map[string]string{"f": "first", "good": "written before the cut", "f2": "in the new epoch", "by ben": "what ben wrote meanwhile"}
	for name, text := range want {
		if tree[name].Kind != "file" || b.at(t).read(name) != text {
			t.Errorf("%q is %v, want the content %q", name, tree[name], text)
		}
	}
	if _, there := tree["new"]; there {
		t.Error("what a revoked device wrote after the cut still stands")
	}
	noConflicts(t, a, b)

	// Carla comes back and meets ben first; he knows now.
	c.up(t)
	cutOff(t, c, a, b)
	settle(t, a, b)
}

func TestTwoOwnersWhoRevokeEachOtherEndTheSameEverywhere(t *testing.T) {
	t.Parallel()
	a, b, c := newDevice(t, "anna"), newDevice(t, "ben"), newDevice(t, "carla")
	a.up(t)
	invite, err := a.Invite(within(t), "--role", "owner")
	check(t, err)
	ask(t, a, b, invite.Ticket)
	a.do(t, "approve", "ben")
	check(t, b.Ready(within(t)))
	join(t, a, c)
	a.at(t).write("f", "x")
	settle(t, a, b, c)

	c.stop(t)
	b.stop(t)
	a.do(t, "devices", "revoke", "ben")
	a.stop(t)
	b.up(t)
	b.do(t, "devices", "revoke", "anna")
	// Carla hears ben's side first.
	c.up(t)
	knowsRevoked(t, c, "anna")
	a.up(t)
	// Anna was there first: the senior wins.
	knowsRevoked(t, a, "ben")
	knowsRevoked(t, c, "ben")
	knowsRevoked(t, b, "ben")
	cutOff(t, b, a, c)
	a.at(t).write("f", "after it")
	c.at(t).write("g", "after it")
	settle(t, a, c)
	if got := b.at(t).read("f"); got != "x" {
		t.Errorf("the revoked owner got %q", got)
	}
}

func TestAfterARevocationASmallChangeToAnOldBigFileMovesFewBytes(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, b, c := newDevice(t, "anna", quiet, alone(n)), newDevice(t, "ben", quiet, alone(n)), newDevice(t, "carla", quiet, alone(n))
	a.up(t)
	join(t, a, c)
	a.at(t).random("big", bigSize(), 81)
	a.wait(t)
	join(t, a, b)
	settle(t, a, b, c)
	a.do(t, "devices", "revoke", "carla")
	knowsRevoked(t, b, "carla")
	c.stop(t)
	before := wire(t, a)
	overwrite(t, a.path("big"), bigSize()/2, 1, 82)
	a.wait(t)
	moved := wire(t, a) - before
	sameTrees(t, a, b)
	t.Logf("%d bytes over the wire", moved)
	if moved > fewBytes {
		t.Errorf("%d bytes went over the wire, at most %d may", moved, fewBytes)
	}
	overwrite(t, b.path("big"), bigSize()/3, 1, 83)
	b.wait(t)
	sameTrees(t, a, b)
}

func TestEveryDeviceIsToldOfAnAdmissionAndARevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	w.devices[0].do(t, "devices", "revoke", "carla")
	for _, d := range w.devices[:2] {
		knowsRevoked(t, d, "carla")
		eventually(t, d.Name+" tells of it in its log", func() error {
			log := d.do(t, "log")
			var missing []error
			for _, kind := range []string{"admitted", "revoked"} {
				if !slices.ContainsFunc(strings.Split(log, "\n"), func(line string) bool {
					return strings.Contains(line, kind) && strings.Contains(line, "carla")
				}) {
					missing = append(missing, fmt.Errorf("nothing of %q in:\n%s", kind, log))
				}
			}
			return errors.Join(missing...)
		})
	}
}

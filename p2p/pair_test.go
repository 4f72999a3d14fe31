package p2p

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// inviterHost makes a host that admits everybody who asks, with a welcome that names the guest.
func (n *testNet) inviterHost(change ...func(*Config)) *testHost {
	h := n.host(func(c *Config) {
		for _, f := range change {
			f(c)
		}
	})
	h.SetMesh(shoal.MeshID{1, 2, 3})
	h.SetAdmitter(func(_ context.Context, g Guest, _ bool) ([]byte, error) {
		return []byte("welcome " + g.Name), nil
	})
	return h
}

// guest is what a joining device says of itself.
func guest(name string) Guest { return Guest{Name: name, HPKE: bytes.Repeat([]byte{7}, 1216)} }

func (h *testHost) invite() Invite {
	h.net.t.Helper()
	i, err := h.NewInvite(mesh.RoleMember, time.Minute, false)
	if err != nil {
		h.net.t.Fatal(err)
	}
	return i
}

func (h *testHost) join(with, name string) (shoal.DeviceID, string, error) {
	h.net.t.Helper()
	ctx, cancel := context.WithTimeout(h.net.t.Context(), patience)
	defer cancel()
	dev, welcome, err := h.Join(ctx, with, guest(name), func(s string) { h.log.Info("progress", "s", s) })
	return dev, string(welcome), err
}

func TestGuestJoinsWithTicket(t *testing.T) {
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	dev, welcome, err := g.join(a.invite().Ticket, "laptop")
	if err != nil || dev != a.Device() || welcome != "welcome laptop" {
		t.Fatalf("from %s: %q, %v", dev, welcome, err)
	}
}

func TestGuestJoinsWithCodeOnTheSameMachine(t *testing.T) {
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	dev, welcome, err := g.join(a.invite().Code, "laptop")
	if err != nil || dev != a.Device() || welcome != "welcome laptop" {
		t.Fatalf("from %s: %q, %v", dev, welcome, err)
	}
}

func TestUsedInviteAdmitsNobodyElse(t *testing.T) {
	n := newTestNet(t)
	a, g, other := n.inviterHost(), n.host(nil), n.host(nil)
	i := a.invite()
	if _, _, err := g.join(i.Ticket, "first"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.join(i.Ticket, "second"); !errors.Is(err, ErrUsed) {
		t.Fatalf("ticket again: %v, want ErrUsed", err)
	}
}

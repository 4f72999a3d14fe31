package p2p

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

func TestSimultaneousDialsGiveOneLink(t *testing.T) {
	t.Parallel()
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		n := newTestNet(t)
		a, b := n.host(nil, echo), n.host(nil, echo)
		n.admit(a.Device(), b.Device())
		start := make(chan struct{})
		for _, h := range [][2]*testHost{{a, b}, {b, a}} {
			go func() {
				<-start
				h[0].knows(h[1])
			}()
		}
		close(start)
		a.expect(b.Device(), true)
		b.expect(a.Device(), true)
		for _, h := range [][2]*testHost{{a, b}, {b, a}} {
			s, err := h[0].Open(t.Context(), h[1].Device(), echoProtocol)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			_ = s.CloseWrite()
			if got, err := io.ReadAll(s); err != nil || string(got) != "x" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		a.quiet()
		b.quiet()
		if la, lb := a.links.of(b.Device()), b.links.of(a.Device()); la.outbound == lb.outbound {
			t.Fatal("the two sides use different connections")
		}
		a.stop()
		b.stop()
	}
}

// twin makes a host that looks to others like another connection of the run of b.
func (n *testNet) twin(id *mesh.Identity, b *testHost) *testHost {
	n.t.Helper()
	return n.host(func(c *Config) { c.Identity, c.RuntimeDirs = id, []string{} }, func(h *Host) { h.run = b.run })
}

// sortedIdentities returns two identities, the one that decides first.
func sortedIdentities(t *testing.T) (low, high *mesh.Identity) {
	t.Helper()
	low, high = newIdentity(t), newIdentity(t)
	if high.Device().Compare(low.Device()) < 0 {
		low, high = high, low
	}
	return low, high
}

func TestSecondConnectionOfARunIsADuplicate(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	low, high := sortedIdentities(t)
	a, b := n.host(func(c *Config) { c.Identity = low }), n.host(func(c *Config) { c.Identity = high })
	n.admit(a.Device(), b.Device())
	a.knows(b)
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
	second := n.twin(high, b)
	second.LearnAddrs(a.Device(), a.Addrs())
	if _, err := second.connect(t.Context(), a.Device()); !errors.Is(err, errDuplicate) {
		t.Fatalf("%v, want a duplicate", err)
	}
	a.quiet()
	b.quiet()
	if a.links.of(b.Device()) == nil {
		t.Fatal("the first connection is gone")
	}
}

func TestSecondConnectionReplacesOneThatDoesNotAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for an answer that does not come")
	}
	t.Parallel()
	n := newTestNet(t)
	low, high := sortedIdentities(t)
	lazy := func(id *mesh.Identity) func(*Config) {
		return func(c *Config) { c.Identity, c.Heartbeat, c.RuntimeDirs = id, time.Hour, []string{} }
	}
	a, b := n.host(lazy(low)), n.host(lazy(high))
	n.admit(a.Device(), b.Device())
	cable := newCutCable(t, b.tcpAddr())
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): {cable.addr()}})
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
	close(cable.cut)
	second := n.twin(high, b)
	second.LearnAddrs(a.Device(), a.Addrs())
	if _, err := second.connect(t.Context(), a.Device()); err != nil {
		t.Fatal(err)
	}
	a.expect(b.Device(), false)
	a.expect(b.Device(), true)
}

func TestRunsOfOneDeviceReplaceEachOther(t *testing.T) {
	t.Parallel()
	// A device that lost power comes back before its peer has noticed. The peer must not hold on to the dead link.
	low, high := sortedIdentities(t)
	for _, ids := range [][2]*mesh.Identity{{low, high}, {high, low}} { // whichever of the two decides
		n := newTestNet(t)
		a := n.host(func(c *Config) { c.Identity, c.Heartbeat = ids[0], time.Hour })
		dead := n.host(func(c *Config) { c.Identity, c.Heartbeat = ids[1], time.Hour })
		n.admit(a.Device(), dead.Device())
		dead.knows(a)
		a.expect(dead.Device(), true)
		dead.SetMembers(nil) // it stays as it is and does not dial again
		b := n.host(func(c *Config) { c.Identity = ids[1] })
		b.knows(a)
		a.expect(b.Device(), false)
		a.expect(b.Device(), true)
		b.expect(a.Device(), true)
	}
}

package p2p

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
)

// The gate closes while a link is being made, after it was asked: SetMembers does not see that link yet.
func TestADeviceExpelledWhileItsLinkIsMadeLosesIt(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	b := n.host(nil)
	var a *testHost
	var armed, closed atomic.Bool
	a = n.host(func(c *Config) {
		c.Gate = func(d shoal.DeviceID) bool {
			ok := n.gate(d)
			if d == b.Device() && armed.Load() && a.hasLinks() && armed.CompareAndSwap(true, false) {
				n.expel(d)
				a.SetMembers(nil)
				closed.Store(true)
			}
			return ok
		}
	})
	n.admit(a.Device(), b.Device())
	armed.Store(true)
	a.knows(b)
	poll(t, "the link ends", func() bool { return closed.Load() && !a.hasLinks() })
	if got := a.KnownAddrs(b.Device()); len(got) != 0 {
		t.Errorf("addresses of an expelled device are kept: %v", got)
	}
}

// hasLinks says whether a link is up or being made.
func (h *testHost) hasLinks() bool {
	h.links.mu.Lock()
	defer h.links.mu.Unlock()
	return len(h.links.byConn) > 0
}

func TestWhatAnExpelledDeviceSaysOfItselfIsNotKept(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a := n.host(func(c *Config) { c.RuntimeDirs = []string{} })
	id := newIdentity(t)
	b := n.host(func(c *Config) { c.Identity, c.RuntimeDirs = id, []string{} })
	n.admit(a.Device(), b.Device())
	a.knows(b)
	a.expect(b.Device(), true)
	poll(t, "the record arrives", func() bool { return a.book.Record(b.Device()) != nil })
	n.expel(b.Device())
	last, err := address.Sign(id, time.Now().Add(time.Hour).UnixMilli(), []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/1")})
	if err != nil {
		t.Fatal(err)
	}
	a.hear(a.links.of(b.Device()), last) // it was on its way when SetMembers forgot
	if got := a.KnownAddrs(b.Device()); len(got) != 0 {
		t.Errorf("addresses of an expelled device are kept: %v", got)
	}
}

func TestADeviceExpelledWhileItIsSeenNearbyIsNotKept(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	dev := newIdentity(t).Device()
	var once sync.Once
	a := n.host(func(c *Config) {
		c.Gate = func(d shoal.DeviceID) bool {
			ok := n.gate(d)
			once.Do(func() { n.expel(d) })
			return ok
		}
	})
	n.admit(dev)
	a.sawNear(mdns.Notice{Service: mdns.Members, Device: dev, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.1/tcp/1")}})
	if got := a.KnownAddrs(dev); len(got) != 0 {
		t.Errorf("addresses of an expelled device are kept: %v", got)
	}
}

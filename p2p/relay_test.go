package p2p

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// relayed makes a relay and two devices that know it and, of each other, only what comes through it: neither listens
// where the other could dial it.
func (n *testNet) relayed(setup ...func(*Host)) (v, a, b *testHost) {
	n.t.Helper()
	v = n.host(func(c *Config) { c.Relay, c.RuntimeDirs = true, []string{} })
	mute := func(c *Config) { c.Listen, c.RuntimeDirs = []string{}, []string{} }
	a, b = n.host(mute, setup...), n.host(mute, setup...)
	n.admit(v.Device(), a.Device(), b.Device())
	for _, h := range []*testHost{a, b} {
		other := a
		if h == a {
			other = b
		}
		h.SetRelays([]shoal.DeviceID{v.Device()})
		h.SetMembers(map[shoal.DeviceID][]string{v.Device(): v.Addrs(), other.Device(): nil})
	}
	return v, a, b
}

// linked tells whether h has a link with dev of that kind.
func (h *testHost) linked(dev shoal.DeviceID, want Transport) bool {
	for _, p := range h.Peers() {
		if p.Device == dev {
			return p.Transport == want
		}
	}
	return false
}

func TestDevicesThatReachOnlyAVaultMeetThroughIt(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	v, a, b := n.relayed(echo)
	poll(t, "they are linked through the relay", func() bool { return a.linked(b.Device(), TransportRelay) && b.linked(a.Device(), TransportRelay) })
	if !a.linked(v.Device(), TransportLAN) {
		t.Fatalf("a is linked with the relay as %+v", a.Peers())
	}
	if l := a.links.of(b.Device()); l.conn.Stat().Limited {
		t.Fatal("the circuit is limited")
	}
	s, err := a.Open(t.Context(), b.Device(), echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	// More than libp2p's default would let through a circuit.
	msg := []byte(rand.Text() + strings.Repeat("shoal", 200_000))
	go func() {
		_, _ = s.Write(msg)
		_ = s.CloseWrite()
	}()
	if got, err := io.ReadAll(s); err != nil || string(got) != string(msg) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	// Both say where they are found.
	for _, h := range []*testHost{a, b} {
		if addrs := h.Addrs(); len(addrs) == 0 || !strings.Contains(addrs[0], "/p2p/"+v.Device().String()+"/p2p-circuit/p2p/"+h.Device().String()) {
			t.Fatalf("addresses %v", addrs)
		}
	}
}

func TestACircuitEndsWithItsRelayAndComesBackWithIt(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	v, a, b := n.relayed()
	poll(t, "they are linked through the relay", func() bool { return a.linked(b.Device(), TransportRelay) && b.linked(a.Device(), TransportRelay) })
	listen := strings.Split(v.Addrs()[0], "/p2p/")[0]
	id := v.cfg.Identity
	v.stop()
	poll(t, "the circuit is gone, and its address", func() bool { return len(a.Peers()) == 0 && len(a.Addrs()) == 0 && len(b.Peers()) == 0 })
	n.host(func(c *Config) { c.Identity, c.Relay, c.Listen = id, true, []string{listen} })
	poll(t, "they are linked again", func() bool { return a.linked(b.Device(), TransportRelay) && b.linked(a.Device(), TransportRelay) })
}

func TestARelayServesMembersAloneAndOnlyPairsThatItMay(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	var a, b *testHost
	var none atomic.Bool
	apart := func(x, y shoal.DeviceID) bool { return x == y && !none.Load() }
	v := n.host(func(c *Config) { c.Relay, c.RelayBetween = true, apart })
	a, b = n.host(nil), n.host(nil)
	n.admit(v.Device(), a.Device(), b.Device())
	for _, h := range []*testHost{a, b} {
		h.SetRelays([]shoal.DeviceID{v.Device()})
		h.SetMembers(map[shoal.DeviceID][]string{v.Device(): v.Addrs()})
		poll(t, "it has a place", func() bool { return len(h.places.addrs()) > 0 })
	}
	circuit := b.places.addrs()[0]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	info := peer.AddrInfo{ID: address.PeerID(b.Device()), Addrs: nil}
	info.Addrs = append(info.Addrs, circuit)
	if err := a.Host.net.Connect(ctx, info); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Fatalf("two devices that are to be kept apart: %v", err)
	}
	reserve := func() error {
		_, err := client.Reserve(network.WithNoDial(ctx, "test"), a.Host.net, peer.AddrInfo{ID: address.PeerID(v.Device())})
		return err
	}
	none.Store(true)
	if err := reserve(); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Fatalf("a place for whom nothing may be relayed: %v", err)
	}
	none.Store(false)
	if err := reserve(); err != nil {
		t.Fatal(err)
	}
	// One that was expelled keeps its connection until somebody looks, and gets nothing on it.
	n.expel(a.Device())
	if err := reserve(); err == nil || !strings.Contains(err.Error(), "PERMISSION_DENIED") {
		t.Fatalf("a place for who is no member: %v", err)
	}
}

func TestCircuitsAreTakenFromMembersAlone(t *testing.T) {
	t.Parallel()
	member, stranger := newIdentity(t).Device(), newIdentity(t).Device()
	inviting := true
	g := &gater{admits: func(d shoal.DeviceID) bool { return d == member }, inviting: func() bool { return inviting }, joining: map[shoal.DeviceID]int{}}
	through := func(d shoal.DeviceID) network.ConnMultiaddrs {
		return connAddrs{fmt.Sprintf("/ip4/1.2.3.4/tcp/1/p2p/%s/p2p-circuit", d)}
	}
	direct := connAddrs{"/ip4/1.2.3.4/tcp/1"}
	if !g.InterceptAccept(direct) || !g.InterceptAccept(through(member)) || g.InterceptAccept(through(stranger)) || g.InterceptAccept(connAddrs{"/p2p-circuit"}) {
		t.Error("circuits are taken from the wrong relays")
	}
	if !g.InterceptSecured(network.DirInbound, address.PeerID(stranger), direct) {
		t.Error("a guest that comes directly is refused")
	}
	if g.InterceptSecured(network.DirInbound, address.PeerID(stranger), through(member)) {
		t.Error("a guest comes through a relay")
	}
	if !g.InterceptSecured(network.DirInbound, address.PeerID(member), through(member)) {
		t.Error("a member that comes through a relay is refused")
	}
}

// The relay of a connection that has no link of its own is not hung up on.
func TestAConnectionThatCarriesCircuitsIsNotIdle(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	v, a, b := n.relayed()
	poll(t, "they are linked through the relay", func() bool { return a.linked(b.Device(), TransportRelay) })
	carried := false
	for _, dev := range []shoal.DeviceID{a.Device(), b.Device()} {
		carried = carried || carriesCircuits(v.links.of(dev).conn)
	}
	if !carried {
		t.Fatal("the relay's connections seem to carry nothing")
	}
	if carriesCircuits(a.links.of(b.Device()).conn) {
		t.Fatal("the circuit itself seems to carry one")
	}
}

// BenchmarkRelay measures one stream between two hosts through a third, over loopback, in 1 MiB frames.
func BenchmarkRelay(b *testing.B) {
	n := newTestNet(b)
	_, x, y := n.relayed(func(h *Host) {
		h.Handle("/shoal/sink/1", func(_ context.Context, _ shoal.DeviceID, s Stream) {
			_, _ = io.Copy(io.Discard, s)
			_, _ = s.Write([]byte{1})
			_ = s.Close()
		})
	})
	poll(b, "they are linked through the relay", func() bool { return x.linked(y.Device(), TransportRelay) })
	s, err := x.Open(b.Context(), y.Device(), "/shoal/sink/1")
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 1<<20)
	_, _ = rand.Read(frame)
	b.SetBytes(int64(len(frame)))
	b.ResetTimer()
	for b.Loop() {
		if err := WriteFrame(s, frame); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.CloseWrite()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}

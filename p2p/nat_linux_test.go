package p2p

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// homes are two devices, each behind a router of its own, and a relay outside that both reach.
type homes struct {
	*spaces
	v, a, b *remote
}

// newHomes lays it out: a – ra – outside – rb – b, and v outside. net is the first three numbers of the outside's addresses.
func newHomes(t *testing.T, net, natA, natB string) *homes {
	t.Helper()
	h := &homes{spaces: newSpaces(t, "a", "b", "ra", "rb", "v", "out")}
	h.ip("out", "link add br0 type bridge")
	h.ip("out", "link set br0 up")
	for i, space := range []string{"v", "ra", "rb"} {
		h.cable(space, "out")
		h.ip("out", "link set to-"+space+" master br0")
		h.ip(space, fmt.Sprintf("addr add %s.%d/24 dev to-out", net, i+1))
	}
	for i, side := range []struct{ home, router, nat string }{{"a", "ra", natA}, {"b", "rb", natB}} {
		h.cable(side.home, side.router)
		h.ip(side.home, fmt.Sprintf("addr add 192.168.%d.2/24 dev to-%s", i+1, side.router))
		h.ip(side.router, fmt.Sprintf("addr add 192.168.%d.1/24 dev to-%s", i+1, side.home))
		h.ip(side.home, fmt.Sprintf("route add default via 192.168.%d.1", i+1))
		h.router(side.router, side.home, "out", side.nat)
	}
	v, a, b := newIdentity(t), newIdentity(t), newIdentity(t)
	at := map[string][]string{a.Device().String(): nil, b.Device().String(): nil}
	at[v.Device().String()] = []string{fmt.Sprintf("/ip4/%s.1/tcp/4001", net), fmt.Sprintf("/ip4/%s.1/udp/4001/quic-v1", net)}
	relays := []string{v.Device().String()}
	h.v = h.device("v", v, deviceSpec{Relay: true, Members: at})
	h.a = h.device("a", a, deviceSpec{Members: at, Relays: relays})
	h.b = h.device("b", b, deviceSpec{Members: at, Relays: relays})
	t.Cleanup(h.tellRouters)
	return h
}

// tellRouters says, when the test failed, what the routers have open.
func (h *homes) tellRouters() {
	for _, space := range []string{"ra", "rb"} {
		if !h.t.Failed() {
			return
		}
		open, err := exec.Command("ip", "netns", "exec", h.full[space], "cat", "/proc/net/nf_conntrack").CombinedOutput()
		h.t.Logf("%s keeps open (%v):\n%s", space, err, open)
	}
}

// Routers that keep one hole for a port, and let in only from where something went out: RFC 4787's address and port
// dependent filtering, as most homes have it.
const (
	portRestricted = ""
	symmetric      = "fully-random"
)

func TestTwoHomesGetADirectConnectionWhenTheirRoutersAllowIt(t *testing.T) {
	if testing.Short() {
		t.Skip("several processes")
	}
	t.Parallel()
	for name, net := range map[string]string{"the relay is reached over QUIC": "5.9.7", "the relay is reached over TCP": "10.77.0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHomes(t, net, portRestricted, portRestricted)
			// Mostly a second; some ten more when the first attempt went over a circuit that was about to go.
			took := within(t, 40*time.Second, "they are connected directly", func() bool {
				return h.a.transport(h.b.dev) == TransportDirect || h.a.transport(h.b.dev) == TransportLAN
			})
			within(t, patience, "the other side sees it, too", func() bool { return h.b.transport(h.a.dev) == h.a.transport(h.b.dev) })
			t.Logf("direct after %s", took)
		})
	}
}

func TestATransferSurvivesTheSwitchToADirectConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("several processes")
	}
	t.Parallel()
	h := newHomes(t, "5.9.7", portRestricted, portRestricted)
	// The punch takes some round trips; a stream that is opened at once mostly begins on the circuit.
	within(t, time.Minute, "they are connected", func() bool { return h.a.transport(h.b.dev) != "" })
	first := h.a.transport(h.b.dev)
	if got := h.a.ask("start " + h.b.dev.String()); got != "ok" {
		t.Fatal(got)
	}
	within(t, time.Minute, "they are connected directly", func() bool { return h.a.transport(h.b.dev) == TransportDirect })
	if got := h.a.ask("finish"); !strings.HasPrefix(got, "whole ") {
		t.Fatalf("the transfer that began over %q: %s", first, got)
	}
}

func TestTwoHomesStayOnTheRelayWhenTheirRoutersDoNotAllowMore(t *testing.T) {
	if testing.Short() {
		t.Skip("several processes")
	}
	t.Parallel()
	h := newHomes(t, "5.9.7", symmetric, symmetric)
	both := func(want Transport) bool {
		return h.a.transport(h.b.dev) == want && h.b.transport(h.a.dev) == want
	}
	within(t, time.Minute, "they are connected through the relay", func() bool { return both(TransportRelay) })
	if got := h.a.ask("start " + h.b.dev.String()); got != "ok" {
		t.Fatal(got)
	}
	// Three attempts of five seconds each come to nothing, and break nothing.
	holds(t, 3*punchWait+2*time.Second, "they are connected through the relay", func() bool { return both(TransportRelay) })
	if got := h.a.ask("finish"); !strings.HasPrefix(got, "whole ") {
		t.Fatal(got)
	}
}

package p2p

import (
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
)

// needMulticast skips a test on a machine on which a packet to the group does not come back.
func needMulticast(t *testing.T) {
	t.Helper()
	if !mdns.Works(time.Now, time.Second) {
		t.Skip("no multicast here")
	}
}

func TestMembersFindEachOtherByMDNS(t *testing.T) {
	needMulticast(t)
	n := newTestNet(t)
	lan := func(c *Config) { c.MDNS, c.RuntimeDirs = true, []string{} }
	a, b := n.host(lan), n.host(lan)
	n.admit(a.Device(), b.Device())
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): nil})
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
}

func TestCodeFindsInviterByMDNS(t *testing.T) {
	needMulticast(t)
	n := newTestNet(t)
	lan := func(c *Config) { c.MDNS, c.RuntimeDirs = true, []string{} }
	a, g := n.inviterHost(lan), n.host(lan)
	if _, welcome, err := g.join(a.invite().Code, "laptop"); err != nil || welcome != "welcome laptop" {
		t.Fatalf("%q, %v", welcome, err)
	}
}

func TestCodeFindsInviterByMDNSBeforeTheGuestRuns(t *testing.T) {
	needMulticast(t)
	n := newTestNet(t)
	a := n.inviterHost(func(c *Config) { c.MDNS, c.RuntimeDirs = true, []string{} })
	g, err := New(Config{Identity: newIdentity(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{}, MDNS: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, welcome, err := g.Join(t.Context(), a.invite().Code, guest("laptop"), nil); err != nil || string(welcome) != "welcome laptop" {
		t.Errorf("%q, %v", welcome, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

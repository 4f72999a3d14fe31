package p2p

import (
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// needMulticast skips a test on a machine on which a packet to the group does not come back.
func needMulticast(t *testing.T) {
	t.Helper()
	a, err := openMDNS()
	if err != nil {
		t.Skip("no multicast here:", err)
	}
	got := make(chan bool, 1)
	done := make(chan struct{})
	near := &attached{clock: time.Now}
	go func() {
		defer close(done)
		a.receive(near.networks, func([]byte) {
			select {
			case got <- true:
			default:
			}
		})
	}()
	defer func() {
		a.close()
		<-done
	}()
	raw, err := encodeQuery(mdnsMembers)
	if err != nil {
		t.Fatal(err)
	}
	a.send(raw)
	select {
	case <-got:
	case <-time.After(time.Second):
		t.Skip("multicast does not come back here")
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

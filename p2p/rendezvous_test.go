package p2p

import (
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// meeting is what a device of a test adds to its host, and what it has found.
type meeting struct {
	mu    sync.Mutex
	note  string
	found map[shoal.DeviceID]Sighting
}

// meets makes h leave and look for records under a secret that all of the net share.
func (m *meeting) meets(n *testNet, secrets ...[32]byte) func(*Host) {
	m.found = make(map[shoal.DeviceID]Sighting)
	return func(h *Host) {
		h.SetRendezvous(Rendezvous{
			Secrets: func() [][32]byte { return secrets },
			Devices: func() []shoal.DeviceID {
				n.mu.Lock()
				defer n.mu.Unlock()
				var out []shoal.DeviceID
				for d := range n.members {
					out = append(out, d)
				}
				return out
			},
			Note: func() []byte {
				m.mu.Lock()
				defer m.mu.Unlock()
				return []byte(m.note)
			},
			Found: func(s Sighting) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.found[s.Device] = s
			},
		})
	}
}

func (m *meeting) sighting(dev shoal.DeviceID) (Sighting, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.found[dev]
	return s, ok
}

// fast is a clock whose minutes last a second.
func fast() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(60 * time.Since(began)) }
}

func TestADeviceAloneLearnsFromTheHashTableWhoHasSomethingNewer(t *testing.T) {
	if testing.Short() {
		t.Skip("a hash table")
	}
	t.Parallel()
	n := newTestNet(t)
	clock, secret := fast(), [32]byte{1}
	serve := func(c *Config) {
		c.DHT, c.RuntimeDirs, c.Clock = DHT{On: true, Serve: true}, []string{}, clock
	}
	var nothing meeting
	v1 := n.host(serve, nothing.meets(n)) // it has no secrets
	poll(t, "the first server can be entered", func() bool { return len(v1.DHTEntries()) > 0 })
	v2 := n.host(func(c *Config) { serve(c); c.DHT.Bootstrap = v1.DHTEntries() }, nothing.meets(n))
	poll(t, "the second server can be entered", func() bool { return len(v2.DHTEntries()) > 0 })
	n.admit(v1.Device(), v2.Device())

	// B is a member like the servers: they tell it how to enter.
	idB := newIdentity(t)
	b := &meeting{note: "seq 7"}
	hostB := n.host(func(c *Config) {
		c.DHT, c.RuntimeDirs, c.Clock, c.Identity = DHT{On: true}, []string{}, clock, idB
	}, b.meets(n, secret))
	n.admit(hostB.Device())
	hostB.knows(v1, v2)
	poll(t, "B knows the way in", func() bool { return len(hostB.DHTEntries()) > 0 })

	// A knows nobody's address, only ways into the table; and foreigners know no more than it.
	a, foreign := &meeting{}, &meeting{}
	alone := func(c *Config) {
		c.DHT, c.RuntimeDirs, c.Clock = DHT{On: true, Bootstrap: v2.DHTEntries()}, []string{}, clock
	}
	hostA := n.host(alone, a.meets(n, [32]byte{9}, secret)) // its newest epoch is not B's yet
	hostF := n.host(alone, foreign.meets(n, [32]byte{9}))
	hostA.SetMembers(map[shoal.DeviceID][]string{hostB.Device(): nil})
	within(t, 2*time.Minute, "A finds B", func() bool { _, ok := a.sighting(hostB.Device()); return ok })
	if s, _ := a.sighting(hostB.Device()); string(s.Note) != "seq 7" || len(s.Addrs) == 0 {
		t.Fatalf("%+v", s)
	}
	if s, ok := foreign.sighting(hostB.Device()); ok {
		t.Fatalf("without the secret %s found %+v", hostF.Device().Short(), s)
	}
	if _, ok := nothing.sighting(hostB.Device()); ok {
		t.Fatal("a server found what it keeps")
	}
	// And where B is: as soon as both admit each other, they are connected.
	n.admit(hostA.Device())
	hostA.SetMembers(map[shoal.DeviceID][]string{hostB.Device(): nil})
	poll(t, "A and B are connected", func() bool { return hostA.linked(hostB.Device(), TransportLAN) })
}

func TestProvidersAreFoundByRoot(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	serve := func(c *Config) { c.DHT = DHT{On: true, Serve: true} }
	setup := func(h *Host) { h.SetRendezvous(Rendezvous{}) }
	a := n.host(serve, setup)
	poll(t, "it can be entered", func() bool { return len(a.DHTEntries()) > 0 })
	b := n.host(func(c *Config) { serve(c); c.DHT.Bootstrap = a.DHTEntries() }, setup)
	poll(t, "it can be entered", func() bool { return len(b.DHTEntries()) > 0 })
	if err := b.Provide(t.Context(), [32]byte{5}); err != nil {
		t.Fatal(err)
	}
	poll(t, "it is found", func() bool {
		found, err := a.Providers(t.Context(), [32]byte{5})
		return err == nil && len(found) > 0
	})
	off := n.host(nil)
	if err := off.Provide(t.Context(), [32]byte{5}); err == nil {
		t.Fatal("announced without a hash table")
	}
}

package p2p

import (
	"testing"
	"time"
)

// A device that comes into another network is connected again within seconds: by itself, though neither told the other.
func TestADeviceThatMovesIsConnectedAgainWithinSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("several processes")
	}
	t.Parallel()
	s := newSpaces(t, "a", "b")
	s.cable("a", "b")
	s.ip("b", "addr add 10.5.0.2/24 dev to-a")
	s.ip("b", "addr add 10.6.0.2/24 dev to-a")
	s.ip("a", "addr add 10.5.0.1/24 dev to-b")
	idA, idB := newIdentity(t), newIdentity(t)
	at := map[string][]string{
		idA.Device().String(): nil,
		idB.Device().String(): {"/ip4/10.5.0.2/tcp/4001", "/ip4/10.6.0.2/tcp/4001"},
	}
	b := s.device("b", idB, deviceSpec{Members: at})
	a := s.device("a", idA, deviceSpec{Members: at})
	within(t, time.Minute, "they are connected", func() bool { return a.transport(b.dev) != "" && b.transport(a.dev) != "" })
	before := []string{a.losses(), b.losses()} // what is lost may be back before anybody has looked
	s.ip("a", "addr del 10.5.0.1/24 dev to-b")
	s.ip("a", "addr add 10.6.0.1/24 dev to-b")
	lost := within(t, time.Minute, "one notices", func() bool { return a.losses() != before[0] || b.losses() != before[1] })
	back := within(t, time.Minute, "they are connected again", func() bool { return a.transport(b.dev) != "" && b.transport(a.dev) != "" })
	if lost+back > 20*time.Second {
		t.Errorf("it took %s", lost+back)
	}
	t.Logf("noticed after %s, connected again %s later", lost, back)
}

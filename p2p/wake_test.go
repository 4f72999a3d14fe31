package p2p

import (
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

func TestASleepIsToldFromTimeThatPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wall, lived time.Duration
		want        bool
	}{
		{time.Hour, time.Hour, false},
		{time.Hour, time.Second, true},
		{time.Second, 0, false}, // a clock that is being put right
		{-time.Hour, time.Second, false},
		{sleepJump, 0, true},
	} {
		if got := slept(c.wall, c.lived); got != c.want {
			t.Errorf("%s by the clock and %s lived: %v", c.wall, c.lived, got)
		}
	}
	var w wakeWatch
	now := time.Now()
	if w.look(now) || w.look(now.Add(time.Hour)) {
		t.Error("time that was lived is taken for sleep")
	}
}

func TestAfterASleepDeadLinksAreReplacedAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for an answer that does not come")
	}
	t.Parallel()
	n := newTestNet(t)
	lazy := func(c *Config) { c.Heartbeat, c.RuntimeDirs = time.Hour, []string{} } // nothing else would notice
	a, b, c := n.host(lazy), n.host(lazy), n.host(lazy)
	n.admit(a.Device(), b.Device(), c.Device())
	cable := newCutCable(t, b.tcpAddr())
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): {cable.addr()}})
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
	a.LearnAddrs(b.Device(), b.Addrs())
	close(cable.cut)
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): b.Addrs(), c.Device(): c.Addrs()})
	a.expect(c.Device(), true)
	a.woke()
	a.expect(b.Device(), false)
	a.expect(b.Device(), true)
	if a.links.of(c.Device()) == nil {
		t.Fatal("a link that lives was ended, too")
	}
}

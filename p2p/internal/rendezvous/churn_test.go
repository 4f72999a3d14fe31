package rendezvous

import (
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
)

var longRun = flag.Bool("long", false, "simulate 30 days of churn, not one; takes minutes")

// simClock is a clock that only moves when it is told to.
type simClock struct{ ms atomic.Int64 }

func (c *simClock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *simClock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// churned is a mesh of devices, two vaults that serve the table, and an hour that passes in moments. Hosts, streams and the table are real;
// time is not, and each device's loop is driven by hand: what is due at each minute at which something is due.
type churned struct {
	t       *testing.T
	clock   simClock
	chance  *rand.Rand
	secret  Secret
	vaults  []*party
	parties []*party
	on      []bool
	left    []time.Time // when each device left its newest record; zero: never
	asked   atomic.Int64
	puts    int
	looks   int
	found   int
	hours   int // of devices that were on
}

const (
	simDevices = 20
	simVaults  = 2
)

func newChurned(t *testing.T) *churned {
	c := &churned{t: t, chance: rand.New(rand.NewPCG(1, 2)), secret: Secret{7}, on: make([]bool, simDevices), left: make([]time.Time, simDevices)}
	c.clock.ms.Store(noon.UnixMilli())
	var entries []ma.Multiaddr
	for range simVaults {
		v := newParty(t, c.secret, entries, c.clock.now)
		v.cfg.Listen, v.cfg.Asked = []string{"/ip4/127.0.0.1/tcp/0"}, func() { c.asked.Add(1) }
		v.cfg.Secrets = func() []Secret { return nil }
		h, err := v.acquire()
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 0 {
			if err := h.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		entries = append(entries, h.addrs()...)
		c.vaults = append(c.vaults, v)
		t.Cleanup(v.end)
	}
	for range simDevices {
		p := newParty(t, c.secret, entries, c.clock.now)
		p.addrs = []ma.Multiaddr{addr("/ip4/192.0.2.1/tcp/4001")}
		c.parties = append(c.parties, p)
		t.Cleanup(p.end)
	}
	return c
}

// restart makes a device begin anew, as after a reboot: it remembers the ways in, and nothing else.
func (c *churned) restart(i int) {
	p := c.parties[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent, p.note = make(map[shoal.DeviceID]bool), c.stamp()
	for j, other := range c.parties {
		if !c.on[j] && j != i {
			p.absent[other.id.Device()] = true
		}
	}
}

// stamp is a note that dates itself.
func (c *churned) stamp() []byte { return []byte(c.clock.now().Format(time.RFC3339)) }

// hour turns half of the mesh over, and lets each device that is on do what is due in an hour.
func (c *churned) hour() {
	for i, which := range c.chance.Perm(simDevices) {
		was := c.on[which]
		c.on[which] = i < simDevices/2
		if was && !c.on[which] {
			c.rest(which)
		}
	}
	for i := range c.parties {
		if c.on[i] {
			c.restart(i)
			c.hours++
		}
	}
	for range 6 {
		c.clock.add(10 * time.Minute)
		var working sync.WaitGroup
		for i, p := range c.parties {
			if c.on[i] {
				working.Go(func() { c.step(p) })
			}
		}
		working.Wait()
	}
	for i, p := range c.parties {
		if p.Service.mu.Lock(); c.on[i] && p.plan.announced.After(c.left[i]) {
			c.left[i] = p.plan.announced
			c.puts++
		}
		p.Service.mu.Unlock()
	}
}

// step does what is due for a device.
func (c *churned) step(p *party) {
	announce, look := p.due()
	if announce || len(look) > 0 {
		p.work(c.t.Context(), announce, look)
	}
	for {
		select {
		case <-p.found:
		default:
			return
		}
	}
}

// rest ends a device's host, as it would by itself or with the device.
func (c *churned) rest(i int) {
	s := c.parties[i].Service
	s.mu.Lock()
	h := s.host
	s.host, s.plan, s.told, s.left = nil, Plan{}, [32]byte{}, nil
	s.mu.Unlock()
	if h != nil {
		s.rest(h)
	}
}

// lone has one device that is off come up with nobody there, and look for all others that have left a record today or yesterday.
func (c *churned) lone() {
	var off []int
	for i, on := range c.on {
		if !on {
			off = append(off, i)
		}
	}
	me := off[c.chance.IntN(len(off))]
	p := c.parties[me]
	h, err := p.acquire()
	if err != nil {
		c.t.Fatal(err)
	}
	for i, other := range c.parties {
		if i == me || c.left[i].IsZero() || DayOf(c.left[i])+1 < DayOf(c.clock.now()) {
			continue
		}
		c.looks++
		p.forget()
		p.look(c.t.Context(), h, other.id.Device())
		if p.seenAt(other.id.Device()) >= c.left[i].UnixMilli() {
			c.found++
		}
		for len(p.found) > 0 {
			<-p.found
		}
	}
	p.release()
	c.rest(me)
}

// forget makes all sightings news again.
func (p *party) forget() {
	p.Service.mu.Lock()
	defer p.Service.mu.Unlock()
	clear(p.seen)
}

func (p *party) seenAt(dev shoal.DeviceID) int64 {
	p.Service.mu.Lock()
	defer p.Service.mu.Unlock()
	return p.seen[dev]
}

// 20 devices of which half are off, others each hour, and two vaults: who comes up alone finds the records of the others.
func TestADeviceAloneFindsOthersThroughAMonthOfChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("a hash table")
	}
	hours := 24
	switch {
	case *longRun:
		hours *= 30
	case raceEnabled:
		hours = 6
	}
	c := newChurned(t)
	for range hours {
		c.hour()
		c.lone()
	}
	rate := float64(c.found) / float64(c.looks)
	t.Logf("%d hours: %d of %d looks of a lone device found what was left last (%.2f %%); per device and hour it was on %.2f records and %.1f requests",
		hours, c.found, c.looks, 100*rate, float64(c.puts)/float64(c.hours), float64(c.asked.Load())/float64(c.hours))
	if rate <= 0.99 || c.looks < 4*hours {
		t.Errorf("%d of %d looks found something", c.found, c.looks)
	}
}

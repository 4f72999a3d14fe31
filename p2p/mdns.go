package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoalmesh/shoal"
)

// mdnsReopen is how long to wait before the sockets are tried again after they could not be opened, or broke. A change of
// the own addresses ends the wait.
const mdnsReopen = time.Minute

// mdns finds hosts on the local network and is found there (RFC 6762, the part of it that this needs). Other
// responders of the machine may share the port. Safe for concurrent use.
type mdns struct {
	// set once
	device   shoal.DeviceID
	instance string // random per run, so that caches do not mix up two runs
	enabled  bool
	clock    func() time.Time
	log      *slog.Logger
	addrs    func() []ma.Multiaddr // of this host
	heard    func(notice)          // what other hosts say; called from the network's goroutine, must be quick
	changed  chan struct{}         // depth 1: plates or seekers changed
	moved    chan struct{}         // depth 1: the own addresses changed

	mu      sync.Mutex // guards plates, seekers
	plates  []uint32
	seekers map[chan inviterFound]uint32 // who waits for which nameplate
}

func newMDNS(h *Host) *mdns {
	return &mdns{
		device: h.self, instance: fmt.Sprintf("shoal-%016x", h.run), enabled: h.cfg.MDNS,
		clock: h.cfg.Clock, log: h.log, addrs: h.ownAddrs, heard: h.sawNear,
		changed: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		seekers: make(map[chan inviterFound]uint32),
	}
}

// sawNear: a host was seen on the local network. Members are dialed at once.
func (h *Host) sawNear(n notice) {
	if n.service != mdnsMembers || n.device == h.self || !h.cfg.Gate(n.device) || h.links.of(n.device) != nil {
		return
	}
	h.book.learn(n.device, n.addrs)
	h.dials.change(func(p *dialPlan, now time.Time) { p.news(now, n.device) })
}

// show makes plates the nameplates that are announced.
func (m *mdns) show(plates map[uint32]bool) {
	m.mu.Lock()
	m.plates = m.plates[:0:0]
	for p := range plates {
		m.plates = append(m.plates, p)
	}
	slices.Sort(m.plates)
	m.mu.Unlock()
	poke(m.changed)
}

// readdress: the own addresses changed.
func (m *mdns) readdress() { poke(m.moved) }

func poke(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// search returns a channel on which inviters that show a nameplate are sent until ctx ends; one that finds it full is
// dropped, and heard again a second later.
func (m *mdns) search(ctx context.Context, plate uint32) <-chan inviterFound {
	found := make(chan inviterFound, maxInviters)
	m.mu.Lock()
	m.seekers[found] = plate
	m.mu.Unlock()
	poke(m.changed)
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		delete(m.seekers, found)
		m.mu.Unlock()
		poke(m.changed)
	})
	return found
}

// run answers and asks until ctx ends.
func (m *mdns) run(ctx context.Context) {
	if !m.enabled {
		return
	}
	for ctx.Err() == nil {
		sock, err := openMDNS()
		if err != nil {
			m.log.Info("no mDNS on this machine", "err", err)
		} else {
			m.session(ctx, sock)
			continue
		}
		wait := time.NewTimer(mdnsReopen)
		select {
		case <-ctx.Done():
		case <-m.moved:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// session serves one set of sockets until ctx ends or the own addresses change, which may mean other interfaces.
func (m *mdns) session(ctx context.Context, sock *mdnsSock) {
	packets := make(chan heardPacket, 16) // sent by the readers; what finds it full is dropped
	var readers sync.WaitGroup
	readers.Go(func() {
		near := &attached{clock: m.clock}
		sock.receive(near.networks, func(raw []byte) {
			p, err := decodePacket(raw)
			if err != nil || len(p.asked)+len(p.notices) == 0 {
				return
			}
			select {
			case packets <- p:
			default:
			}
		})
	})
	defer readers.Wait()
	defer sock.close()
	plan := newMDNSPlan(m.clock())
	timer := time.NewTimer(0)
	defer timer.Stop()
	poke(m.changed)
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.moved:
			return
		case <-m.changed:
			m.replan(plan)
		case p := <-packets:
			m.take(plan, p)
		case <-timer.C:
		}
		now := m.clock()
		for _, s := range plan.due(now) {
			if raw := m.packet(s); raw != nil {
				sock.send(raw)
			}
		}
		timer.Reset(max(plan.next().Sub(now), time.Millisecond))
	}
}

// replan looks at plates and seekers.
func (m *mdns) replan(plan *mdnsPlan) {
	m.mu.Lock()
	plates, seekers := len(m.plates), len(m.seekers)
	m.mu.Unlock()
	now := m.clock()
	plan.seek(now, seekers > 0)
	if plates > 0 {
		plan.announce(now, mdnsPairing)
	}
}

// take handles one packet.
func (m *mdns) take(plan *mdnsPlan, p heardPacket) {
	for _, service := range p.asked {
		plan.asked(m.clock(), service, rand.Float64())
	}
	for _, n := range p.notices {
		if n.device == m.device {
			continue
		}
		m.heard(n)
		if n.service == mdnsPairing {
			m.tellSeekers(n)
		}
	}
}

func (m *mdns) tellSeekers(n notice) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ch, plate := range m.seekers {
		if slices.Contains(n.plates, plate) {
			select {
			case ch <- inviterFound{device: n.device, addrs: n.addrs}:
			default:
			}
		}
	}
}

// packet encodes what is to be sent; nil if there is nothing to say.
func (m *mdns) packet(s mdnsSend) []byte {
	raw, err := []byte(nil), error(nil)
	if s.query {
		raw, err = encodeQuery(s.service)
	} else {
		n := notice{service: s.service, device: m.device, addrs: announced(m.addrs())}
		if s.service == mdnsPairing {
			m.mu.Lock()
			n.plates = slices.Clone(m.plates)
			m.mu.Unlock()
			if len(n.plates) == 0 {
				return nil
			}
		}
		if len(n.addrs) == 0 {
			return nil
		}
		raw, err = encodeNotice(n, m.instance)
	}
	if err != nil {
		m.log.Debug("mDNS", "err", err)
		return nil
	}
	return raw
}

// announced leaves out this machine's own addresses, which mean nothing to others, unless there are no others.
func announced(addrs []ma.Multiaddr) []ma.Multiaddr {
	out := slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool { return manet.IsIPLoopback(a) })
	if len(out) == 0 {
		return addrs
	}
	return out
}

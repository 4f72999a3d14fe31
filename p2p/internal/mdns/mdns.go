package mdns

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
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// reopenWait is how long to wait before the sockets are tried again after they could not be opened, or broke. A change of
// the own addresses ends the wait.
const reopenWait = time.Minute

// Config is what a Service is built from.
type Config struct {
	// Device is this device.
	Device shoal.DeviceID
	// Run is a random number of this run, so that caches of others do not mix up two runs.
	Run uint64
	// Addrs lists the addresses of this host now, best first.
	Addrs func() []ma.Multiaddr
	// Heard is told what other hosts say. It is called from the service's goroutine and must be quick.
	Heard func(Notice)
	// Clock gives the time.
	Clock func() time.Time
	// Log takes what happens.
	Log *slog.Logger
}

// Service answers and asks on the local network while it runs. Other responders of the machine may share the port. Safe
// for concurrent use.
type Service struct {
	cfg      Config        // set once
	instance string        // set once
	turn     chan struct{} // depth 1: holds a token while a Run is at work
	changed  chan struct{} // depth 1: plates or seekers changed
	moved    chan struct{} // depth 1: the own addresses changed

	mu      sync.Mutex // guards plates, seekers
	plates  []uint32
	seekers map[chan Notice]uint32 // who waits for which nameplate
}

// New builds a service; nothing happens before Run.
func New(c Config) *Service {
	return &Service{
		cfg: c, instance: fmt.Sprintf("shoal-%016x", c.Run),
		turn: make(chan struct{}, 1), changed: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		seekers: make(map[chan Notice]uint32),
	}
}

// Show makes plates the nameplates that are announced.
func (m *Service) Show(plates map[uint32]bool) {
	m.mu.Lock()
	m.plates = m.plates[:0:0]
	for p := range plates {
		m.plates = append(m.plates, p)
	}
	slices.Sort(m.plates)
	m.mu.Unlock()
	poke(m.changed)
}

// Readdress: the own addresses changed.
func (m *Service) Readdress() { poke(m.moved) }

// seekerDepth is how many inviters wait for a seeker that is busy.
const seekerDepth = 4

func poke(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Search returns a channel on which inviters that show a nameplate are sent until ctx ends; one that finds it full is
// dropped, and heard again a second later.
func (m *Service) Search(ctx context.Context, plate uint32) <-chan Notice {
	found := make(chan Notice, seekerDepth)
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

// Run answers and asks until ctx ends. While one Run is at work another waits for its turn.
func (m *Service) Run(ctx context.Context) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil {
		conn, err := openSock()
		if err != nil {
			m.cfg.Log.Info("no mDNS on this machine", "err", err)
		} else {
			m.session(ctx, conn)
			continue
		}
		wait := time.NewTimer(reopenWait)
		select {
		case <-ctx.Done():
		case <-m.moved:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// session serves one set of sockets until ctx ends or the own addresses change, which may mean other interfaces.
func (m *Service) session(ctx context.Context, conn *sock) {
	packets := make(chan heardPacket, 16) // sent by the readers; what finds it full is dropped
	var readers sync.WaitGroup
	readers.Go(func() {
		near := &address.Attached{Clock: m.cfg.Clock}
		conn.receive(near.Networks, func(raw []byte) {
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
	defer conn.close()
	todo := newPlan(m.cfg.Clock())
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
			m.replan(todo)
		case p := <-packets:
			m.take(todo, p)
		case <-timer.C:
		}
		now := m.cfg.Clock()
		for _, s := range todo.due(now) {
			if raw := m.packet(s); raw != nil {
				conn.send(raw)
			}
		}
		timer.Reset(max(todo.next().Sub(now), time.Millisecond))
	}
}

// replan looks at plates and seekers.
func (m *Service) replan(todo *plan) {
	m.mu.Lock()
	plates, seekers := len(m.plates), len(m.seekers)
	m.mu.Unlock()
	now := m.cfg.Clock()
	todo.seek(now, seekers > 0)
	if plates > 0 {
		todo.announce(now, Pairing)
	}
}

// take handles one packet.
func (m *Service) take(todo *plan, p heardPacket) {
	m.mu.Lock()
	silent := len(m.plates) == 0
	m.mu.Unlock()
	for _, service := range p.asked {
		if service == Pairing && silent {
			continue // and answer at once when there is something to say
		}
		todo.asked(m.cfg.Clock(), service, rand.Float64())
	}
	for _, n := range p.notices {
		if n.Device == m.cfg.Device {
			continue
		}
		m.cfg.Heard(n)
		if n.Service == Pairing {
			m.tellSeekers(n)
		}
	}
}

func (m *Service) tellSeekers(n Notice) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ch, plate := range m.seekers {
		if slices.Contains(n.Plates, plate) {
			select {
			case ch <- n:
			default:
			}
		}
	}
}

// packet encodes what is to be sent; nil if there is nothing to say.
func (m *Service) packet(s sending) []byte {
	raw, err := []byte(nil), error(nil)
	if s.query {
		raw, err = encodeQuery(s.service)
	} else {
		n := Notice{Service: s.service, Device: m.cfg.Device, Addrs: announced(m.cfg.Addrs())}
		if s.service == Pairing {
			m.mu.Lock()
			n.Plates = slices.Clone(m.plates)
			m.mu.Unlock()
			if len(n.Plates) == 0 {
				return nil
			}
		}
		if len(n.Addrs) == 0 {
			return nil
		}
		raw, err = encodeNotice(n, m.instance)
	}
	if err != nil {
		m.cfg.Log.Debug("mDNS", "err", err)
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

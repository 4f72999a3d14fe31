package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/redial"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// dialWait bounds a dial, all addresses and the TLS handshake included.
	dialWait = 10 * time.Second
	// drainWait is how long the streams of a circuit may go on after a direct connection has taken its place, and
	// drainRest how long it stays after the last has ended, for what is still on its way.
	drainWait = 5 * time.Minute
	drainRest = 2 * time.Second
	// maxDials bounds the devices that are dialed at once.
	maxDials = 16
)

// dialer is the dial plan behind a lock, with a bell for the loop that carries it out. Safe for concurrent use.
type dialer struct {
	clock func() time.Time
	bell  chan struct{} // depth 1; full means the loop is awake already

	mu     sync.Mutex // guards plan, active
	plan   *redial.Plan
	active int
}

func newDialer(clock func() time.Time) *dialer {
	return &dialer{clock: clock, bell: make(chan struct{}, 1), plan: redial.NewPlan()}
}

// change applies f to the plan and lets the loop look at it.
func (d *dialer) change(f func(p *redial.Plan, now time.Time)) {
	d.mu.Lock()
	f(d.plan, d.clock())
	d.mu.Unlock()
	select {
	case d.bell <- struct{}{}:
	default:
	}
}

// take returns the devices to dial now, and how long to sleep if nothing happens.
func (d *dialer) take() (due []shoal.DeviceID, pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	due = d.plan.Due(now, maxDials-d.active)
	d.active += len(due)
	pause = time.Hour
	if at, ok := d.plan.Next(); ok && d.active < maxDials {
		pause = max(at.Sub(now), time.Millisecond)
	}
	return due, pause
}

// done returns the place that a dial held, and notes its failure.
func (d *dialer) done(dev shoal.DeviceID, failed bool) {
	d.change(func(p *redial.Plan, now time.Time) {
		d.active--
		if failed {
			p.Failed(now, dev, rand.Float64())
		}
	})
}

// runDials carries the plan out until ctx ends, and waits for the links that it has made.
func (h *Host) runDials(ctx context.Context) {
	var dials sync.WaitGroup
	defer dials.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			// The links that the dials have become end with the host, and so do attempts to punch.
			h.stop()
			if h.punch != nil {
				_ = h.punch.Close() // shutdown closes it again, and has the error
			}
			return
		case <-timer.C:
		case <-h.dials.bell:
		}
		h.lookForWake()
		due, pause := h.dials.take()
		for _, dev := range due {
			dials.Go(func() { h.dialMember(dev) })
		}
		timer.Reset(pause)
	}
}

// dialMember dials dev, makes a link and serves it until it ends.
func (h *Host) dialMember(dev shoal.DeviceID) {
	l, err := h.connect(h.life, dev)
	h.dials.done(dev, err != nil)
	if err != nil {
		h.log.Debug("dial", "device", dev.String(), "err", err)
		return
	}
	h.serveLink(l)
}

// connect dials all known addresses of dev at once and makes a link over the connection that comes first. If there is a
// link over a relay, only direct addresses are dialed.
func (h *Host) connect(ctx context.Context, dev shoal.DeviceID) (*link, error) {
	if l := h.links.of(dev); l != nil {
		if !l.relayed() {
			return nil, errDuplicate
		}
		if _, err := h.dial(network.WithForceDirectDial(ctx, "there is a circuit"), dev); err != nil {
			if again := h.punchAgain(l); again != nil {
				return nil, errors.Join(err, again)
			}
		}
		return nil, errDuplicate // what comes of it is for adopt
	}
	conn, err := h.dial(ctx, dev)
	if err != nil {
		return nil, err
	}
	if conn.Stat().Direction == network.DirInbound {
		// The other side was faster; it is its turn to make the link. If it does not, the connection is idle and goes.
		return nil, errDuplicate
	}
	return h.linkOver(ctx, conn, dev)
}

// linkOver makes a link over a connection.
func (h *Host) linkOver(ctx context.Context, conn network.Conn, dev shoal.DeviceID) (*link, error) {
	done, ok := h.links.begin(conn)
	if !ok {
		return nil, errDuplicate
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, handshakeWait)
	defer cancel()
	raw, err := openStream(ctx, conn, linkProtocol)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("link with %s: %w", dev.Short(), err)
	}
	return h.makeLink(ctx, raw, dev, true)
}

// dial returns a connection with dev: the one that is there, or the first that its addresses give.
func (h *Host) dial(ctx context.Context, dev shoal.DeviceID) (network.Conn, error) {
	p := address.PeerID(dev)
	addrs := h.book.Addrs(dev)
	if r, ok := h.here.Find(dev); ok {
		addrs = append(addrs, r.Addrs...)
	}
	addrs = slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool {
		_, relay, ok := address.SplitCircuit(a)
		return ok && (relay == h.self || relay == dev)
	})
	store := h.net.Peerstore()
	store.ClearAddrs(p)
	store.AddAddrs(p, addrs, peerstore.TempAddrTTL)
	if s, ok := h.net.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p) // pauses are ours to decide: see redialPauses
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	conn, err := h.net.Network().DialPeer(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", dev.Short(), err)
	}
	return conn, nil
}

// acceptLink serves a link that the other side opens.
func (h *Host) acceptLink(raw network.Stream) {
	if !h.enter() {
		_ = raw.Reset()
		return
	}
	defer h.leave()
	dev, ok := address.FromPeer(raw.Conn().RemotePeer())
	ctx, cancel := context.WithTimeout(h.life, handshakeWait)
	defer cancel()
	select {
	case <-h.started:
	case <-ctx.Done():
		ok = false
	}
	if !ok {
		_ = raw.Reset()
		return
	}
	l, err := h.makeLink(ctx, raw, dev, false)
	if err != nil {
		h.log.Debug("refuse link", "device", dev.String(), "err", err)
		return
	}
	h.serveLink(l)
}

// makeLink does the handshake on raw. The device with the lower ID decides. On an error the connection is closed,
// unless another link runs on it.
func (h *Host) makeLink(ctx context.Context, raw network.Stream, dev shoal.DeviceID, outbound bool) (*link, error) {
	l := newLink(h.life, &stream{Stream: raw, count: &h.count}, dev, outbound)
	if !h.links.add(l) {
		_ = raw.Reset()
		return nil, errDuplicate
	}
	deadline, _ := ctx.Deadline()
	_ = l.stream.SetDeadline(deadline) // an error shows at the next Read
	stop := context.AfterFunc(ctx, func() { _ = raw.Reset() })
	err := h.agree(ctx, l)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		h.closeLink(l)
		return nil, fmt.Errorf("link with %s: %w", dev.Short(), err)
	}
	_ = l.stream.SetDeadline(time.Time{})
	return l, nil
}

// agree exchanges hellos and verdict, and raises the link.
func (h *Host) agree(ctx context.Context, l *link) error {
	if err := l.greet(h.run); err != nil {
		return err
	}
	admitted := h.cfg.Gate(l.dev)
	decides := h.self.Compare(l.dev) < 0
	if !admitted {
		if decides {
			l.farewell(wire.Answer_ANSWER_NOT_ADMITTED)
		}
		return errNotAdmitted
	}
	if decides {
		if !h.links.claim(ctx, l) {
			l.farewell(wire.Answer_ANSWER_DUPLICATE)
			return errDuplicate
		}
		if err := l.tellVerdict(wire.Answer_ANSWER_YES); err != nil {
			return err
		}
	} else if err := l.hearVerdict(); err != nil {
		return err
	}
	if !h.links.raise(l, decides, h.cfg.Clock()) {
		return errDuplicate
	}
	return nil
}

// serveLink runs a link that is up until it ends, and closes its connection.
func (h *Host) serveLink(l *link) {
	if l.conn.Stat().Direction == network.DirOutbound {
		h.book.Learn(l.dev, []ma.Multiaddr{l.conn.RemoteMultiaddr()})
	}
	if h.expelled(l.dev) { // while the link was being made, so that SetMembers did not see it
		h.closeLink(l)
		return
	}
	if l.relayed() {
		h.adoptAll(l)
	}
	l.tell(h.tellable(l.dev)...)
	l.tellEntry(h.ownEntry())
	var writer sync.WaitGroup
	writer.Go(func() { l.drain(drainWait, drainRest) })
	writer.Go(func() {
		if err := l.write(h.cfg.Heartbeat, h.lookForWake); err != nil {
			h.log.Debug("link ends", "device", l.dev.String(), "err", err)
		}
		_ = l.conn.Close() // ends the reader
	})
	err := l.read(func(r *address.Record) { h.hear(l, r) }, func(e *wire.Entry) { h.hearEntry(l.dev, e) })
	h.log.Debug("link ends", "device", l.dev.String(), "err", err)
	h.closeLink(l)
	writer.Wait()
}

// closeLink ends l and its connection, and with it every stream on it.
func (h *Host) closeLink(l *link) {
	h.links.remove(l)
	_ = l.conn.Close() // closing has no error that anybody could act on
}

// drain closes the link's connection some time after it has retired: when its streams have ended, or after wait.
func (l *link) drain(wait, rest time.Duration) {
	select {
	case <-l.gone:
		return
	case <-l.retired:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.gone:
		return
	case <-l.streams.none():
		timer.Reset(rest)
		select {
		case <-l.gone:
			return
		case <-timer.C:
		}
	case <-timer.C:
	}
	_ = l.conn.Close() // ends the reader, and that the link
}

// linkUp and linkDown run under the link table's lock: they must not block.
func (h *Host) linkUp(l *link) {
	h.log.Info("device is up", "device", l.dev.String(), "address", l.conn.RemoteMultiaddr().String())
	h.dials.change(func(p *redial.Plan, now time.Time) {
		if l.relayed() {
			p.Detour(now, l.dev, rand.Float64())
		} else {
			p.Up(l.dev)
		}
	})
	h.places.ring()
	h.RendezvousChanged()
	h.events.push(Event{Device: l.dev, Up: true})
}

func (h *Host) linkDown(l *link) {
	h.log.Info("device is down", "device", l.dev.String())
	h.dials.change(func(p *redial.Plan, now time.Time) { p.Down(now, l.dev, rand.Float64()) })
	h.places.ring()
	h.RendezvousChanged()
	h.events.push(Event{Device: l.dev, Up: false})
}

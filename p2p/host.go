package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
	"github.com/shoalmesh/shoal/p2p/internal/neighbours"
	"github.com/shoalmesh/shoal/p2p/internal/rendezvous"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Host is the network end of one device. Make it with New, add handlers, then Run it. All methods are safe for
// concurrent use.
type Host struct {
	// set once by New
	cfg    Config
	self   shoal.DeviceID
	log    *slog.Logger
	net    host.Host
	gate   *gater
	run    uint64 // random number of this run, shown in hellos
	book   *address.Book
	links  *linkTable
	events *eventQueue
	dials  *dialer
	places *reservations
	here   *neighbours.Board
	pairs  *invite.Desk
	idle   *idleConns
	wake   wakeWatch
	mdns   *mdns.Service
	relay  *relay.Relay        // nil: this host is none
	punch  *holepunch.Service  // nil: this host has no port for it
	meet   *rendezvous.Service // set by SetRendezvous; nil: the hash table is off
	count  traffic

	started chan struct{}      // closed when Run begins
	life    context.Context    // ends when Close begins; parent of all that handlers do
	stop    context.CancelFunc // ends life

	mu      sync.Mutex      // guards running, closed, own, entry, admit, and work's first Add
	running bool            // Run was called
	closed  bool            // Close has begun: nothing new may start
	own     *address.Record // this device's own address record
	entry   *wire.Entry     // where this host's second host can be entered; nil: nowhere
	admit   Admitter
	work    sync.WaitGroup // Run, and everything that came in from outside

	closeOnce func() error
}

// New builds a host and binds its ports, so that Addrs is known and a port that is taken shows as an error. It lets
// nobody in before Run. The caller must Close it.
func New(c Config) (*Host, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	quietLibraries(c.Log)
	h := &Host{cfg: c, self: c.Identity.Device(), log: c.Log, started: make(chan struct{})}
	h.life, h.stop = context.WithCancel(context.Background())
	h.closeOnce = sync.OnceValue(h.shutdown)
	var err error
	if h.run, err = invite.RandomNumber(c.Rand); err != nil {
		h.stop()
		return nil, err
	}
	h.book = address.NewBook(h.self)
	h.events = newEventQueue()
	h.dials = newDialer(c.Clock)
	h.places = newReservations()
	h.links = newLinkTable(h.linkUp, h.linkDown)
	h.here = neighbours.New(c.RuntimeDirs)
	h.pairs = invite.NewDesk(c.Clock, c.Rand)
	h.gate = &gater{admits: c.Gate, inviting: h.pairs.Open, joining: make(map[shoal.DeviceID]int)}
	h.idle = newIdleConns()
	h.mdns = mdns.New(mdns.Config{Device: h.self, Run: h.run, Addrs: h.directAddrs, Heard: h.sawNear, Clock: c.Clock, Log: c.Log})
	if h.net, err = newLibp2p(c, h.gate); err != nil {
		h.stop()
		return nil, err
	}
	// libp2p would tell every guest our protocols and addresses, and take in theirs.
	h.net.RemoveStreamHandler(identify.ID)
	h.net.RemoveStreamHandler(identify.IDPush)
	h.net.Network().Notify(h.idle.notifiee(h))
	h.net.SetStreamHandler(linkProtocol, h.acceptLink)
	h.net.SetStreamHandler(pairProtocol, h.acceptPair)
	h.net.SetStreamHandler(seenProtocol, h.acceptSeen)
	if c.Relay {
		h.relay, err = newRelay(h.net, c, &h.count.relayed)
	}
	h.net.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { h.adopt(c) }})
	if err == nil {
		err = h.startPunching()
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// newLibp2p builds the libp2p host: TCP and QUIC, TLS only, our limits, ranker and gater, and nothing that talks to
// anybody unasked but, if it may, to the router. Identify and AutoNAT stay off: identify would tell guests about us, and
// AutoNAT v2 dials back with keys that the gate refuses.
func newLibp2p(c Config, gate *gater) (host.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(c.Identity.PrivateKey())
	if err != nil {
		return nil, fmt.Errorf("use device key: %w", err)
	}
	resources, err := newResources(c.Limits)
	if err != nil {
		return nil, fmt.Errorf("set network limits: %w", err)
	}
	near := &address.Attached{Clock: c.Clock}
	ports := func(*libp2p.Config) error { return nil }
	if c.mapsPorts() {
		ports = libp2p.NATPortMap()
	}
	h, err := libp2p.New(
		ports,
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(c.Listen...),
		// Without port reuse two devices that dial each other at once get two connections, of which one is dropped,
		// and not one TCP connection on which both believe to be the TLS client.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(), tcp.WithConnectionTimeout(dialWait)),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(libp2ptls.ID, newSecureTransport),
		libp2p.Muxer(yamux.ID, muxer()),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(&connmgr.NullConnMgr{}), // links are few and wanted; none is trimmed
		libp2p.ConnectionGater(gate),
		libp2p.SwarmOpts(
			swarm.WithDialRanker(func(addrs []ma.Multiaddr) []network.AddrDelay { return address.Rank(addrs, near.Networks()) }),
			swarm.WithUDPBlackHoleSuccessCounter(nil), swarm.WithIPv6BlackHoleSuccessCounter(nil),
			swarm.WithDialTimeout(dialWait), swarm.WithDialTimeoutLocal(dialWait)),
		libp2p.UserAgent("shoal"),
		libp2p.EnableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.DisableIdentifyAddressDiscovery(),
	)
	if err != nil {
		resources.Close()
		return nil, fmt.Errorf("start network on %v: %w", c.Listen, err)
	}
	return h, nil
}

// Device is this device.
func (h *Host) Device() shoal.DeviceID { return h.self }

// Addrs lists the addresses at which this host can be reached now, with /p2p/, nearest last.
func (h *Host) Addrs() []string {
	var out []string
	for _, a := range h.ownAddrs() {
		out = append(out, address.Full(a, h.self))
	}
	return out
}

// ownAddrs lists what others may dial: local networks first, then the internet, relays, and this machine alone last.
func (h *Host) ownAddrs() []ma.Multiaddr {
	circuits := h.places.addrs()
	addrs := append(address.Unique(h.directAddrs(), address.MaxAddrs-len(circuits)), circuits...)
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return address.Order(a) - address.Order(b) })
	return addrs
}

// directAddrs is ownAddrs without relays.
func (h *Host) directAddrs() []ma.Multiaddr {
	addrs := slices.DeleteFunc(h.net.Addrs(), func(a ma.Multiaddr) bool {
		return address.IsRelayed(a) || address.IsLinkLocal(a) || address.Check(a, false) != nil
	})
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return address.Order(a) - address.Order(b) })
	return addrs
}

// Run connects, answers and announces until ctx ends or Close is called, then closes the host. It may be called once.
func (h *Host) Run(ctx context.Context) error {
	h.mu.Lock()
	if h.closed || h.running {
		h.mu.Unlock()
		return ErrClosed
	}
	h.running = true
	h.work.Add(1)
	h.mu.Unlock()
	err := h.runServices(ctx)
	h.work.Done()
	return errors.Join(err, h.Close())
}

// runServices runs every long-lived part until the host's life or ctx ends.
func (h *Host) runServices(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	var services sync.WaitGroup
	defer services.Wait()
	defer cancel()
	services.Go(func() { h.events.run(ctx) })
	if err := h.announce(); err != nil {
		return err
	}
	close(h.started)
	services.Go(func() { h.watchOwnAddrs(ctx) })
	services.Go(func() { h.here.Run(ctx, h.log) })
	services.Go(func() { h.runPlates(ctx) })
	services.Go(func() { h.runReservations(ctx) })
	if h.cfg.MDNS {
		services.Go(func() { h.mdns.Run(ctx) })
	}
	if h.meet != nil {
		services.Go(func() { h.meet.Run(ctx) })
	}
	h.runDials(ctx)
	return nil
}

// handlerWait is how long Close waits for handlers to return after their streams and contexts have ended.
const handlerWait = 10 * time.Second

// Close ends all links and waits for everything the host has started. Calling it again returns the same result. It must
// not be called from a handler or admitter.
func (h *Host) Close() error { return h.closeOnce() }

func (h *Host) shutdown() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.stop()
	h.idle.stop()
	for _, l := range h.links.all() {
		h.links.remove(l)
	}
	var err error
	if h.relay != nil {
		err = h.relay.Close()
	}
	if h.punch != nil {
		err = errors.Join(err, h.punch.Close())
	}
	err = errors.Join(err, h.net.Close())
	done := make(chan struct{})
	go func() { // ends with the handlers; the only thing that can keep it is a handler that ignores its context
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(handlerWait):
		err = errors.Join(err, errors.New("close network: a stream handler does not return"))
	}
	h.here.Clear() // last: nothing publishes any more
	return err
}

// enter registers work that came in from outside; false if the host is closing. Call leave when it returned true.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.work.Add(1)
	return true
}

func (h *Host) leave() { h.work.Done() }

// Traffic returns the bytes that streams have received and sent since New, control streams included. It only grows.
func (h *Host) Traffic() (in, out int64) { return h.count.in.Load(), h.count.out.Load() }

// Relayed returns the bytes that this host, as a relay, has copied between others since New. It only grows.
func (h *Host) Relayed() int64 { return h.count.relayed.Load() }

// Events returns the one channel of Up and Down events. It has one reader; when that is slow, events of one device that
// cancel each other out are dropped, and what is left still alternates. A handler may run, and Open succeed, before the
// Up of that device was read. The channel is closed when Run ends.
func (h *Host) Events() <-chan Event { return h.events.out }

// Peers lists the devices that are connected now, sorted by device.
func (h *Host) Peers() []Peer {
	var out []Peer
	for _, l := range h.links.all() {
		a := l.conn.RemoteMultiaddr()
		out = append(out, Peer{Device: l.dev, Address: a.String(), Transport: transportOf(a), Since: l.since})
	}
	return out
}

// Handle sets what happens with streams of a protocol ("/shoal/<name>/<version>") that others open. Call it before Run.
// fn runs in a goroutine of its own for each stream, only while the other side is up; its context ends with the link and
// with the host. When fn returns, the stream is reset unless fn has closed it.
func (h *Host) Handle(proto string, fn func(ctx context.Context, from shoal.DeviceID, s Stream)) {
	h.net.SetStreamHandler(protocol.ID(proto), func(raw network.Stream) { h.serveStream(raw, fn) })
}

func (h *Host) serveStream(raw network.Stream, fn func(context.Context, shoal.DeviceID, Stream)) {
	if !h.enter() {
		_ = raw.Reset()
		return
	}
	defer h.leave()
	s := &stream{Stream: raw, count: &h.count, heard: func() {}}
	defer s.finish()
	l := h.links.on(raw.Conn())
	if l == nil {
		return
	}
	s.heard, s.over = l.heard, l.streams.done
	l.streams.add()
	// The other side may have seen its yes before this side has.
	wait, cancel := context.WithTimeout(l.live, handshakeWait)
	defer cancel()
	if !h.links.settled(wait, l) {
		return
	}
	fn(l.live, l.dev, s)
}

// Open opens a stream to a device that is up. Errors: ErrNotConnected, or why the stream could not be opened (the
// other side does not speak the protocol, ctx has ended, limits). ctx bounds the opening only. It takes one round trip:
// keep streams and send many messages on each. When a direct connection takes the place of a circuit, streams that are
// open stay where they are for a while; see Event.
func (h *Host) Open(ctx context.Context, dev shoal.DeviceID, proto string) (Stream, error) {
	l := h.links.of(dev)
	if l == nil {
		return nil, fmt.Errorf("open %s to %s: %w", proto, dev.Short(), ErrNotConnected)
	}
	raw, err := openStream(ctx, l.conn, protocol.ID(proto))
	if err != nil {
		return nil, fmt.Errorf("open %s to %s: %w", proto, dev.Short(), err)
	}
	l.streams.add()
	return &stream{Stream: raw, count: &h.count, heard: l.heard, over: l.streams.done}, nil
}

// Disconnect ends the link and every other connection with dev. If dev is still a member it is dialed again after a
// pause, and if the gate still admits it, it may come back by itself.
func (h *Host) Disconnect(dev shoal.DeviceID) {
	if l := h.links.of(dev); l != nil {
		h.links.remove(l)
	}
	_ = h.net.Network().ClosePeer(address.PeerID(dev)) // closing has no error that anybody could act on
}

package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	msmux "github.com/multiformats/go-multistream"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// seenProtocol asks a member from which address this device's packets come.
	seenProtocol = "/shoal/seen/1"
	// maxSeenFrame bounds the answer: one binary multiaddr.
	maxSeenFrame = 300
	// seenWait bounds asking all relays.
	seenWait = 3 * time.Second
	// punchWait bounds one attempt, of at most three (DCUtR specification, "The protocol").
	punchWait = 5 * time.Second
	// maxCandidates bounds the addresses that one side of a punch is to try.
	maxCandidates = 12
)

// startPunching lets circuits become direct connections (DCUtR). Only over QUIC: its packets all leave from the port on
// which this host listens, so a router keeps one hole for them, while TCP would need the reuse of ports that newLibp2p
// turns off.
func (h *Host) startPunching() error {
	ids, ok := h.net.(interface{ IDService() identify.IDService })
	if !ok || !slices.ContainsFunc(h.net.Network().ListenAddresses(), isQUIC) {
		return nil // this host has no port to punch from
	}
	var err error
	h.punch, err = holepunch.NewService(h.net, ids.IDService(), h.candidates, holepunch.DirectDialTimeout(punchWait), holepunch.WithAddrFilter(punchFilter{}))
	if err != nil {
		return fmt.Errorf("start hole punching: %w", err)
	}
	return nil
}

func isQUIC(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_QUIC_V1)
	return err == nil
}

// punchFilter lets only through what is dialed: the other side chooses where packets are sent.
type punchFilter struct{}

var _ holepunch.AddrFilter = punchFilter{}

// FilterLocal implements holepunch.AddrFilter.
func (punchFilter) FilterLocal(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	return punchable(addrs)
}

// FilterRemote implements holepunch.AddrFilter.
func (punchFilter) FilterRemote(_ peer.ID, addrs []ma.Multiaddr) []ma.Multiaddr {
	return punchable(addrs)
}

func punchable(addrs []ma.Multiaddr) []ma.Multiaddr {
	good := slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return !isQUIC(a) || address.IsRelayed(a) || address.IsLinkLocal(a) || address.Check(a, false) != nil
	})
	return address.Unique(good, maxCandidates)
}

// candidates lists where packets of the other side may get through: what the relays see of this device first, then its
// own addresses. It takes a round trip, and is asked when a punch begins: what a router keeps open changes.
func (h *Host) candidates() []ma.Multiaddr {
	ctx, cancel := context.WithTimeout(h.life, seenWait)
	defer cancel()
	out := append(h.seenByRelays(ctx), punchable(h.directAddrs())...)
	if len(out) == 0 {
		// The service would look again and again for the first one; the filter drops this.
		return h.net.Network().ListenAddresses()
	}
	return address.Unique(out, maxCandidates)
}

// seenByRelays asks every relay that is linked from which address this device's QUIC packets come to it.
func (h *Host) seenByRelays(ctx context.Context) []ma.Multiaddr {
	var (
		asks sync.WaitGroup
		mu   sync.Mutex
		out  []ma.Multiaddr // guarded by mu
	)
	for _, l := range h.places.links() {
		asks.Go(func() {
			a, err := h.seenBy(ctx, l)
			if err != nil {
				h.log.Debug("ask for own address", "device", l.dev.String(), "err", err)
				return
			}
			mu.Lock()
			out = append(out, a)
			mu.Unlock()
		})
	}
	asks.Wait()
	return punchable(out)
}

// seenBy asks the other side of l. If l is no QUIC connection it asks over one that is made for that.
func (h *Host) seenBy(ctx context.Context, l *link) (ma.Multiaddr, error) {
	if isQUIC(l.conn.RemoteMultiaddr()) {
		s, err := openStream(ctx, l.conn, seenProtocol)
		if err != nil {
			return nil, err
		}
		defer s.Reset()
		return readSeen(ctx, s)
	}
	err := fmt.Errorf("address of %s: %w", l.dev.Short(), ErrUnreachable)
	for _, a := range h.book.Addrs(l.dev) {
		if !isQUIC(a) || address.IsRelayed(a) {
			continue
		}
		var seen ma.Multiaddr
		if seen, err = h.seenAt(ctx, a, l.dev); err == nil {
			return seen, nil
		}
	}
	return nil, err
}

// seenAt makes a connection to a beside that of the link, which the network does not count among its own, and asks over it.
func (h *Host) seenAt(ctx context.Context, a ma.Multiaddr, dev shoal.DeviceID) (ma.Multiaddr, error) {
	s, ok := h.net.Network().(*swarm.Swarm)
	if !ok {
		return nil, ErrUnreachable
	}
	var t transport.Transport
	if t = s.TransportForDialing(a); t == nil {
		return nil, fmt.Errorf("dial %s: %w", a, ErrUnreachable)
	}
	conn, err := t.Dial(ctx, a, address.PeerID(dev))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	defer conn.Close()
	raw, err := conn.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", a, err)
	}
	defer raw.Reset()
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline) // an error shows at the next Read
	if err := msmux.SelectProtoOrFail(protocol.ID(seenProtocol), raw); err != nil {
		return nil, fmt.Errorf("ask %s: %w", a, err)
	}
	return readSeen(ctx, raw)
}

// deadlined is a stream of any kind.
type deadlined interface {
	Read([]byte) (int, error)
	SetReadDeadline(time.Time) error
}

func readSeen(ctx context.Context, s deadlined) (ma.Multiaddr, error) {
	deadline, _ := ctx.Deadline()
	_ = s.SetReadDeadline(deadline) // an error shows at the Read
	raw, err := ReadFrame(s, maxSeenFrame)
	if err != nil {
		return nil, fmt.Errorf("own address: %w", err)
	}
	return address.Decode(raw)
}

// acceptSeen tells a member from where its connection comes.
func (h *Host) acceptSeen(raw network.Stream) {
	if !h.enter() {
		_ = raw.Reset()
		return
	}
	defer h.leave()
	dev, ok := address.FromPeer(raw.Conn().RemotePeer())
	if !ok || !h.cfg.Gate(dev) {
		_ = raw.Reset()
		return
	}
	_ = raw.SetDeadline(time.Now().Add(seenWait)) // an error shows at the Write
	if WriteFrame(raw, raw.Conn().RemoteMultiaddr().Bytes()) != nil {
		_ = raw.Reset()
		return
	}
	_ = raw.Close()
}

// errNoPunch: there is nothing to punch with, or it is the other side's turn.
var errNoPunch = errors.New("no hole is punched from here")

// punchAgain tries once more to make a direct connection out of a circuit. The service does it only when the circuit comes
// up, and what the routers allow changes: devices stay connected for weeks. Also, two devices that dial each other at the
// same time have two circuits for a moment, and then the service's first word often goes over the one of which the other
// side takes none: that attempt ends without a packet. The side that was dialed over the circuit that stayed begins: from
// the other one the service hears nothing (it resets such a stream), and so the two do not punch at once.
func (h *Host) punchAgain(l *link) error {
	if h.punch == nil || l.conn.Stat().Direction != network.DirInbound {
		return errNoPunch
	}
	return h.punch.DirectConnect(address.PeerID(l.dev))
}

// adopt makes a link over a direct connection that has come up while there is a circuit, whoever dialed. The device with
// the lower ID does it: of a connection that was punched both sides believe to have dialed it.
func (h *Host) adopt(conn network.Conn) {
	dev, ok := address.FromPeer(conn.RemotePeer())
	if !ok || h.self.Compare(dev) > 0 || address.IsRelayed(conn.RemoteMultiaddr()) {
		return
	}
	if l := h.links.of(dev); l == nil || !l.relayed() || !h.enter() {
		return
	}
	go func() { // Close waits for it: enter
		defer h.leave()
		l, err := h.linkOver(h.life, conn, dev)
		if err != nil {
			h.log.Debug("link over a direct connection", "device", dev.String(), "err", err)
			return
		}
		h.serveLink(l)
	}()
}

// adoptAll is adopt for the connections that were there before the circuit of l came up.
func (h *Host) adoptAll(l *link) {
	for _, c := range h.net.Network().ConnsToPeer(address.PeerID(l.dev)) {
		h.adopt(c)
	}
}

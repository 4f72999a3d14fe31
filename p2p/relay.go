package p2p

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	relaypb "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// relayTTL is how long a reservation holds. It ends with the connection anyway, so it may be long; and a relay whose
	// clock is behind by less than this still gives reservations that count.
	relayTTL = 24 * time.Hour
	// relayCircuits bounds the circuits of one device: one with each of many members, and some that are being made.
	relayCircuits = 64
	// relayBuffer is what is copied at once, per circuit and direction. BenchmarkRelay on loopback and two
	// shared cores: 2 KiB (libp2p's default) 164 MB/s, 16 KiB 314, 64 KiB 317, 256 KiB 312.
	relayBuffer = 64 << 10
)

// relayDoor lets members, and nobody else, use this host as a relay. A relay moves bytes of TLS sessions between two
// devices that prove their keys to each other; it can read and alter none of them.
type relayDoor struct {
	admits  func(shoal.DeviceID) bool
	between func(a, b shoal.DeviceID) bool
}

var _ relay.ACLFilter = relayDoor{}

// AllowReserve implements relay.ACLFilter.
func (d relayDoor) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	dev, ok := address.FromPeer(p)
	return ok && d.admits(dev) && d.between(dev, dev)
}

// AllowConnect implements relay.ACLFilter.
func (d relayDoor) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	a, okA := address.FromPeer(src)
	b, okB := address.FromPeer(dest)
	return okA && okB && d.admits(a) && d.admits(b) && d.between(a, b)
}

// relayMeter counts what a relay copies.
type relayMeter struct{ copied *atomic.Int64 }

var _ relay.MetricsTracer = relayMeter{}

// BytesTransferred implements relay.MetricsTracer.
func (m relayMeter) BytesTransferred(n int) { m.copied.Add(int64(n)) }

// The others implement relay.MetricsTracer, too; nobody asks for what they tell.
func (relayMeter) RelayStatus(bool)                         {}
func (relayMeter) ConnectionOpened()                        {}
func (relayMeter) ConnectionClosed(time.Duration)           {}
func (relayMeter) ConnectionRequestHandled(relaypb.Status)  {}
func (relayMeter) ReservationAllowed(bool)                  {}
func (relayMeter) ReservationClosed(int)                    {}
func (relayMeter) ReservationRequestHandled(relaypb.Status) {}

// newRelay makes net a relay for members, without limits of time and bytes for a circuit: they are the owner's own.
func newRelay(net host.Host, c Config, copied *atomic.Int64) (*relay.Relay, error) {
	between := c.RelayBetween
	if between == nil {
		between = func(shoal.DeviceID, shoal.DeviceID) bool { return true }
	}
	r, err := relay.New(net,
		relay.WithACL(relayDoor{admits: c.Gate, between: between}),
		relay.WithResources(relay.Resources{
			Limit:           nil,
			ReservationTTL:  relayTTL,
			MaxReservations: c.Limits.Peers,
			MaxCircuits:     relayCircuits, BufferSize: relayBuffer,
			// A household, or an office, is one address.
			MaxReservationsPerIP: c.Limits.Peers, MaxReservationsPerASN: c.Limits.Peers,
		}),
		relay.WithMetricsTracer(relayMeter{copied}),
		// libp2p names only public addresses; a relay in a private network serves that network.
		relay.WithReservationAddressFilter(func(a ma.Multiaddr) bool {
			return !address.IsLinkLocal(a) && address.Check(a, false) == nil
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("start relay: %w", err)
	}
	return r, nil
}

// carriesCircuits tells whether conn is in use between a relay and one of its devices.
func carriesCircuits(conn network.Conn) bool {
	for _, s := range conn.GetStreams() {
		if p := s.Protocol(); p == proto.ProtoIDv2Hop || p == proto.ProtoIDv2Stop {
			return true
		}
	}
	return false
}

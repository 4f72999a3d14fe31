package p2p

import (
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits bound what others can make this host spend. Zero fields take the default.
type Limits struct {
	// Peers is the number of devices that may be connected at once. Default 256.
	Peers int
	// StreamsPerPeer is the number of streams in each direction with one device. Default 512.
	StreamsPerPeer int
	// PendingConns is the number of connections whose other end has not shown its key yet; one address may hold an
	// eighth of them, this machine all. Default 256.
	PendingConns int
	// Memory is the number of bytes that the buffers of all connections may take; a quarter may belong to one device.
	// Default 512 MiB.
	Memory int64
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Peers, 256)
	set(&l.StreamsPerPeer, 512)
	set(&l.PendingConns, 256)
	if l.Memory == 0 {
		l.Memory = 512 << 20
	}
	return l
}

// Validate refuses limits under which nothing could work.
func (l Limits) Validate() error {
	l = l.withDefaults()
	if l.Peers < 1 || l.StreamsPerPeer < 8 || l.PendingConns < 8 || l.Memory < 16<<20 {
		return fmt.Errorf("limits %+v are too small: %w", l, ErrMalformed)
	}
	return nil
}

const (
	// connsPerPeer: one link, one more while both dial at once, one while a dead one is not yet noticed, one to spare.
	connsPerPeer = 4
	// guestStreams bounds the pairing and link streams of one peer, which need no more than one or two.
	guestStreams = 4
	// strangerConnsPerSecond is how fast one address other than this machine may open connections. Members behind one
	// address (a household) come back together after an outage, hence the burst.
	strangerConnsPerSecond = 4
	strangerConnsBurst     = 128
)

// newResources builds libp2p's resource manager from l. Its own defaults do not fit: 8 connections per address and one
// new one in five seconds would lock out a household behind one address.
func newResources(l Limits) (network.ResourceManager, error) {
	conns := l.Peers*connsPerPeer + l.PendingConns
	streams := l.Peers * l.StreamsPerPeer
	few := rcmgr.ResourceLimits{
		Streams: guestStreams * 2, StreamsInbound: guestStreams, StreamsOutbound: guestStreams,
		Memory: 4 << 20,
	}
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(conns), ConnsInbound: rcmgr.LimitVal(conns), ConnsOutbound: rcmgr.LimitVal(conns),
			FD: rcmgr.LimitVal(conns), Memory: rcmgr.LimitVal64(l.Memory),
			Streams: rcmgr.LimitVal(2 * streams), StreamsInbound: rcmgr.LimitVal(streams), StreamsOutbound: rcmgr.LimitVal(streams),
		},
		Transient: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(2 * l.PendingConns), ConnsInbound: rcmgr.LimitVal(l.PendingConns), ConnsOutbound: rcmgr.LimitVal(l.PendingConns),
			FD: rcmgr.LimitVal(2 * l.PendingConns), Memory: rcmgr.LimitVal64(l.Memory / 4),
			Streams: rcmgr.LimitVal(2 * l.StreamsPerPeer), StreamsInbound: rcmgr.LimitVal(l.StreamsPerPeer), StreamsOutbound: rcmgr.LimitVal(l.StreamsPerPeer),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 2 * connsPerPeer, ConnsInbound: connsPerPeer, ConnsOutbound: connsPerPeer, FD: 2 * connsPerPeer,
			Streams: rcmgr.LimitVal(2 * l.StreamsPerPeer), StreamsInbound: rcmgr.LimitVal(l.StreamsPerPeer), StreamsOutbound: rcmgr.LimitVal(l.StreamsPerPeer),
			Memory: rcmgr.LimitVal64(l.Memory / 4),
		},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{pairProtocol: few, linkProtocol: few, recoverProtocol: few},
	}
	perAddress := max(8, l.PendingConns/8)
	here4, here6 := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")
	pace := rate.Limit{RPS: strangerConnsPerSecond, Burst: strangerConnsBurst}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(partial.Build(rcmgr.InfiniteLimits)),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 128, ConnCount: perAddress}, {PrefixLength: 64, ConnCount: 4 * perAddress}}),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: here4, ConnCount: conns}},
			[]rcmgr.NetworkPrefixLimit{{Network: here6, ConnCount: conns}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{{Prefix: here4}, {Prefix: here6}},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: pace}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: pace}},
			},
		}))
}

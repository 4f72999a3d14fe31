package rendezvous

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// stranger is the gate of a second host. Everybody may come; but strangers name addresses, and must not send this host
// into its owner's own network: private addresses are dialed only in networks in which an entry is.
type stranger struct{ entries func() []peer.AddrInfo }

var _ connmgr.ConnectionGater = (*stranger)(nil)

// InterceptPeerDial has nothing to add.
func (*stranger) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *stranger) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool {
	n, private := near(a)
	if !private {
		return true
	}
	for _, e := range g.entries() {
		for _, known := range e.Addrs {
			if k, ok := near(known); ok && k == n {
				return true
			}
		}
	}
	return false
}

// InterceptAccept has nothing to add.
func (*stranger) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured has nothing to add.
func (*stranger) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// InterceptUpgraded has nothing to add.
func (*stranger) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

func netIP(a ma.Multiaddr) (netip.Addr, error) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address %s: %w", a, ErrMalformed)
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap(), nil
}

const (
	// requestsPerMinute bounds what one stranger may ask for.
	requestsPerMinute = 300
	// maxPaced bounds the strangers that are counted; when there are more, counting begins anew.
	maxPaced = 4096
)

// pace counts requests. Safe for concurrent use.
type pace struct {
	mu    sync.Mutex // guards all below
	since time.Time
	asked map[peer.ID]int
}

func newPace() *pace { return &pace{asked: make(map[peer.ID]int)} }

// allow counts one request and says whether it is one too many.
func (p *pace) allow(from peer.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.since) >= time.Minute || len(p.asked) >= maxPaced {
		p.since = now
		clear(p.asked)
	}
	p.asked[from]++
	return p.asked[from] <= requestsPerMinute
}

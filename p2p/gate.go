package p2p

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// gater refuses connections as early as libp2p can: as soon as the other side has proved its key. It is the first of
// two doors; the second is the check of every stream, because a guest's connection passes this one.
type gater struct {
	admits   func(shoal.DeviceID) bool // the owner's gate
	inviting func() bool               // an invite is open, so strangers may come as guests

	recovering atomic.Bool // strangers may come to prove that they hold the root

	mu      sync.Mutex             // guards joining
	joining map[shoal.DeviceID]int // devices that this host is joining through now
}

var _ connmgr.ConnectionGater = (*gater)(nil)

// join lets this host dial dev until the returned function is called.
func (g *gater) join(dev shoal.DeviceID) (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joining[dev]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.joining[dev]--; g.joining[dev] == 0 {
			delete(g.joining, dev)
		}
	})
}

func (g *gater) joins(dev shoal.DeviceID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joining[dev] > 0
}

// InterceptPeerDial lets members, and inviters that are being joined, be dialed.
func (g *gater) InterceptPeerDial(p peer.ID) bool {
	dev, ok := address.FromPeer(p)
	return ok && (g.admits(dev) || g.joins(dev))
}

// InterceptAddrDial has nothing to add.
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept refuses circuits that do not come through a member. What comes directly is counted per address by the
// resource manager.
func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	if !address.IsRelayed(c.RemoteMultiaddr()) {
		return true
	}
	_, relay, ok := address.SplitCircuit(c.RemoteMultiaddr())
	return ok && g.admits(relay)
}

// InterceptSecured decides when the other side's key is proved.
func (g *gater) InterceptSecured(dir network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if dir == network.DirOutbound {
		return g.InterceptPeerDial(p)
	}
	dev, ok := address.FromPeer(p)
	// Guests, and who recovers, come directly: relays serve members alone.
	return ok && (g.admits(dev) || (g.inviting() || g.recovering.Load()) && !address.IsRelayed(c.RemoteMultiaddr()))
}

// InterceptUpgraded has nothing to add.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

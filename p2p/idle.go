package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// idleWait is how long a connection may stay without link and without pairing.
	idleWait = 15 * time.Second
	// maxGuests bounds the connections of devices that the gate does not admit: whoever pairs needs one.
	maxGuests = 8
	// maxStrangers is how many of them may come while no invite is open: whoever recovers needs one.
	maxStrangers = 4
)

// idleConns closes connections that are good for nothing: somebody who passes the gate, or comes as a guest, and then
// says nothing; a punched connection over which the other side makes no link. Safe for concurrent use.
type idleConns struct {
	mu     sync.Mutex // guards all below
	timers map[network.Conn]*time.Timer
	guests map[network.Conn]bool
	inUse  map[network.Conn]int // by pairing
	ended  bool
}

func newIdleConns() *idleConns {
	return &idleConns{timers: make(map[network.Conn]*time.Timer), guests: make(map[network.Conn]bool), inUse: make(map[network.Conn]int)}
}

// notifiee tells idleConns of connections that come and go.
func (c *idleConns) notifiee(h *Host) network.Notifiee {
	return &network.NotifyBundle{
		ConnectedF: func(_ network.Network, conn network.Conn) {
			dev, ok := address.FromPeer(conn.RemotePeer())
			guest := !ok || !h.cfg.Gate(dev)
			if guest && conn.Stat().Direction != network.DirInbound {
				return // this device is the guest
			}
			used := func() bool { return h.links.on(conn) != nil }
			room := maxStrangers
			if h.pairs.Open() {
				room = maxGuests
			}
			if !c.watch(conn, guest, room, used) {
				_ = conn.Close()
			}
		},
		DisconnectedF: func(_ network.Network, conn network.Conn) { c.forget(conn) },
	}
}

// watch closes conn after idleWait unless it is used then. False: it is a guest, and there is room for no more.
func (c *idleConns) watch(conn network.Conn, guest bool, room int, used func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || guest && len(c.guests) >= room {
		return false
	}
	if guest {
		c.guests[conn] = true
	}
	c.timers[conn] = time.AfterFunc(idleWait, func() {
		switch {
		case used() || c.used(conn):
		case carriesCircuits(conn): // others depend on it, and nothing tells when they do no more
			c.again(conn)
		default:
			_ = conn.Close()
		}
	})
	return true
}

// again looks at conn once more after idleWait.
func (c *idleConns) again(conn network.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[conn]; t != nil && !c.ended {
		t.Reset(idleWait)
	}
}

// use notes that conn serves a guest until the returned function is called.
func (c *idleConns) use(conn network.Conn) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse[conn]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inUse[conn]--; c.inUse[conn] == 0 {
			delete(c.inUse, conn)
			if t := c.timers[conn]; t != nil && !c.ended {
				t.Reset(idleWait)
			}
		}
	}
}

func (c *idleConns) used(conn network.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inUse[conn] > 0
}

func (c *idleConns) forget(conn network.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timers[conn]; t != nil {
		t.Stop()
	}
	delete(c.timers, conn)
	delete(c.guests, conn)
}

// stop ends all timers; connections are closed by the host.
func (c *idleConns) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, t := range c.timers {
		t.Stop()
	}
}

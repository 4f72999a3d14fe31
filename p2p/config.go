package p2p

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/neighbours"
)

// DefaultListen listens on every interface, on ports that the system chooses.
var DefaultListen = []string{
	"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1",
	"/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1",
}

// DefaultRuntimeDirs lists the folders of this user on this machine in which hosts leave their addresses for each other.
func DefaultRuntimeDirs() []string { return neighbours.DefaultDirs() }

// Config is what a Host is built from.
type Config struct {
	// Identity is this device. Required.
	Identity *mesh.Identity
	// Listen are the multiaddrs to listen on; nil means DefaultListen. One that works is enough.
	Listen []string
	// MDNS finds members, and inviters by spoken code, on the local network.
	MDNS bool
	// RuntimeDirs are the folders in which hosts of one user on one machine leave their addresses for each other; nil
	// means neighbours.DefaultDirs(), empty means none. They are created with mode 0700; one that others may write to is not used.
	RuntimeDirs []string
	// Gate says whether a device may talk to this one. Called often, from many goroutines, never with a lock held; must be
	// quick. Nil refuses everybody. After its answers have changed call SetMembers or Disconnect: links that are
	// up are looked at again then, not by themselves.
	Gate func(shoal.DeviceID) bool
	// Tells says which of the devices that the gate admits are told where others are; nil: all. Called like Gate.
	Tells func(shoal.DeviceID) bool
	// PortMap asks the router for ports (UPnP, NAT-PMP), unless the host listens on loopback alone.
	PortMap bool
	// Relay makes this host a relay for devices that the gate admits: for vaults and others that can be reached.
	Relay bool
	// RelayBetween says whether this host relays between two devices that the gate admits; nil: between any two. A device
	// for which it is not true with itself gets no place. A host of several meshes keeps them apart by it. Called like Gate.
	RelayBetween func(a, b shoal.DeviceID) bool
	// DHT says how to find members among strangers.
	DHT DHT
	// Log takes what happens; nil discards it.
	Log *slog.Logger
	// Limits bound what others can make this host spend.
	Limits Limits

	// Heartbeat is the pause between signs of life on an idle link. A link that has been silent for three of them is
	// given up. Default 3 s.
	Heartbeat time.Duration
	// Clock gives the time; default time.Now.
	Clock func() time.Time
	// Rand gives randomness for secrets; default crypto/rand.
	Rand io.Reader
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Listen == nil {
		c.Listen = DefaultListen
	}
	if c.RuntimeDirs == nil {
		c.RuntimeDirs = neighbours.DefaultDirs()
	}
	if c.Gate == nil {
		c.Gate = func(shoal.DeviceID) bool { return false }
	}
	if c.Tells == nil {
		c.Tells = func(shoal.DeviceID) bool { return true }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 3 * time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

// mapsPorts tells whether to ask the router for ports: not if nothing listens where it could send anything.
func (c Config) mapsPorts() bool {
	return c.PortMap && slices.ContainsFunc(c.Listen, func(s string) bool {
		a, err := ma.NewMultiaddr(s)
		return err == nil && !manet.IsIPLoopback(a)
	})
}

// Validate tells what is wrong with c before anything is started.
func (c Config) Validate() error {
	if c.Identity == nil {
		return fmt.Errorf("network config without identity: %w", ErrMalformed)
	}
	for _, s := range c.Listen {
		if _, err := ma.NewMultiaddr(s); err != nil {
			return fmt.Errorf("listen address %q: %w", s, ErrMalformed)
		}
	}
	if c.Heartbeat < 0 {
		return fmt.Errorf("heartbeat %s: %w", c.Heartbeat, ErrMalformed)
	}
	return c.Limits.Validate()
}

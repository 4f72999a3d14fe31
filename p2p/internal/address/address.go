package address

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoalmesh/shoal"
)

const (
	// maxAddrBytes bounds one binary address; the longest that Check lets through are DNS names.
	maxAddrBytes = 300
	// MaxAddrs bounds the addresses that are kept of, or sent for, one device.
	MaxAddrs = 24
)

// peerPrefix is an identity multihash that holds libp2p's protobuf form of an Ed25519 public key (libp2p peer ID
// specification, "Keys").
var peerPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

// PeerID is the device's name in libp2p.
func PeerID(d shoal.DeviceID) peer.ID {
	return peer.ID(append(bytes.Clone(peerPrefix), d[:]...))
}

// FromPeer is the inverse of PeerID; ok is false for peers whose key is not Ed25519.
func FromPeer(p peer.ID) (d shoal.DeviceID, ok bool) {
	raw, found := strings.CutPrefix(string(p), string(peerPrefix))
	if !found || len(raw) != len(d) {
		return d, false
	}
	copy(d[:], raw)
	return d, d != shoal.DeviceID{}
}

// Parse reads an address that a person or this device's own database gives: with or without /p2p/, which must then
// name dev. The result has none.
func Parse(s string, dev shoal.DeviceID) (ma.Multiaddr, error) {
	if len(s) > 2*maxAddrBytes {
		return nil, fmt.Errorf("address of %d characters: %w", len(s), ErrMalformed)
	}
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", s, ErrMalformed)
	}
	bare, id := peer.SplitAddr(a)
	if id != "" && id != PeerID(dev) {
		return nil, fmt.Errorf("address %q names another device: %w", s, ErrMalformed)
	}
	return bare, Check(bare, true)
}

// Decode reads a binary address that came over the network. DNS names are refused: who sends them could make
// this device ask name servers of their choice.
func Decode(raw []byte) (ma.Multiaddr, error) {
	if len(raw) > maxAddrBytes {
		return nil, fmt.Errorf("address of %d bytes: %w", len(raw), ErrMalformed)
	}
	a, err := ma.NewMultiaddrBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("binary address: %w", ErrMalformed)
	}
	return a, Check(a, false)
}

// Check holds the two shapes that this version dials: host, then TCP port, or UDP port and QUIC; and such an address of
// a relay, followed by the relay's ID and p2p-circuit.
func Check(a ma.Multiaddr, names bool) error {
	if relay, _, ok := SplitCircuit(a); ok {
		return checkDirect(relay, names)
	}
	return checkDirect(a, names)
}

func checkDirect(a ma.Multiaddr, names bool) error {
	var codes []int
	for _, c := range a {
		codes = append(codes, c.Protocol().Code)
	}
	fault := func(why string) error { return fmt.Errorf("address %s: %s: %w", a, why, ErrMalformed) }
	if len(codes) < 2 {
		return fault("too short")
	}
	switch codes[0] {
	case ma.P_IP4, ma.P_IP6:
		ip, err := manet.ToIP(a)
		if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
			return fault("no host address")
		}
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		if !names {
			return fault("names are not accepted here")
		}
	default:
		return fault("unknown kind")
	}
	tcp := len(codes) == 2 && codes[1] == ma.P_TCP
	quic := len(codes) == 3 && codes[1] == ma.P_UDP && codes[2] == ma.P_QUIC_V1
	if !tcp && !quic {
		return fault("neither TCP nor QUIC")
	}
	if a[1].Value() == "0" {
		return fault("port 0")
	}
	return nil
}

// IsTCP tells TCP from QUIC for an address that Check accepted.
func IsTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}

// Circuit is the address at which a device is reached through a relay that listens at a.
func Circuit(a ma.Multiaddr, relay shoal.DeviceID) (ma.Multiaddr, error) {
	tail, err := ma.NewMultiaddr("/p2p/" + relay.String() + "/p2p-circuit")
	if err != nil {
		return nil, fmt.Errorf("circuit through %s: %w", relay.Short(), ErrMalformed)
	}
	return a.Encapsulate(tail), nil
}

// SplitCircuit takes a circuit apart: where the relay listens, and who it is. False: a is no circuit, or none of the
// shape that Circuit makes.
func SplitCircuit(a ma.Multiaddr) (at ma.Multiaddr, relay shoal.DeviceID, ok bool) {
	n := len(a) - 2
	if n < 1 || a[n].Protocol().Code != ma.P_P2P || a[n+1].Protocol().Code != ma.P_CIRCUIT {
		return nil, relay, false
	}
	id, err := peer.IDFromBytes(a[n].RawValue())
	if err != nil {
		return nil, relay, false
	}
	relay, ok = FromPeer(id)
	return a[:n], relay, ok
}

// IsRelayed tells whether a runs through a relay.
func IsRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// IsLinkLocal tells whether a needs an interface name to be of use, which no other device can know.
func IsLinkLocal(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	return err == nil && ip.To4() == nil && ip.IsLinkLocalUnicast()
}

// IsNear tells whether a is on this machine or on a local network: private, or in one of the networks that the
// machine's interfaces are attached to.
func IsNear(a ma.Multiaddr, attached []netip.Prefix) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	if ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return true
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return false
	}
	addr = addr.Unmap()
	for _, p := range attached {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// attachedNetworks lists the networks of this machine's interfaces; what cannot be read is left out.
func attachedNetworks() []netip.Prefix {
	var out []netip.Prefix
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// Attached remembers attachedNetworks for a while, because reading them costs a few system calls. Safe for concurrent use.
type Attached struct {
	Clock func() time.Time // required

	mu   sync.Mutex // guards nets, read
	nets []netip.Prefix
	read time.Time
}

// Networks lists them; the caller must not change the result.
func (c *Attached) Networks() []netip.Prefix {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Clock()
	if age := now.Sub(c.read); c.read.IsZero() || age < 0 || age > 10*time.Second {
		c.nets, c.read = attachedNetworks(), now
	}
	return c.nets
}

// Order sorts addresses for others: local networks, the internet, relays, then this machine alone; IPv4 and TCP first.
func Order(a ma.Multiaddr) int {
	n := 0
	ip, err := manet.ToIP(a)
	switch {
	case IsRelayed(a):
		n = 16
	case err == nil && ip.IsLoopback():
		n = 24
	case !IsNear(a, nil):
		n = 10
	}
	if err == nil && ip.To4() == nil {
		n += 2
	}
	if !IsTCP(a) {
		n++
	}
	return n
}

// Full is the printed form with /p2p/.
func Full(a ma.Multiaddr, dev shoal.DeviceID) string {
	return a.String() + "/p2p/" + dev.String()
}

// Unique keeps the first of equal addresses, and at most max.
func Unique(addrs []ma.Multiaddr, max int) []ma.Multiaddr {
	seen := make(map[string]bool, len(addrs))
	var out []ma.Multiaddr
	for _, a := range addrs {
		key := string(a.Bytes())
		if !seen[key] && len(out) < max {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

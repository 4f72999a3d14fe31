package address

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// Pauses before an address is dialed while better ones are still being tried.
const (
	// nearQUICDelay: on a local network TCP+TLS carries two to four times as much as QUIC (DESIGN §13), so QUIC is
	// tried only when TCP seems blocked. A TCP handshake takes far less there.
	nearQUICDelay = 300 * time.Millisecond
	// farTCPDelay: over the internet QUIC goes first, as in RFC 8305 (Happy Eyeballs).
	farTCPDelay = 250 * time.Millisecond
	// relayDelay: a relay only when nothing direct has answered.
	relayDelay = 500 * time.Millisecond
)

// Rank says when each address of a peer is dialed: all at once, but the less wanted transport a little later, if
// the better one is there at all.
func Rank(addrs []ma.Multiaddr, attached []netip.Prefix) []network.AddrDelay {
	var nearTCP, farQUIC, direct bool
	for _, a := range addrs {
		if IsRelayed(a) {
			continue
		}
		near, tcp := IsNear(a, attached), IsTCP(a)
		direct = true
		nearTCP = nearTCP || near && tcp
		farQUIC = farQUIC || !near && !tcp
	}
	out := make([]network.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		var d time.Duration
		near, tcp := IsNear(a, attached), IsTCP(a)
		switch {
		case IsRelayed(a):
			if direct {
				d = relayDelay
			}
		case near && !tcp && nearTCP:
			d = nearQUICDelay
		case !near && tcp && farQUIC:
			d = farTCPDelay
		}
		out = append(out, network.AddrDelay{Addr: a, Delay: d})
	}
	return out
}

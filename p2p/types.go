package p2p

import (
	"io"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// Transport tells how a connection runs. Lower costs less.
type Transport string

// The kinds of transport.
const (
	TransportLAN    Transport = "lan"    // same machine or local network
	TransportDirect Transport = "direct" // over the internet, without help
	TransportRelay  Transport = "relay"  // through a relay
)

// Peer is a device that is connected now.
type Peer struct {
	Device    shoal.DeviceID
	Address   string // the remote multiaddr without /p2p/; through a relay that of the relay, and the circuit
	Transport Transport
	Since     time.Time // when the link came up, own clock
}

// Event says that a device came up or went down. For one device Up and Down alternate, beginning with Up. When a better
// connection takes the place of a circuit, Down and Up follow each other at once: who keeps streams opens them anew, on
// the better connection; those that are open go on, for five minutes at most.
type Event struct {
	Device shoal.DeviceID
	Up     bool
}

// Stream is one ordered, reliable, flow-controlled byte stream to another device. It is safe for one reader and one
// writer at a time; Close, Reset and SetDeadline may be called by anybody at any moment.
type Stream interface {
	// Read and Write count towards Host.Traffic. Read returns io.EOF after the other side's CloseWrite. Both end with
	// an error when the link is lost. Write returns when the bytes were handed to the connection, not when they arrived.
	io.ReadWriter
	// CloseWrite sends the end of this direction; reading goes on.
	CloseWrite() error
	// Close ends both directions in good order: what was written still arrives, what is still read is lost.
	Close() error
	// Reset ends both directions at once; the other side gets an error. It never blocks.
	Reset() error
	// SetDeadline makes Reads and Writes that are blocked now, or begin later, fail with os.ErrDeadlineExceeded after t
	// (a net.Error with Timeout). The zero time means never. A later deadline makes Read usable again and loses no byte;
	// after a Write that timed out an unknown part was sent, so Reset. It holds for the stream's whole life until it is
	// set anew, and does not reset the stream by itself.
	SetDeadline(t time.Time) error
	// SetReadDeadline is SetDeadline for Reads alone.
	SetReadDeadline(t time.Time) error
	// SetWriteDeadline is SetDeadline for Writes alone.
	SetWriteDeadline(t time.Time) error
}

// transportOf names the kind of a connection to a.
func transportOf(a ma.Multiaddr) Transport {
	near := address.Attached{Clock: time.Now}
	switch {
	case address.IsRelayed(a):
		return TransportRelay
	case address.IsNear(a, near.Networks()):
		return TransportLAN
	default:
		return TransportDirect
	}
}

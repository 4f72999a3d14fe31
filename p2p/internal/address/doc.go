// Package address is where devices are: the addresses that are dialed and their order, address records (signed by the
// device that they belong to), and the book in which they are remembered.
//
// # Laws
//
//   - Only one shape of address is dialed: an IP address (or, from this device's own user, a name), and TCP, or UDP and
//     QUIC; or such an address of a relay, with the relay's ID, and the circuit through it.
//   - Of two records of a device the newer wins; nobody but that device can make one.
//   - Everything is bounded: addresses per record, unsigned addresses per device, devices.
package address

import "errors"

var (
	// ErrMalformed: an address or record breaks its format.
	ErrMalformed = errors.New("malformed")
	// ErrForged: the signature of a record does not fit.
	ErrForged = errors.New("forged signature")
)

// Package rendezvous is how devices that know each other's keys find each other among strangers: the records that they
// leave in a distributed hash table, when they leave and look for them, and the host that takes part in it.
//
// # Words
//
//   - Secret: the rendezvous key of an epoch of the mesh. Who has it can find the records of all devices.
//   - Day: a number of days since 1970-01-01, UTC. Each device has one record per secret and day.
//   - Name: where a record is: the public half of a signing key that is derived from secret, device and day. It proves
//     itself: strangers can tell that a record was made by somebody who has the secret, and nothing else.
//   - Sighting: what a record holds for those who have the secret: the addresses of the device, and a note of the layer
//     above, signed by the device.
//   - Second host: the libp2p host that talks to strangers. Its identity is thrown away, it knows no member, and members'
//     hosts know nothing of it but where it can be entered. One that serves runs all the time, others only while there
//     is something to leave or to look for.
//
// # Laws
//
//   - Without the secret, records tell neither whose they are nor that two belong together: names, nonces and bytes look
//     random, all records have one length.
//   - Nobody without the secret can put anything at a name; nobody but the device itself can make a sighting.
//   - Everything that strangers can make this device keep or do has a limit.
//
// Rooms: key.go and record.go (the format, pure), validate.go (what strangers check), plan.go (when; pure), store.go and
// second.go (the host), service.go (the loop), rest.go (when the host
// runs). Format: docs/formats/rendezvous.md.
package rendezvous

import "errors"

var (
	// ErrMalformed: a record breaks its format.
	ErrMalformed = errors.New("malformed rendezvous record")
	// ErrForged: a signature or seal does not fit.
	ErrForged = errors.New("forged rendezvous record")
	// ErrStale: a record is of another day than it may be.
	ErrStale = errors.New("rendezvous record of another day")
	// ErrAlone: there is nobody to enter through.
	ErrAlone = errors.New("no entry to the hash table")
	// ErrNotFound: nobody has such a record.
	ErrNotFound = errors.New("no such rendezvous record")
)

// Package p2p is the network of one device: it finds the other devices of the mesh, keeps a connection to each, carries
// streams, and pairs new devices.
//
// # Words
//
//   - Host: the network end of this device. One libp2p host over TCP and QUIC, TLS 1.3 only.
//   - Gate: the function that says which devices may talk to this one. It is asked at every connection.
//   - Link: the one connection to a device that is in use, after both sides said yes on a stream of protocol
//     /shoal/link/1. A device is up exactly while it has a link.
//   - Member: a device that SetMembers names; the host stays connected to it and dials it again with growing pauses.
//   - Address record: the addresses of a device, signed by that device, with a time. Members pass them on; newest wins.
//   - Relay: a member that passes on the bytes of two others which cannot reach each other; a circuit is such a
//     connection, a place what a device asks of a relay so that others find it there.
//   - Invite: a one-time secret that lets one new device ask for admission, as a ticket (128 random bits) or as a
//     spoken code (a nameplate and two words). The new device is called the guest.
//   - Nameplate: the number in a spoken code. It only helps to find the inviter; the words never leave the two devices.
//
// # Laws
//
//   - Whoever the gate refuses gets no stream but /shoal/pair/1, and that only while an invite is open; and /shoal/recover/1 where
//     recovery is served, which tells nothing without the proof of the root's key.
//   - Every device has at most one link, whoever dialed first: the device with the lower ID decides which connection
//     stays. So two devices that dial each other at once see one Up event each.
//   - Relays serve members, for members: nobody gets a place or a circuit whom the gate refuses, and no circuit is taken
//     from a relay that it refuses.
//   - Handlers run only while the other side is up, streams are opened only over the link, and a lost link ends them all.
//     A circuit that gives its place to a direct connection is not lost: its streams may end by themselves.
//   - Every frame, table and queue has a limit that is checked before memory is taken.
//   - An invite admits one device. A guess of a code that was wrong burns the code.
//   - New listens but lets nobody in; Run works until its context ends or Close is called; after Close no goroutine of
//     the host is left.
//
// # What it does not do
//
// It knows nothing of folders, records or blocks; it does not decide who is a member; what it knows of
// folders' positions in the hash table is a note that it cannot read.
//
// # Finding each other
//
// Last known addresses, address records from other members, mDNS on the local network, and for devices of one user on
// one machine a small file in a per-user folder (no multicast needed). Who is missing then is looked for in a distributed
// hash table, by a second host that has another identity and talks to strangers.
//
// # Rooms
//
//   - host.go, config.go, limits.go, gate.go, idle.go: the host, who gets in, and how much of it;
//   - link.go, links.go, dial.go, members.go: one link per device, and staying connected;
//   - relay.go, reserve.go: being a relay, and having places at relays;
//   - wake.go: noticing that the machine has slept;
//   - rendezvous.go: the hash table, whose own rooms are in internal/rendezvous;
//   - punch.go: from a circuit to a direct connection;
//   - traffic.go, frame.go, events.go, types.go: streams, frames and events;
//   - pair.go, pairserve.go, join.go, messages.go: pairing, the inviter's and the guest's side;
//   - recover.go, recoveraddr.go, recoverserve.go, recoverwire.go: recovery, the new device's and the peer's side;
//   - internal/address, internal/redial, internal/invite: the pure parts: addresses and their records, when to dial whom, tickets,
//     codes and proofs;
//   - internal/mdns, internal/neighbours: finding each other on the local network and on this machine.
//
// Formats: docs/formats/pairing.md, docs/formats/recover.md, docs/formats/rendezvous.md.
package p2p

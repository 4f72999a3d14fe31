// Package mdns finds hosts on the local network and is found there: multicast DNS (RFC 6762) with service discovery
// (RFC 6763), the small part of both that this needs.
//
// Nothing that comes from there is proved: a notice is a hint where to dial, and the connection proves who answers.
//
//   - wire.go: packets from and to bytes, pure;
//   - plan.go: what is sent when, pure;
//   - sock.go: the multicast sockets;
//   - mdns.go: the service that joins them.
package mdns

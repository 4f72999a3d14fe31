// Package control is the way into a running device: the JSON that is spoken, the interfaces that a device implements,
// the HTTP server on a Unix socket in the device's home, and the client that every command is made of.
//
// # Words
//
//   - home: the folder with one device's keys, databases and control socket. Two homes on one machine are two devices.
//   - backend: what a running device offers, split by subject into small interfaces (Backend names them all).
//   - code: the kind of an error (Code). It decides the HTTP status and the exit code of a command, in one place.
//
// # Laws
//
//   - One process at a time uses a home: OpenHome holds a lock that dies with the process. Whoever holds it may replace
//     a socket that a dead process left behind; nobody else touches it.
//   - The socket has mode 0600 before anybody can connect to it.
//   - Names that people type (folders, devices, guests) and absolute paths become IDs here, once, in resolve.go; a
//     backend sees only IDs and shoal.Path.
//   - Every request body is bounded (MaxBody), strict (no unknown field, nothing after the document) and validated before
//     a backend sees it.
//   - File names are bytes. Path carries any of them through JSON unchanged.
//   - In answers a list is never null.
//
// # What it does not do
//
// It decides nothing about files, meshes or networks, keeps no state between requests, and knows nothing of who may ask:
// the socket's mode is the permission. The page docs/control-api.md tells outside programs how to use it; a test holds
// the page and the routes together.
package control

// Package e2e proves the product from outside: it runs the built program, on real disks and real networks, and drives it only
// through its command line. There is no code here but tests, and packages lab and faulty, which they are made with.
//
// Each file is one subject: first sync, changes, bytes on the wire, conflicts, chains of devices, crashes, revocation, faults, joining,
// readers, networks and routers, faulty devices. The names of the tests are the behaviour they hold; where a test needs the rights of root (network namespaces, mounts,
// another user) and does not have them, it is skipped and says so.
//
//	go test ./e2e                  what `make test` runs: small sizes
//	go test ./e2e -args -long      full sizes: a 2 GiB file, 50 crashes, both ways of being apart
//	go test ./e2e -run Chain -v    one subject; a failed test prints the daemons' logs and trees
//	go test ./e2e -args -dump      tells what the daemons of failed tests were doing, for tests that hang
//	go test ./e2e -args -keep      leaves the folders of failed tests behind
//
// The benchmarks beside other programs are the program e2e/bench.
package e2e

// Package lab runs the built program as its users do, for the end-to-end tests and the benchmarks beside it.
//
// A Device is one home, one folder and at most one running daemon; it is driven through the program's command line and
// nothing else. A Network is a set of network namespaces joined by virtual cables, which can be cut, counted and slowed. A Tree
// is what stands in a folder, for comparing. Fill functions write the same bytes for the same seed.
//
// Laws:
//
//   - Nothing here imports the product: what it knows of it is the contract of the command line.
//   - Every call that waits has a context and ends with it; waiting is polling, never sleeping.
//   - Daemons die with the process that started them, also when that is killed.
//
// It runs on Linux only: it reads /proc and drives ip(8). It is never linked into the program.
package lab

// Package bucket is the door to one prefix of one bucket of an S3-compatible store. It reads, writes, lists and removes objects, tries again
// what may pass, checks the size of everything before it is kept, and turns the many answers of servers into few errors. It knows
// nothing of what the objects hold.
//
// Laws:
//
//   - Nothing that a server answers takes more memory than the caller's limit and 8 MiB for a listing.
//   - A call ends: attempts are counted, each has a deadline, pauses between them are bounded.
//   - A conditional write whose answer was lost is looked up before its condition is said to have failed.
//   - Neither keys nor signatures appear in an error.
//
// It starts no goroutines of its own; the HTTP client keeps idle connections until Close.
package bucket

// Package blockexchange moves blocks between devices: it decides who fetches which block from whom, and carries that out.
//
// Words. A want is one block that somebody here needs. A group is the wants of one Fetch. A source is a peer that may have
// a block; whether it does is found out by asking, so that nobody keeps lists of what others have. "Absent" is the answer of
// a source that lacks the block now; it remembers that it said so and sends "have" when that changes.
//
// The parts:
//
//   - Planner is the pure part: Step(now, event) → actions. It has no clock, no lock, no goroutine, no network.
//   - Exchange is the shell: one long-lived stream per peer and direction, with many requests in flight, sealed blocks coming
//     back in any order. It opens and checks each block before the Planner hears of it.
//   - The page docs/formats/block-exchange.md describes the protocol /shoal/block/2.
//
// Laws, each with a test:
//
//   - A want is delivered as long as one connected peer has the block and answers rightly, whoever else lies, stalls or leaves.
//   - A block is delivered once per Fetch that wants it, however many sources were asked.
//   - Bytes asked for and not yet delivered never exceed Limits.InFlight, and per peer never the peer's window.
//   - A source that sends what does not open, twice, is left out for Limits.Ban.
//   - Cheaper links come first: a costlier peer is asked only for what no healthy cheaper one may have.
//   - Between Fetches the line is shared fairly: a small file does not wait for a big one.
//
// What it does not do: it keeps no blocks (Fetch hands them over, Source looks them up), it does not know files or paths, and
// it does not decide what to fetch.
package blockexchange

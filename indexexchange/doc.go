// Package indexexchange makes the journals of two devices equal, and keeps them so.
//
// # Words
//
//   - A position is how much of a journal somebody has: a seq, and the head there. A frontier is the positions of all journals
//     of a folder.
//   - To push is to send the records of a new commit unasked. A device pushes its own journal; of others' journals it only
//     tells its position, and whoever lacks something asks. So nothing travels twice, and a new commit travels at once.
//   - A chase is the effort to get further in one journal: one ask at a time, or buckets from several peers at once.
//
// # The parts
//
//   - engine is the pure part: what is asked of whom, what is told to whom. It knows positions, no records.
//   - Session is one conversation with one peer: Receive takes a message in, Next gives the next one out. It has no goroutine,
//     no clock of its own and no network; with the engine and the stores it makes a Core, which a simulation can drive.
//   - Exchange is the shell: streams, goroutines, timers.
//   - The page docs/formats/index-exchange.md describes the protocol /shoal/index/1.
//
// # Flow of a session
//
//  1. Both tell the heads of their rosters; who lacks statements gets them. Nothing of folders is told before.
//  2. Both tell their frontiers, folder by folder.
//  3. Who lacks something of a journal asks for it, after what it has. The answer is a batch or, when much is lacking, a head
//     with the list of its bucket digests; the buckets are then asked of everybody who has got as far.
//  4. From then on: new commits are pushed, changed positions told, statements of what was received and applied passed on.
//
// # Laws
//
//   - After any breaks, repetitions and reorderings of sessions, in any connected topology, all devices hold equal journals.
//   - What a source alters, leaves out, rolls back or makes up is noticed, harms nothing, and is fetched elsewhere. A source
//     that was wrong twice is left out for an hour.
//   - The push of a new commit waits for no timer.
//   - Every message is bounded (4 MiB), as is what is in flight per peer.
//   - A record of the own journal leaves only after the database knows that the journal is shared.
//
// What it does not do: it fetches no blocks (package blockexchange does; small ones only travel beside the records that
// name them), it decides nothing about files, and it does not choose whom to connect with.
package indexexchange

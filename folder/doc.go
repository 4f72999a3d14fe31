// Package folder keeps one folder on one disk: it records what an application changed there and brings the disk to what the index wants.
//
// Words: the *local* tree is the disk; the *base* is what this device last put on, or read from, its disk; the *desired* tree is what
// the index makes of all journals. Work flows in one circle:
//
//	look    list folders, compare with the base, hash what changed        (scan.go, compare.go, hash.go)
//	record  turn changes into records whose version is the base's         (record.go, settle.go, follow.go)
//	plan    compare the base with what is desired                         (work.go, package plan)
//	fetch   assemble content in .shoal/tmp, local blocks first            (assemble.go)
//	apply   contents durable, intents, swaps, names durable, base         (apply.go, operations.go, durable.go, intent.go, recover.go, history.go)
//
// Laws:
//   - A record's version is the join of what the disk showed at that path, never of what merely arrived. This line prevents lost updates.
//   - Absence is proved only by a complete listing of a folder on the file system that the root is on.
//   - Nothing on disk is replaced or removed unless it is, at that moment, what the base says; what is taken away goes to .shoal/history and is
//     watched until nobody writes to it any more.
//   - The base is committed only after the names on disk are durable; an intent written before tells a restart what was meant.
//
// An Engine is a state machine that one caller drives: its methods run one at a time, start no goroutine and ask nobody for the time. The
// simulated mesh drives the very same Engine as Service does, which adds a watcher, timers and workers around it.
// What a folder does not do: it neither talks to peers nor decides who wins (packages indexexchange, blockexchange, conflict).
package folder

// Package s3store keeps sealed blocks in a bucket of an S3-compatible store: a block.Store that several processes have open at once, any of which may die at any
// moment. It also keeps their small shared state (Objects).
//
// The words:
//
//   - pack: an object of up to about 64 MiB in the format of block/packstore's files, written once under a random name
//   - ledger: the objects ledger/00000001, 00000002, …: entries, each written once, under the condition that there is none yet
//   - entry: one step of the store: a new pack and what lies in it, deletions, pins, names of packs that are given up
//   - chain: the hash of everything up to an entry
//   - checkpoint: what all entries up to a number come to, in parts; it takes their place
//   - anchor: the one object of the store that changes; it names the newest checkpoint
//   - index: a bbolt database in the cache directory: what the ledger comes to. Derived; thrown away and built again when it does not fit
//   - spool: what was put and deleted since the last Sync, in a file of the cache directory; lost when the process dies
//   - pin: a promise that a block is not deleted before some time
//
// Laws:
//
//   - The ledger is the truth: a block is in the store if and only if entries in the order of their numbers, read by the rules in apply.go, say so. Clocks
//     decide nothing in it.
//   - An entry is written by a process that has applied all entries before it. So every decision (this block is missing, that one is not pinned, this pack
//     is dead) was true at the entry's place.
//   - A pack is in the bucket before an entry names it, and is removed only when nothing in it counts, or when an entry gave its name up and none had named it.
//   - What Get returns hashes to its key, or it is an error.
//
// Why nothing acknowledged is lost:
//
//   - Sync. Of all processes that try to write entry n one succeeds; the others read it and decide anew, so two Syncs at once both count. A block
//     that the index has already is spooled all the same, and uploaded if another process has deleted it by then.
//   - Delete against "have". A pin is an entry. If it comes before the deletion, the deleting process has read it and leaves the block alone; if it comes after, the pinning
//     process has read the deletion and answers that it does not have the block.
//   - Compaction. Its entry moves a block only if the block still lies where it was copied from. The old pack is removed after that entry; who still
//     has the old place in its index is told by the server that there is no such object, reads the ledger, and finds the new one.
//   - Packs without an entry are left by processes that died, and look just like packs of processes that are slow. An entry gives their names up; a slow process
//     that wants to name its pack either did so before, and then the pack is kept, or reads that entry first and uploads its pack under another name.
//   - Checkpoints. When entries are removed, their numbers are free again, and a process that slept could write into the past. So after it wrote an entry, and after it has
//     read some, a process looks at the anchor: if a checkpoint covers the number by then, the entry did not count, or is compared by its chain. An entry
//     that names another chain than its predecessors' is void for all. The anchor is written under the condition that it is as it was read, and
//     its number only grows.
//   - The lease lets one process compact at a time, to spare work. None of the above depends on it, so a holder that was only slow does no harm to the one who
//     took over.
//
// The server must keep conditions of writes (If-None-Match: *, If-Match) and show a write to every read and listing after it; Open tries and refuses
// others. The store starts no goroutines: the owner calls Sync, Refresh, Compact and Scrub when it suits. It does not open blocks, count references, or decide what
// may be deleted.
//
//	target, err := s3store.ParseURL("https://s3.example.org/bucket/vault?region=eu-west-1")
//	s, err := s3store.Open(ctx, s3store.Config{Target: target, Dir: dir, Rand: rand.Reader, Now: time.Now, Pin: 24 * time.Hour})
//	err = s.Put(ctx, key, sealed)
//	err = s.Sync(ctx)
//
// Format: docs/formats/ledger.md. Decisions, and how to run it: docs/vault-s3.md.
package s3store

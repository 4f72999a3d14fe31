// Package packstore keeps sealed blocks on disk: a block.Store of append-only pack files with an index beside them.
//
// The words:
//
//   - pack: a file of about 64 MiB: a header and records, one after another. Only the newest pack grows
//   - record: a sealed block under its key, or the deletion of one; its header carries a checksum under the pack's salt
//   - place: where a record lies: pack, offset
//   - index: a bbolt database, key to place. It is derived: everything in it can be read from the packs again
//   - pending: what was put or deleted but is not in the index yet; kept in memory, read before the index
//
// Laws:
//
//   - A record, once synced, is never moved or overwritten; its pack is removed only after each of its live records is
//     durable in another.
//   - The index never names what is not durable: a pack is synced before the index learns of it. So after a crash the index is
//     at worst old, and Open reads the rest from the tail of the newest pack.
//   - A pack is complete and synced before the next is begun. So only the newest can have a torn tail, and Open mends
//     it: torn records in it are blanked, and it is cut after the last one that is whole.
//   - An index that is missing, damaged or does not fit the packs is thrown away and built again.
//   - What Get returns hashes to its key, or it is an error.
//
// A directory belongs to one process at a time (bbolt's file lock). The store starts no goroutines: the owner calls Sync, Compact
// and Scrub when it suits. It does not open blocks, count references, or decide what may be deleted.
//
//	s, err := packstore.Open(ctx, packstore.Config{Dir: dir, Rand: rand.Reader})
//	err = s.Put(ctx, key, sealed)
//	err = s.Sync(ctx)
//
// Format: docs/formats/pack.md.
package packstore

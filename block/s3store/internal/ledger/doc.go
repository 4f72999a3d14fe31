// Package ledger is the format of what a store in a bucket says of its packs (docs/formats/ledger.md): entries, the anchor, and the parts of
// a checkpoint. It encodes and decodes; what an entry does is decided by package s3store.
//
//   - entry: one object with a number, written once; what it says happened after all that lower numbers say
//   - chain: the hash of everything up to an entry; an entry that names another chain than that of its predecessor is void
//   - checkpoint: all that the entries up to a number come to, in parts; takes their place
//   - anchor: the one object that is written again and again; names the store and its newest checkpoint
package ledger

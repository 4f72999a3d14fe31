// Package ledger keeps what several vault processes accepted for one mesh, in an order that all agree on, in the bucket that they share.
//
// The words:
//
//   - entry: one step: statements, settings, batches of records, reference nodes. An object under a number, written under the condition that there is none yet
//   - chain: the hash of everything up to an entry
//   - part: an object under a random name with a piece of what is too long for an entry; whatever names it has its hash
//   - anchor: the one object that changes; it names the newest checkpoint
//   - checkpoint: what all entries up to a number come to; it takes their place
//
// Laws:
//
//   - Who writes an entry has read all before it: the number and the chain say so. An entry with another chain is void for all.
//   - What an entry or the anchor names is in the bucket before it.
//   - What was read or written counts after a look at the anchor: entries that a checkpoint covers are removed, and their numbers are free again.
//
// What entries mean is not known here: package vault/replica applies them. Format: docs/formats/vault-ledger.md.
package ledger

// Package replica makes the database of one vault process a copy of what all processes accepted that serve the same bucket.
//
// The words:
//
//   - ledger: the order of what was accepted; package vault/ledger
//   - told: of what is in this database, that which the ledger has
//   - applied: of the ledger, that which is in this database
//   - clean: a moment in which everything was told and no transfer was under way
//
// Laws:
//
//   - What a process says it has received was told before; that it has everything, it says only when everything was told (Reach).
//   - Entries are applied in order, and nothing is told before all entries there are were applied.
//   - Whatever a process accepts by itself it has at once, before the others; entries that bring what is here already change nothing. So replicas differ only by what was not told.
//   - What an entry brings and what does not count here (another was faster, it was cut off, its author signed two histories) is kept beside, as if it had just been superseded.
//   - A block that a process counts on was pinned for longer than it takes to tell what needs it: if telling takes longer than MaxUnclean, all are pinned anew before (Recheck).
//
// Why nothing is deleted that another process acknowledged stands in docs/vault-s3.md. The owner calls Run; the package starts no goroutine.
package replica

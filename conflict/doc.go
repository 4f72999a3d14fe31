// Package conflict decides what a path holds when several devices wrote it without having seen each other.
//
// # Words
//
//   - A [Version] is a version vector: how much of every journal the author of a record had seen at that path.
//   - A [Lineage] says which journals continue which others; every comparison of versions goes through it.
//   - A [Sibling] is one live record of a path, reduced to what matters here.
//   - [Resolve] turns the records of one path into a [Resolution]: the winner that stands at the path, the losers that are
//     shown beside it as conflict copies, and the deletions that still count.
//   - [CopyName] names a conflict copy.
//
// # Laws
//
//   - The answer is a function of the set of records, the lineage and whether the path has living children. Neither the order
//     of arrival nor the device that asks matters, so all devices show the same tree without talking.
//   - Records that another record descends from change nothing.
//   - Content that no other record had seen or replaced is never dropped: it wins or it is a loser. What would yield in a
//     circle does not yield.
//
// docs/conflicts.md tells the rules with their reasons and an example each.
//
// # What it does not do
//
// It reads no disk and no clock, starts no goroutine and logs nothing. It does not know paths, blocks or keys: content is 32
// opaque bytes, and zero bytes mean "no content". It trusts that siblings come from validated records.
//
// All functions are safe for concurrent use; values handed in are never changed, and results may share memory with them.
package conflict

// Package vault keeps the journals and sealed blocks of meshes whose keys it does not have.
//
// # Words
//
//   - A [Tenant] is one mesh that is kept here: an index without keys ([index.FolderConfig].Keeper), and its blocks in a store.
//   - To pull is to fetch what live records need and is not here, from whichever member has it.
//   - Retention is how long what was superseded, cut off or replaced is kept, and what nothing demands any more.
//
// # Laws
//
//   - What the vault says it has is durable: a block counts after the store was synced and the index committed, in this order.
//   - Nothing that a live record needs is deleted, and nothing else before the retention has passed since it was last needed, by this
//     vault's own clock. No device can make that shorter: the retention is the operator's, never shorter than the minimum age fixed
//     when the vault joined, and a shorter one counts only after the old one has passed (Policy).
//   - Nothing is deleted for a day after the clock jumped (ClockGuard).
//   - A copy is a claim of who gave it, and a doubt of who reports it. When all copies of a block are doubted another is fetched, from somebody
//     else if that is possible. A doubted one is served after the others; it goes only when its giver has given another and somebody
//     else doubts it, so no device alone makes a good copy go (doubts.go).
//   - What a crash left in the store without a line in the index, and the other way round, is found (sweep.go).
//   - Beyond the quota nothing is taken in; the status of the vault says so.
//
// # What it does not do
//
// It opens no block and no record, has no network but the exchanges it is given, and does not decide who is a member. Package node/keeper
// runs it.
package vault

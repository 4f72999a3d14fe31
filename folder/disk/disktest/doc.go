// Package disktest is a disk in memory for tests, and the suite of tests that every disk passes.
//
// FS obeys the contract of disk.FS, and a little more, so that a whole mesh can run in one test from one seed, bit for bit:
//
//   - Deterministic: no goroutines, no clock but its own, no order that is not sorted, no chance but by a seed.
//   - Clone is cheap whatever the tree holds: clones share what neither changed.
//   - Crash(seed) returns the disk as a power cut at this moment may leave it. What was not synced is lost, kept or torn:
//   - content: each page (4 KiB) that changed since the file's last Sync is the synced or the last written one, or zeros
//     where there was none; the size is the synced or the last one or between; mode and time are the old or the new;
//   - names: each operation on names happens wholly or not at all. Operations on one folder happen in order, so those
//     that are lost are the last ones; likewise operations on one file or folder, and moves of folders. Apart from that,
//     folders are independent.
//     This is ext4 with data=ordered, less its global order of operations: a program that survives this survives that.
//   - Fail is asked before every operation of the program: it returns an error to inject it, or panics with Crashed to end
//     the program at this point; after that the disk is dead and only Crash leads on.
//   - User returns the hand of the user and of their programs on the same disk: it replaces, appends, keeps files open,
//     makes pipes, and Fail is not asked.
//
// Inode numbers are never used twice and survive renames. Permission bits count as they do for an ordinary user who owns
// everything. Nothing here is linked into the program.
package disktest

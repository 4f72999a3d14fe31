// Package disk is the one door between a synced folder and the file system under it.
//
// FS is what the folder's engine asks of a disk: one tree below one root, named by relative paths. OS is the real thing;
// package disktest has the same thing in memory, with power cuts, full disks and broken sectors on request, and one suite
// of tests that both pass.
//
// # Words
//
// A path is a shoal.Path or a path below ".shoal", as bytes, names joined by '/'; "" is the root. A folder is a directory.
// Times are nanoseconds since 1970 in UTC.
//
// # Laws
//
//   - Nothing outside the root is read or written, whatever names and symlinks are there: no operation walks through a
//     symlink, not even one that points inside. A symlink on the way gives ErrNotFolder, like a file on the way.
//     Linux: openat2(RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS), or one name at a time where the
//     kernel lacks it. macOS: one name at a time. Elsewhere: os.Root and a look at every name.
//   - No operation replaces anything: Create, Mkdir, Symlink and Rename fail with fs.ErrExist. Exchange loses neither side.
//   - The root is held open. If its path comes to name something else, the old root goes on being used and CheckRoot says so.
//   - A listing is complete or an error. It is no snapshot: a name that was renamed while the listing went on may be
//     missing under both names on some file systems. Whoever concludes from a missing name that something was deleted
//     asks Lstat first.
//   - Nothing is durable before the file's Sync and its folder's SyncDir, or SyncAll, have returned nil.
//
// # What it does not do
//
// It keeps no state of what it saw, compares nothing, ignores nothing but ".shoal" in the listing of the root, retries
// nothing and logs nothing. File systems mounted inside the tree are crossed; Stat.Device tells. It does not guard against
// processes of the same user that rename folders while an operation runs: such an operation takes place in the folder as it
// was found, and never outside the root.
package disk

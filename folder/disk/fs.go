package disk

import (
	"io"

	"github.com/shoalmesh/shoal"
)

// FS is one tree of files below one root. Every method may be called at once with every other, from any goroutine; each
// takes effect at one moment, except List. Names are as in the package comment; a name that cannot be a path (empty parts,
// ".", "..", NUL, beyond the limits of shoal.Path) gives fs.ErrInvalid or ErrName and touches nothing.
//
// Errors are *fs.PathError and wrap one of fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid,
// errors.ErrUnsupported or of this package's (see ErrNotFolder and its neighbours); anything else is the system's own.
// A method that returns an error has changed nothing, unless its comment says otherwise.
type FS interface {
	Reader
	Writer
	Syncer
	Prober
}

// Reader looks at the tree.
type Reader interface {
	// Lstat describes what is at p, never what a symlink there points to. "" is the root itself.
	//   - fs.ErrNotExist: the folder that would hold p is there and complete, and p is not in it, or that folder is not there
	//   - ErrNotFolder: something on the way to p is not a folder; so p is not there either
	//   - any other error: unknown
	Lstat(p string) (Stat, error)

	// List describes everything that is directly in dir, sorted by the bytes of the names, or returns an error and nothing.
	// At the root ".shoal" is left out. Names that come or go meanwhile may be in it or not. The slice belongs to the caller.
	List(dir string) ([]Stat, error)

	// Open opens the regular file p for reading and never waits, not even at a pipe. ErrNotFile if p is anything else.
	Open(p string) (File, error)

	// Readlink returns the target of the symlink p as it is stored; fs.ErrInvalid if p is no symlink.
	Readlink(p string) (string, error)
}

// Writer changes the tree. Modes are permission bits, 0o7777; the umask does not count.
type Writer interface {
	// Create makes the regular file p, size bytes long and all of it a hole, and opens it. fs.ErrExist if anything is there.
	// After any other error there may be an empty file. Writing takes setuid and setgid bits away again, as everywhere.
	Create(p string, size int64, mode uint32) (WFile, error)

	// Reopen opens the regular file p for reading and writing and leaves its content alone. ErrNotFile if p is anything else.
	Reopen(p string) (WFile, error)

	// Mkdir makes the empty folder p. fs.ErrExist if anything is there.
	Mkdir(p string, mode uint32) error

	// Symlink makes p a symlink with that target, any bytes but NUL, 1 to 4,095 of them (Linux: PATH_MAX). fs.ErrExist if
	// anything is there; errors.ErrUnsupported where the file system has none.
	Symlink(target, p string) error

	// Rename gives what is at from the name to, and never replaces: fs.ErrExist if anything is at to, unless from and to are
	// two spellings of one name to this disk. ErrCrossDevice if they lie on two file systems; fs.ErrInvalid if to lies below
	// from. It is atomic, except on file systems without an exclusive rename (old NFS, some FUSE), where a file may for a
	// moment have both names, and what another process puts at to in the moment of renaming a folder may be replaced if it
	// is an empty folder.
	Rename(from, to string) error

	// Exchange swaps what two names hold, atomically: neither is absent at any moment. Both must exist. errors.ErrUnsupported
	// where the system or the file system cannot.
	Exchange(a, b string) error

	// Remove removes a file, a symlink, or an empty folder. ErrNotEmpty if the folder is not empty. Where users write it is not safe: what is there
	// may be something else by now.
	Remove(p string) error

	// Rmdir removes an empty folder. ErrNotFolder if something else is there, ErrNotEmpty if the folder is not empty.
	Rmdir(p string) error

	// Chmod sets the permission bits of a file or folder. A symlink has none: errors.ErrUnsupported. A file system
	// without permission bits changes nothing, which is no error.
	Chmod(p string, mode uint32) error

	// Chtimes sets the time of last change of a file, a folder or a symlink itself. The disk may round it; Lstat tells.
	Chtimes(p string, mtime int64) error

	// Dress gives the regular file p permission bits and a time of last change if it is still as was says (Name and Links don't count), and returns what
	// it is then; else ErrChanged. What it has already is not set again. sure: nobody can have written to it between the look and the change, which
	// would not show afterwards; false where the system can't tell, and where somebody has it open for writing. After other errors one of the two may be set.
	Dress(p string, was Stat, mode uint32, mtime int64) (now Stat, sure bool, err error)
}

// Syncer makes things durable: they will be there after a power cut.
type Syncer interface {
	// SyncDir makes durable which names dir holds, as they are when it is called. Contents: see WFile.Sync.
	SyncDir(dir string) error

	// SyncAll makes durable everything that was done before it through this FS: contents, names, modes, times. Linux: one
	// syncfs, which writes out what others left in the cache too; elsewhere each changed folder by itself. File systems
	// mounted inside the tree are not covered.
	SyncAll() error
}

// Prober asks about the disk.
type Prober interface {
	// Space returns how many bytes this user may still write, and how many the file system holds in all.
	Space() (free, total int64, err error)

	// Busy tells whether some process has the file p open for writing, this one included. It answers false where the system
	// cannot tell: everywhere but on Linux, for files of other users, on network file systems.
	Busy(p string) (bool, error)

	// CheckRoot returns nil if the path that the tree was opened with still names the root that is held open, else ErrRootGone.
	CheckRoot() error
}

// File is a regular file, open for reading. Read and NextData move and use one position and may not be called at once;
// ReadAt may be called at once with all. Its content may change while it is open.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer

	// Stat describes the open file, wherever its name went since. Name is the name that it was opened by.
	Stat() (Stat, error)

	// NextData finds the next stretch at or after off that is not a hole: [start, end). io.EOF if there is none. Where the
	// system does not tell holes apart, everything is data. It may move the position of Read.
	NextData(off int64) (start, end int64, err error)
}

// WFile is a regular file, open for reading and writing. Its methods may be called at once; writes to the same bytes at
// once leave either's. What is never written stays a hole that reads as zeros, if the file system knows holes.
type WFile interface {
	io.ReaderAt
	io.WriterAt
	// Close may sync where the system has no syncfs. What was not synced may be lost by a power cut, also after Close.
	io.Closer

	// Truncate sets the size; what is gained is a hole.
	Truncate(size int64) error

	// SetMeta sets permission bits and time of last change, as FS.Chmod and FS.Chtimes do by name, with fewer calls of the
	// system. errors.ErrUnsupported where that can be done by name only; some of it may be done then.
	SetMeta(mode uint32, mtime int64) error

	// Sync makes content and size durable, not the name: see SyncDir. An error means that the content may be lost even if
	// a later Sync returns nil (the system reports a failed write once): write it anew.
	Sync() error

	// Stat describes the open file.
	Stat() (Stat, error)
}

// Stat describes one name in the tree. It compares with ==.
type Stat struct {
	// Name is the last name of the path, "" for the root.
	Name string
	// Kind is file, folder or symlink; 0 for what Shoal does not sync: sockets, pipes, devices.
	Kind shoal.Kind
	// Mode is the permission bits, 0o7777; Windows reports 0o666 or 0o444 for files and 0o777 for folders.
	Mode uint32
	// Size is the length of a file's content or of a symlink's target in bytes; for folders it means nothing.
	Size int64
	// MTime and CTime are the times of the last change of the content and of anything about it, in ns since 1970,
	// cut off at the limits of int64 (years 1677 and 2262). CTime is 0 where the system does not tell.
	MTime, CTime int64
	// Inode and Device name the thing itself, whatever names it has. They are 0 where the system does not tell.
	Inode, Device uint64
	// Links is how many names a file has, as far as known; at least 1.
	Links uint64
}

// Same tells whether a and b are the same thing on disk, judged by inode and device; false where these are unknown.
func (a Stat) Same(b Stat) bool {
	return a.Inode != 0 && a.Inode == b.Inode && a.Device == b.Device
}

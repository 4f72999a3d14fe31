package disktest

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// Options say what kind of disk it is. The zero value is a good Linux file system whose clock never moves by itself.
type Options struct {
	// Now is the time at the start in ns since 1970; 0 means 2026-01-01.
	Now int64
	// Step moves the clock on by so much before each operation that changes something.
	Step time.Duration
	// Granularity rounds all times down to its multiples, as FAT does to 2 s; 0 and 1 keep them.
	Granularity int64
	// Capacity is the size of the disk in bytes; 0 means 1 TiB. Only contents count.
	Capacity int64
	// FoldCase makes names that differ only in case one name; the name keeps the spelling that it was made with.
	FoldCase bool
	// Normalize makes names one name that are the same text in Unicode, composed or not; the name keeps the bytes that it was made with.
	Normalize bool
	// StripDots drops dots at the end of a name without a word, as FAT does.
	StripDots bool
	// BadChars are characters that no new name may have (disk.ErrName), such as `:*?"<>|\` on FAT.
	BadChars string
	// NoModes makes every mode 0o755, whatever is asked.
	NoModes bool
	// NoSymlinks and NoExchange take these abilities away (errors.ErrUnsupported).
	NoSymlinks, NoExchange bool
}

// Crashed is what Fail panics with to end the program, and what every later operation returns.
var Crashed = errors.New("disktest: the power is off")

// FS is a disk in memory. See the package comment. Its methods may be called from several goroutines.
type FS struct {
	// Fail, if set, is asked before every operation that the program under test does, with the method's name in lower case
	// ("lstat", "list", "open", "readlink", "create", "reopen", "mkdir", "symlink", "rename", "exchange", "remove",
	// "chmod", "chtimes", "dress", "syncdir", "syncall", "space", "busy", "checkroot"; on files "read", "nextdata", "write",
	// "truncate", "sync", "fstat") and the path (of Rename and Exchange the first; of Symlink its own; of files that which
	// they were opened by). The error that it returns is injected. It may use the disk through Clone and User. It is called
	// without a lock held. It is set before the disk is used and not copied by Clone and Crash.
	Fail func(op, p string) error

	opts   Options
	family *family

	mu sync.Mutex
	// guarded by mu
	id       uint64 // of this FS as an owner of inodes
	inodes   *btree.Map[uint64, *inode]
	dirty    *btree.Map[uint64, struct{}] // inodes with a durable part
	log      []nameOp                     // operations on names that are not durable, oldest first
	lastIno  uint64
	lastDev  uint64
	now      int64
	used     int64
	open     map[uint64]int // inode → handles
	writers  map[uint64]int // inode → handles for writing
	rootGone bool
	dead     bool
}

// family is what a disk and its clones share.
type family struct {
	sync.Mutex // held while an inode of another owner is copied
	lastID     atomic.Uint64
}

var _ disk.FS = (*FS)(nil)

// New returns an empty disk. Its root has mode 0o755.
func New(o Options) *FS {
	if o.Now == 0 {
		o.Now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	}
	if o.Capacity == 0 {
		o.Capacity = 1 << 40
	}
	f := &FS{
		opts: o, family: new(family), now: o.Now,
		inodes: new(btree.Map[uint64, *inode]), dirty: new(btree.Map[uint64, struct{}]),
		open: map[uint64]int{}, writers: map[uint64]int{}, lastDev: 1,
	}
	f.id = f.family.lastID.Add(1)
	f.newInode(shoal.KindFolder, 0o755, f.lastDev).links = 1
	f.settle()
	return f
}

// Clone returns a disk of its own in the same state, without open files and without Fail. A dead disk's clone is dead.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clone()
}

func (f *FS) clone() *FS {
	f.log = f.log[:len(f.log):len(f.log)] // so that neither appends into the other's
	c := &FS{
		opts: f.opts, family: f.family, now: f.now, id: f.family.lastID.Add(1),
		inodes: f.inodes.Copy(), dirty: f.dirty.Copy(), log: f.log,
		lastIno: f.lastIno, lastDev: f.lastDev, used: f.used, rootGone: f.rootGone, dead: f.dead,
		open: map[uint64]int{}, writers: map[uint64]int{},
	}
	f.id = f.family.lastID.Add(1) // what it has so far is shared now
	for ino, handles := range f.open {
		if n := f.get(ino); handles > 0 && n.links == 0 {
			c.used -= int64(n.content.pages.Len()) * pageSize // only the open file kept it
		}
	}
	return c
}

// Now returns the disk's clock in ns since 1970.
func (f *FS) Now() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// SetNow sets the clock, forwards or backwards.
func (f *FS) SetNow(ns int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = ns
}

// Advance moves the clock on.
func (f *FS) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now += int64(d)
}

// begin asks Fail and then locks; the caller unlocks if the error is nil.
func (f *FS) begin(op, p string) error {
	if err := f.ask(op, p); err != nil {
		return &fs.PathError{Op: op, Path: p, Err: err}
	}
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return &fs.PathError{Op: op, Path: p, Err: Crashed}
	}
	return nil
}

// ask calls Fail; if that panics, the power is off.
func (f *FS) ask(op, p string) error {
	if f.Fail == nil {
		return nil
	}
	f.mu.Lock()
	dead := f.dead
	f.mu.Unlock()
	if dead {
		return Crashed
	}
	returned := false
	defer func() {
		if !returned {
			f.mu.Lock()
			f.dead = true
			f.mu.Unlock()
		}
	}()
	err := f.Fail(op, p)
	returned = true
	return err
}

// do runs one operation of the program on the path p.
func (f *FS) do(op, p string, fn func() error) error {
	if err := validate(p); err != nil {
		return &fs.PathError{Op: op, Path: p, Err: err}
	}
	if err := f.begin(op, p); err != nil {
		return err
	}
	defer f.mu.Unlock()
	return wrap(op, p, fn())
}

// change is do for operations that change something.
func (f *FS) change(op, p string, fn func() error) error {
	return f.do(op, p, func() error {
		if p == "" {
			return fs.ErrInvalid
		}
		f.now += int64(f.opts.Step)
		return fn()
	})
}

func wrap(op, p string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: p, Err: err}
}

// validate refuses what can be no path in the tree; the root is one.
func validate(p string) error {
	if p == "" {
		return nil
	}
	if len(p) > shoal.MaxPathBytes {
		return disk.ErrName
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return fs.ErrInvalid
		}
		if len(name) > shoal.MaxNameBytes {
			return disk.ErrName
		}
	}
	return nil
}

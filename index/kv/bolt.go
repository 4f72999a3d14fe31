package kv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Bolt is a Store in one bbolt file.
type Bolt struct {
	committer
	path   string
	db     *bbolt.DB
	fill   func(bucket string) float64
	isLate func(bucket string) bool
	limits laterLimits
	later  atomic.Pointer[laterVersions]
	broken atomic.Pointer[error] // set when damage was found; nothing works after
	closed atomic.Bool

	// unended counts transactions from before they begin until they have ended. One that bbolt panicked out of never ends, and may hold
	// bbolt's locks for ever.
	unended atomic.Int64
}

var _ Store = (*Bolt)(nil)

// BoltOptions are the options of Open.
type BoltOptions struct {
	// NoSync leaves it to the operating system when commits reach the disk; a crash of the machine may then damage the file.
	// For tests.
	NoSync bool

	// Fill tells how full pages of a bucket are packed when they are split, 0.1 to 1: high for keys that come in order, 0.5 for
	// random ones. nil: 0.5.
	Fill func(bucket string) float64

	// Later tells which buckets have keys that come in no order, so that it pays to put changes in place later and many at once; see later.go. nil:
	// none. A bucket of which it was said once remains one.
	Later func(bucket string) bool
}

const (
	lockTimeout = time.Second

	// initialMap is address space, not memory: while the file is smaller than this, growing it does not wait for readers.
	// Windows would make the file that big at once (bbolt issue 378).
	initialMap = 1 << 30

	// growBy is how much the file grows at once; each time costs a sync. bbolt's default, 16 MiB, is much for a small folder.
	growBy = 4 << 20
)

// Open opens or creates the file at path, mode 0600. Errors: ErrLocked, ErrDamaged, or what the disk says.
func Open(path string, o BoltOptions) (*Bolt, error) {
	options := &bbolt.Options{
		Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: o.NoSync, NoStatistics: true,
	}
	if runtime.GOOS != "windows" && math.MaxInt > math.MaxInt32 {
		options.InitialMmapSize = initialMap
	}
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		// A file of no bytes is what a crash leaves between creating and the first page; it held nothing.
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	if err := verify(path); err != nil {
		if locked(path) {
			return nil, ErrLocked // it was read while another process wrote
		}
		return nil, fmt.Errorf("verify: %w", err)
	}
	b := &Bolt{path: path, fill: o.Fill, isLate: o.Later, limits: defaultLimits}
	if b.isLate == nil {
		b.isLate = func(string) bool { return false }
	}
	if b.fill == nil {
		b.fill = func(string) float64 { return bbolt.DefaultFillPercent }
	}
	var file *os.File
	options.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err := catch(func() (err error) {
		defer markDamage()
		if b.db, err = bbolt.Open(path, 0o600, options); err == nil {
			b.db.AllocSize = growBy
			err = b.loadLater()
		}
		return err
	})
	if err != nil {
		if errors.Is(err, ErrDamaged) && file != nil {
			_ = file.Close() // bbolt panicked; so at least its lock ends
		}
		return nil, openError(err)
	}
	return b, nil
}

// loadLater reads what is not in its place yet.
func (b *Bolt) loadLater() error {
	tx, err := b.db.Begin(false)
	if err != nil {
		return err
	}
	table, err := loadLater(tx)
	if err = errors.Join(err, tx.Rollback()); err == nil {
		b.later.Store(&laterVersions{newest: table})
	}
	return err
}

// locked tells whether another process has the file open for writing.
func locked(path string) bool {
	err := catch(func() error {
		defer markDamage()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
		if err != nil {
			return err
		}
		return db.Close()
	})
	return errors.Is(err, bolterrors.ErrTimeout)
}

func openError(err error) error {
	var pathError *fs.PathError
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.As(err, &pathError):
		return err
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case strings.Contains(err.Error(), "file size too small"): // bbolt has no error value for it (db.go, mmap)
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Update runs fn; see Store.
func (b *Bolt) Update(fn func(Tx) error) error {
	if err := b.usable(); err != nil {
		return err
	}
	return b.watch(func() error { return b.update(b, fn) })
}

// View runs fn; see Store.
func (b *Bolt) View(fn func(Tx) error) error {
	if err := b.usable(); err != nil {
		return err
	}
	return b.watch(func() error {
		tx, table, err := b.beginView()
		if err != nil {
			return err
		}
		defer b.endView(tx)
		return fn(snapshot{&boltSnapshot{tx, b, table}})
	})
}

// beginView returns a read transaction and what belongs to it of what is not in its place yet.
func (b *Bolt) beginView() (*bbolt.Tx, *laterTable, error) {
	for {
		tx, err := b.beginTx(false)
		if err != nil {
			return nil, nil, err
		}
		if table := b.later.Load().at(tx.ID()); table != nil {
			return tx, table, nil
		}
		b.endView(tx) // two commits went by since it began
	}
}

func (b *Bolt) endView(tx *bbolt.Tx) {
	_ = tx.Rollback() // a read transaction has nothing to lose
	b.unended.Add(-1)
}

func (b *Bolt) beginTx(writable bool) (*bbolt.Tx, error) {
	b.unended.Add(1)
	tx, err := b.db.Begin(writable)
	if err != nil {
		b.unended.Add(-1)
	}
	return tx, boltError(err)
}

// Sync calls fsync on the file.
func (b *Bolt) Sync() error {
	if err := b.usable(); err != nil {
		return err
	}
	return b.db.Sync()
}

// Close waits for running transactions and writes the list of free pages, which commits leave out, so that the next Open need
// not look for them. After damage the file is left as it is, and open if one of bbolt's locks may be held for ever.
func (b *Bolt) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain()
	broken := b.broken.Load() != nil
	if b.closed.Swap(true) || broken && b.unended.Load() > 0 {
		return nil
	}
	return catch(func() error {
		defer markDamage()
		if broken {
			return b.db.Close()
		}
		return errors.Join(b.writeFreePages(), b.db.Close())
	})
}

func (b *Bolt) writeFreePages() error {
	b.db.NoFreelistSync = false
	tx, err := b.db.Begin(true)
	if err != nil {
		return err
	}
	return tx.Commit()
}

func (b *Bolt) usable() error {
	if b.closed.Load() {
		return ErrClosed
	}
	if err := b.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// watch remembers damage, so that nothing touches the file again.
func (b *Bolt) watch(fn func() error) error {
	err := catch(fn)
	if errors.Is(err, ErrDamaged) {
		b.broken.CompareAndSwap(nil, &err)
	}
	return err
}

func boltError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (b *Bolt) begin() (batch, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	tx, err := b.beginTx(true)
	if err != nil {
		return nil, err
	}
	return &boltBatch{tx: tx, store: b, table: b.later.Load().newest}, nil
}

// WriteTo writes the file as it was at one moment to w. Updates go on meanwhile, and the file grows by what they change.
func (b *Bolt) WriteTo(w io.Writer) (n int64, err error) {
	if err := b.usable(); err != nil {
		return 0, err
	}
	err = b.watch(func() error {
		tx, err := b.beginTx(false)
		if err != nil {
			return err
		}
		defer b.endView(tx)
		n, err = tx.WriteTo(w)
		return err
	})
	return n, err
}

package index

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index/kv"
)

// Options are the options of Open and OpenMemory. The zero value is fine.
type Options struct {
	// Clock tells the time of records and heads. nil: the wall clock.
	Clock func() time.Time

	// Rand gives the numbers of new journals and databases. nil: the operating system's randomness.
	Rand io.Reader

	// NoSync leaves it to the operating system when commits reach the disk; only for tests.
	NoSync bool

	// LoseUnsynced makes Crash lose what was committed after the last Sync; in memory only.
	LoseUnsynced bool
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// DB holds what one device knows of all its folders, in one file or in memory. Safe for concurrent use.
type DB struct {
	name    string // for messages
	store   kv.Store
	options Options
	number  atomic.Uint64

	mu      sync.Mutex
	folders map[shoal.FolderID]*Folder // guarded by mu
}

// Names and keys of the part of the database that belongs to no folder; docs/database.md.
const (
	databaseFormat = 1

	metaBucket    = "meta"
	foldersBucket = "folders" // folder ID → number

	metaFormat = "format"
	metaNumber = "number" // of this database
	metaFolder = "folder" // greatest number given to a folder
)

// Open opens or creates the database file at path. Errors: ErrLocked; *DamagedError when the file cannot be used and should be
// moved away; ErrVersion; or what the disk says.
func Open(path string, o Options) (*DB, error) {
	store, err := kv.Open(path, kv.BoltOptions{NoSync: o.NoSync, Fill: fillOf, Later: isScattered})
	switch {
	case errors.Is(err, kv.ErrDamaged):
		return nil, &DamagedError{Path: path, Reason: err}
	case errors.Is(err, kv.ErrLocked):
		return nil, fmt.Errorf("open database %s: %w", path, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db, err := newDB(path, store, o)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return db, nil
}

// fillOf packs the pages of buckets whose keys mostly come in order. The keys of the others are hashes: a page that is packed tightly is split at the next
// one.
func fillOf(bucket string) float64 {
	_, name, _ := strings.Cut(bucket, ".")
	switch name {
	case bucketNames[bBlocks], bucketNames[bUses], bucketNames[bLacking], bucketNames[bNodes], bucketNames[bLackingNodes], bucketNames[bCopies]:
		return 0.5
	}
	return 0.9
}

// isScattered tells which buckets are big and have keys that come in no order: changes of them are put in place later, many at once.
func isScattered(bucket string) bool {
	_, name, _ := strings.Cut(bucket, ".")
	return name == bucketNames[bBlocks] || name == bucketNames[bUses]
}

// OpenMemory returns an empty database in memory.
func OpenMemory(o Options) *DB {
	db, err := newDB("in memory", kv.NewMemory(o.LoseUnsynced), o)
	if err != nil {
		panic("index: " + err.Error()) // memory does not fail; a random source that does is the caller's fault
	}
	return db
}

// newDB reads or writes what tells databases apart.
func newDB(name string, store kv.Store, o Options) (*DB, error) {
	db := &DB{name: name, store: store, options: o.withDefaults(), folders: make(map[shoal.FolderID]*Folder)}
	found := false
	err := store.View(func(tx kv.Tx) error {
		meta := tx.Bucket(metaBucket)
		format := meta.Get([]byte(metaFormat))
		if found = format != nil; !found {
			return nil
		}
		if len(format) != 1 || format[0] != databaseFormat {
			return fmt.Errorf("format %x: %w", format, ErrVersion)
		}
		number := meta.Get([]byte(metaNumber))
		if len(number) != 8 {
			return fmt.Errorf("%w: number of the database: %w", kv.ErrDamaged, errShort)
		}
		db.number.Store(binary.BigEndian.Uint64(number))
		return nil
	})
	if err != nil || found {
		return db, db.wrap(err)
	}
	return db, db.wrap(store.Update(db.initialize))
}

// initialize gives a new database its number: the time, so that a later one is greater, and chance below the second.
func (db *DB) initialize(tx kv.Tx) error {
	var chance [4]byte
	if _, err := io.ReadFull(db.options.Rand, chance[:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	number := uint64(db.options.Clock().Unix())<<28 | uint64(binary.BigEndian.Uint32(chance[:])>>4)
	db.number.Store(number)
	meta := tx.Bucket(metaBucket)
	meta.Put([]byte(metaFormat), []byte{databaseFormat})
	meta.Put([]byte(metaNumber), binary.BigEndian.AppendUint64(nil, number))
	return nil
}

// Number tells databases of one device apart; a newer one has a greater number, as far as the clock can be trusted.
func (db *DB) Number() uint64 { return db.number.Load() }

// Clone returns a database in memory with what is durable in this one now, as an image of the disk would have it. This one goes on.
func (db *DB) Clone(o Options) *DB {
	memory, ok := db.store.(*kv.Memory)
	if !ok {
		panic("index: clone of a database that is not in memory")
	}
	image, err := newDB(db.name, memory.Clone(), o)
	if err != nil {
		panic("index: " + err.Error()) // memory does not fail
	}
	return image
}

// Crash ends a database in memory as a power failure would, and returns one with what was durable.
func (db *DB) Crash() *DB {
	memory, ok := db.store.(*kv.Memory)
	if !ok {
		panic("index: crash of a database that is not in memory")
	}
	after, err := newDB(db.name, memory.Crash(), db.options)
	if err != nil {
		panic("index: " + err.Error()) // memory does not fail
	}
	return after
}

// Sync makes durable what a database opened with NoSync or LoseUnsynced has committed. Others need it not.
func (db *DB) Sync() error { return db.wrap(db.store.Sync()) }

// Close waits for running transactions. It may be called twice.
func (db *DB) Close() error { return db.wrap(db.store.Close()) }

// wrap turns the store's errors into this package's.
func (db *DB) wrap(err error) error {
	var already *DamagedError
	switch {
	case err == nil || errors.As(err, &already):
		return err
	case errors.Is(err, kv.ErrDamaged):
		return &DamagedError{Path: db.name, Reason: err}
	case errors.Is(err, kv.ErrClosed):
		return ErrClosed
	}
	return err
}

// Folder returns a folder of the database, which is created when absent. Later calls for the same folder return the same
// value, with the new config.
func (db *DB) Folder(id shoal.FolderID, c FolderConfig) (*Folder, error) {
	number, err := db.folderNumber(id)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", id, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	f := db.folders[id]
	if f == nil {
		f = newFolder(db, id, number)
		db.folders[id] = f
	}
	f.config.Store(&c)
	return f, nil
}

// folderNumber returns the short number of a folder, given to it at the first time. Numbers are not used again.
func (db *DB) folderNumber(id shoal.FolderID) (number uint32, err error) {
	read := func(tx kv.Tx) bool {
		v := tx.Bucket(foldersBucket).Get(id[:])
		if len(v) == 4 {
			number = binary.BigEndian.Uint32(v)
		}
		return len(v) == 4
	}
	found := false
	err = db.store.View(func(tx kv.Tx) error { found = read(tx); return nil })
	if err != nil || found {
		return number, db.wrap(err)
	}
	err = db.store.Update(func(tx kv.Tx) error {
		if read(tx) { // somebody else was faster
			return nil
		}
		meta := tx.Bucket(metaBucket)
		if last := meta.Get([]byte(metaFolder)); len(last) == 4 {
			number = binary.BigEndian.Uint32(last)
		}
		number++
		key := binary.BigEndian.AppendUint32(nil, number)
		meta.Put([]byte(metaFolder), key)
		tx.Bucket(foldersBucket).Put(id[:], key)
		return nil
	})
	return number, db.wrap(err)
}

// Folders lists the folders of the database.
func (db *DB) Folders() ([]shoal.FolderID, error) {
	var ids []shoal.FolderID
	err := db.store.View(func(tx kv.Tx) error {
		c := tx.Bucket(foldersBucket).Cursor()
		for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
			if len(k) != len(shoal.FolderID{}) {
				return fmt.Errorf("%w: folder ID: %w", kv.ErrDamaged, errShort)
			}
			ids = append(ids, shoal.FolderID(k))
		}
		return nil
	})
	return ids, db.wrap(err)
}

// DropFolder forgets everything about a folder. What is not there is no error. Folder values of it must not be used any more.
func (db *DB) DropFolder(id shoal.FolderID) error {
	db.mu.Lock()
	delete(db.folders, id)
	db.mu.Unlock()
	return db.wrap(db.store.Update(func(tx kv.Tx) error {
		folders := tx.Bucket(foldersBucket)
		v := folders.Get(id[:])
		if len(v) != 4 {
			return nil
		}
		for _, name := range bucketNames {
			tx.Drop(bucketName(binary.BigEndian.Uint32(v), name))
		}
		folders.Delete(id[:])
		return nil
	}))
}

// Check walks everything and reports every broken invariant, joined; nil means the database is sound. It recomputes all rows
// from all records, in memory of the order of the number of paths.
func (db *DB) Check(ctx context.Context) error {
	db.mu.Lock()
	folders := make([]*Folder, 0, len(db.folders))
	for _, f := range db.folders {
		folders = append(folders, f)
	}
	db.mu.Unlock()
	var errs []error
	for _, f := range folders {
		if err := f.check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("folder %s: %w", f.id, err))
		}
	}
	return errors.Join(errs...)
}

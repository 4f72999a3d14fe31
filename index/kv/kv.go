// Package kv is the small transactional store that package index stands on: named buckets of sorted keys, on disk in one bbolt
// file (Open) or in memory (NewMemory).
//
// # Laws
//
//   - Update is all or nothing, and durable when it returns nil. Updates that wait for each other share one commit to disk.
//   - View sees one moment: the last commit before it began.
//   - Keys are not empty. Slices handed out are valid until the transaction ends and must not be changed; slices handed in are
//     kept and must not be changed afterwards.
//   - Whatever shows that the file is damaged (bbolt panics, memory faults behind the map, checksums) comes back as an error that
//     wraps ErrDamaged; the store then refuses everything.
//
// It knows nothing of what it stores. Package kv/kvtest holds the suite that every implementation passes.
package kv

import "errors"

// Errors of stores.
var (
	// ErrDamaged: the file cannot be used any more.
	ErrDamaged = errors.New("damaged")

	// ErrLocked: another process has the file open.
	ErrLocked = errors.New("in use by another process")

	// ErrClosed: Close was called.
	ErrClosed = errors.New("store is closed")
)

// Store is a transactional store. Safe for concurrent use; the functions handed in run on the caller's goroutine and must not
// call the store again.
type Store interface {
	// Update runs fn in a read-write transaction. When fn returns nil its changes are committed; Update returns nil once they
	// are durable. When fn returns an error or panics nothing of it remains, and other Updates are not disturbed.
	Update(fn func(Tx) error) error

	// View runs fn on a snapshot. Changing anything in it panics.
	View(fn func(Tx) error) error

	// Sync makes durable what commits left to the operating system; it does something only for stores opened without syncing.
	Sync() error

	// Close waits for running transactions. It may be called twice.
	Close() error
}

// Tx is one transaction. Not safe for concurrent use.
type Tx interface {
	// Bucket returns the bucket with a name. A bucket exists as soon as something is put into it, and reads as empty before.
	Bucket(name string) Bucket

	// Drop empties a bucket at once, whatever its size. Bucket values and cursors of that name end with it.
	Drop(name string)

	// Nested runs fn in a transaction inside this one: its changes join when fn returns nil, and nothing of it remains
	// otherwise. This one must not be used meanwhile; Bucket values taken before stay valid, cursors do not.
	Nested(fn func(Tx) error) error
}

// Bucket is a set of sorted keys with values.
type Bucket interface {
	// Get returns nil when there is no such key. An empty value comes back as a slice of length 0 that is not nil.
	Get(key []byte) []byte
	Put(key, value []byte)
	Delete(key []byte) // what is not there is no error

	// Cursor returns a cursor that stands nowhere. It must not be used after a Put or Delete in its bucket.
	Cursor() Cursor
}

// Cursor walks a bucket in the order of the keys' bytes.
type Cursor interface {
	// Seek goes to the first key at or after key; an empty key means the first. key nil in the answer: there is none.
	Seek(key []byte) (k, v []byte)

	// Next goes on from where Seek or Next stood.
	Next() (k, v []byte)
}

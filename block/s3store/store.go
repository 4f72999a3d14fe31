package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// The defaults of a Config.
const (
	DefaultPackSize    = 64 << 20
	DefaultMissRefresh = time.Second
	DefaultGrace       = time.Hour
	DefaultLease       = 2 * time.Minute
	DefaultCheckpoint  = 1024
)

// Config says where a store lives and how it writes. Zero values stand for the defaults.
type Config struct {
	Target Target           // the bucket, and the prefix in it, which belongs to the store alone
	Dir    string           // a directory for the index and for what is not uploaded yet; created if missing, not its parents. One process at a time
	Rand   io.Reader        // crypto/rand.Reader, except in tests; safe for concurrent use
	Now    func() time.Time // time.Now, except in tests. Clocks of all processes may differ by ClockSlack

	PackSize    int64         // blocks are uploaded when there are so many bytes of them, at the latest; at most 1 GiB
	Pin         time.Duration // a block that was put is not deleted for so long after the Sync that made it durable; 0: may be at once
	MissRefresh time.Duration // a block that is not found is looked for in the bucket, but not more often than this; negative: always
	Grace       time.Duration // packs that nobody names are removed when they are this old, by the server's clock; negative: at once
	Lease       time.Duration // who compacts and is not heard of for so long may be replaced
	Checkpoint  int           // Compact replaces the ledger's entries by a checkpoint when there are this many

	Tries   int           // attempts of each request; 0: 8
	Pause   time.Duration // before the second attempt; doubles, up to 5 s; 0: 50 ms
	Timeout time.Duration // of one attempt, beside a second for each 128 KiB that it moves; 0: 30 s
}

const maxPackSize = 1 << 30

// Validate checks that each field makes sense.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("no directory for the index")
	case c.Rand == nil || c.Now == nil:
		return errors.New("no source of random bytes, or no clock")
	case c.PackSize < 0 || c.PackSize > maxPackSize:
		return fmt.Errorf("pack size %d is not between 0 and %d", c.PackSize, maxPackSize)
	case c.Pin < 0 || c.Lease < 0 || c.Checkpoint < 0 || c.Tries < 0 || c.Pause < 0 || c.Timeout < 0:
		return errors.New("negative setting")
	}
	return c.Target.Validate()
}

func (c Config) withDefaults() Config {
	if c.PackSize == 0 {
		c.PackSize = DefaultPackSize
	}
	if c.MissRefresh == 0 {
		c.MissRefresh = DefaultMissRefresh
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Checkpoint == 0 {
		c.Checkpoint = DefaultCheckpoint
	}
	return c
}

// Store is a block.Store in a bucket, as one process sees it. All methods are safe for concurrent use.
type Store struct {
	config Config         // set once
	bucket *bucket.Bucket // set once

	// commit is held by who reads or writes the ledger, or changes the index: one at a time. It is a channel so that waiting for it
	// can end with a context. Taken before mu.
	commit  chan struct{}
	guarded map[ledger.PackName]*spool // guarded by commit: uploaded, and not in the ledger yet

	lastMiss atomic.Int64 // when the ledger was read because a block was missing, in nanoseconds since 1970

	mu       sync.RWMutex
	index    *index // guarded by mu: pointer and fields; changed only with commit held too
	current  *spool // guarded by mu: what was put and deleted since the last Sync
	flushing *spool // guarded by mu: what a Sync is making durable, or could not; nil: nothing. Replaced only with commit held too
	closed   bool   // guarded by mu
}

var _ block.Store = (*Store)(nil)

// ID names what lies in the bucket under this prefix: it is the same for all that serve it, and random.
func (s *Store) ID() [16]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.store
}

// Open opens the store at c.Target, or makes one if there is nothing under that prefix. It tries whether the server keeps conditions of writes, reads what the ledger
// has that the index lacks, and builds the index again if there is none that fits. Errors: those of a bucket; ErrInUse; ErrDamaged.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	s, err := open(ctx, c.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("open block store at %s: %w", c.Target, err)
	}
	return s, nil
}

func open(ctx context.Context, c Config) (_ *Store, err error) {
	if err := os.Mkdir(c.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	b, err := bucket.Open(bucket.Config{Target: c.Target, Tries: c.Tries, Pause: c.Pause, Timeout: c.Timeout})
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, bucket: b, commit: make(chan struct{}, 1), guarded: make(map[ledger.PackName]*spool), current: newSpool(c.Dir, c.Rand)}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if err := s.probe(ctx); err != nil {
		return nil, err
	}
	anchor, err := s.findAnchor(ctx)
	if err != nil {
		return nil, err
	}
	s.index, err = openIndex(c.Dir, anchor.Store)
	if errors.Is(err, errDamagedIndex) {
		if err := removeIndex(c.Dir, indexName); err != nil {
			return nil, err
		}
		if s.index, err = s.build(ctx, anchor); err == nil {
			err = s.index.take(c.Dir)
		}
	}
	if err != nil {
		return nil, err
	}
	err = errors.Join(removeSpools(c.Dir), s.refresh(ctx))
	if err != nil {
		return nil, errors.Join(err, s.index.close())
	}
	return s, nil
}

// Close lets the directory and the connections go. What was put and not synced is lost. It is safe to call twice; other methods return ErrClosed
// afterwards.
func (s *Store) Close() error {
	s.commit <- struct{}{} // who holds it ends when its context or its attempts do
	defer s.unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.current.close()
	if s.flushing != nil {
		err = errors.Join(err, s.flushing.close())
	}
	err = errors.Join(err, s.index.close())
	if s.index.damaged.Load() {
		err = errors.Join(err, removeIndex(s.config.Dir, indexName)) // the next Open builds it again
	}
	s.bucket.Close()
	return err
}

// lock takes commit, unless ctx ends first or the store is closed.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.commit <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		s.unlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) unlock() { <-s.commit }

// held is a copy of a block, in a pack or in a spool.
type held struct {
	copyAt
	in *spool  // nil: in the pack at place
	at spooled // where in the spool
}

// lookup returns the copies that k names, lowest hash first. s.mu is held.
func (s *Store) lookup(k block.Key) ([]held, error) {
	if s.closed {
		return nil, ErrClosed
	}
	return s.lookupIn(k, s.flushing, s.current)
}

// lookupIn is lookup with some of the spools over the index.
func (s *Store) lookupIn(k block.Key, spools ...*spool) ([]held, error) {
	indexed, err := s.index.find(k)
	if err != nil {
		return nil, err
	}
	copies := make([]held, 0, len(indexed)+1)
	for _, c := range indexed {
		copies = append(copies, held{copyAt: c})
	}
	for _, sp := range spools {
		if sp != nil {
			copies = sp.overlay(k, copies)
		}
	}
	return copies, nil
}

// Put implements block.Store. The block waits in the cache directory for the next Sync; when a pack's worth of blocks waits, it is uploaded
// at once, and Put takes as long.
func (s *Store) Put(ctx context.Context, k block.Key, sealed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(sealed) == 0 || len(sealed) > block.MaxSealed {
		return fmt.Errorf("put block %s of %d bytes: %w", k.ID, len(sealed), block.ErrSize)
	}
	hash := block.SealedHash(sealed)
	if k.Sealed == ([32]byte{}) {
		k.Sealed = hash
	}
	if k.Sealed != hash {
		return fmt.Errorf("put block %s: bytes do not match the key", k.ID)
	}
	err := s.withRoom(ctx, func() error { return s.put(k, sealed) })
	if err != nil {
		return fmt.Errorf("put block %s: %w", k.ID, err)
	}
	return nil
}

// put spools a block, even if the index has it: another process may delete it before the next Sync, which then needs the bytes. s.mu is held.
func (s *Store) put(k block.Key, sealed []byte) error {
	if c, ok := s.current.find(k); ok && c.offset != 0 {
		return nil
	} else if !ok && s.flushing != nil {
		if c, ok := s.flushing.find(k); ok && c.offset != 0 {
			return nil
		}
	}
	return s.current.put(k, sealed, 0)
}

// withRoom calls do with s.mu held, when the current spool has room for one more change; it makes room by Sync.
func (s *Store) withRoom(ctx context.Context, do func() error) error {
	for {
		s.mu.Lock()
		if s.closed || !s.current.full(s.config.PackSize) {
			break
		}
		s.mu.Unlock()
		if err := s.Sync(ctx); err != nil {
			return err
		}
	}
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return do()
}

// Has implements block.Store. Before it says no, it looks whether the ledger has something new; see Config.MissRefresh.
func (s *Store) Has(ctx context.Context, k block.Key) (bool, error) {
	for looked := false; ; looked = true {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		s.mu.RLock()
		copies, err := s.lookup(k)
		s.mu.RUnlock()
		if err == nil && len(copies) == 0 && !looked {
			var fresh bool
			if fresh, err = s.refreshMissing(ctx); err == nil && fresh {
				continue
			}
		}
		if err != nil {
			return false, fmt.Errorf("look for block %s: %w", k.ID, err)
		}
		return len(copies) > 0, nil
	}
}

// Delete implements block.Store: it is DeleteAsOf now.
func (s *Store) Delete(ctx context.Context, k block.Key) error {
	return s.DeleteAsOf(ctx, k, s.config.Now())
}

// DeleteAsOf deletes a block that was found to be needed by nobody, from what was known at that time. A copy on which a pin ends later than then stays: ErrPinned. Others see
// the deletion after the next Sync; if one of them pinned the copy by then, it stays too, and this store has it again. So who pins a block for long enough to tell all
// others that he needs it can count on it, however long another one sleeps between deciding and deleting.
func (s *Store) DeleteAsOf(ctx context.Context, k block.Key, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	asOf := uint32(min(max(at.Unix(), 1), 1<<32-1))
	if err := s.withRoom(ctx, func() error { return s.delete(k, asOf) }); err != nil {
		return fmt.Errorf("delete block %s: %w", k.ID, err)
	}
	return nil
}

// delete notes that copies are deleted. s.mu is held.
func (s *Store) delete(k block.Key, asOf uint32) error {
	copies, err := s.lookup(k)
	if err != nil {
		return err
	}
	for _, c := range copies {
		k.Sealed = c.sealed
		below, err := s.lookupIn(k, s.flushing)
		switch {
		case err != nil:
			return err
		case len(below) == 0:
			s.current.forget(k)
		case pinned(below[0].copyAt, asOf):
			return ErrPinned
		default:
			s.current.delete(k, asOf)
		}
	}
	return nil
}

// pinned tells whether a copy may not be deleted by what was known at a time.
func pinned(c copyAt, asOf uint32) bool {
	return c.until != 0 && int64(asOf) < int64(c.until)+int64(ClockSlack/time.Second)
}

// until returns the time d from now as the ledger has it; 0 if d is.
func (s *Store) until(d time.Duration) uint32 {
	if d == 0 {
		return 0
	}
	return uint32(min(max(s.config.Now().Add(d).Unix(), 1), 1<<32-1))
}

// packObject names the object of a pack.
func packObject(n ledger.PackName) string { return "packs/" + n.String() + ".pack" }

// entryObject names the object of an entry.
func entryObject(number uint32) string { return fmt.Sprintf("ledger/%08x", number) }

// offsetOf returns where the sealed block of a copy begins in its pack.
func (c copyAt) offsetOf() int64 { return int64(c.place.Offset) + packfile.RecordHeadSize }

package packstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// Errors of Open and of all methods.
var (
	// ErrInUse: another process has the directory open.
	ErrInUse = errors.New("block store is in use by another process")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("block store is closed")
)

// ErrDamaged is the reason inside a *block.CorruptError: what lies on the disk is not what was put there.
var ErrDamaged = errors.New("stored bytes have changed")

// The defaults of a Config.
const (
	DefaultPackSize = 64 << 20
	DefaultBatch    = 4096
)

// Config says where a store lives and how it writes.
type Config struct {
	Dir  string    // its own directory; created if missing, not its parents
	Rand io.Reader // for the salts of packs: crypto/rand.Reader, except in tests

	PackSize int64 // a pack that has reached it is followed by another; 0: DefaultPackSize
	Batch    int   // blocks put or deleted before the index learns of them; 0: DefaultBatch. Each takes about 200 bytes of memory
}

// Validate refuses a missing Dir or Rand, and numbers out of range.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("block store without directory")
	case c.Rand == nil:
		return errors.New("block store without random source")
	case c.PackSize < 0 || c.PackSize > packfile.MaxSize:
		return fmt.Errorf("pack size %d: out of range", c.PackSize)
	case c.Batch < 0:
		return fmt.Errorf("batch of %d: out of range", c.Batch)
	}
	return nil
}

// Store is a block.Store in a directory; see the package comment. Make one with Open.
type Store struct {
	// Set once.
	config  Config
	files   files
	index   *index
	handles *handles

	// write is held while something is appended, committed or removed: one writer at a time, disk work included, since records lie
	// one behind the other. Readers do not take it. Order: write before mu.
	write   sync.Mutex
	current packfile.Head // guarded by write: the pack that grows
	out     file          // guarded by write: its file
	end     int64         // guarded by write: where the next record goes
	synced  int64         // guarded by write: everything before it is durable
	broken  error         // guarded by write: a sync failed, so nobody knows what is durable
	closed  bool          // guarded by write
	buf     []byte        // guarded by write: a small record on its way out

	mu    sync.RWMutex
	table *table // guarded by mu; changed only with write held too
}

var _ block.Store = (*Store)(nil)

// Open opens the store in c.Dir, or makes one. It reads what the index lacks: a few records after a clean end, the tail of a pack
// after a crash, the heads of all records if the index is lost. Errors: ErrInUse; those of the disk.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	if err := os.Mkdir(c.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open block store: %w", err)
	}
	s, err := open(ctx, c, osFiles{c.Dir})
	if err != nil {
		return nil, fmt.Errorf("open block store in %s: %w", c.Dir, err)
	}
	return s, nil
}

// Close commits what is pending and lets the directory go. Blocks that were put and not synced may still be lost if the machine
// crashes. It is safe to call twice; other methods return ErrClosed afterwards.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.commit()
	s.handles.close()
	err = errors.Join(err, s.out.Close(), s.index.close())
	if s.index.damaged.Load() {
		err = errors.Join(err, removeIndex(s.config.Dir)) // the next Open builds it again
	}
	return err
}

// Put implements block.Store.
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
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.put(ctx, k, sealed); err != nil {
		return fmt.Errorf("put block %s: %w", k.ID, err)
	}
	return nil
}

// put appends a block that is not there. s.write is held.
func (s *Store) put(ctx context.Context, k block.Key, sealed []byte) error {
	copies, err := s.lookup(k)
	if err != nil || len(copies) > 0 {
		return err
	}
	r := packfile.Record{Kind: packfile.KindBlock, Length: uint32(len(sealed)), Key: k}
	at, err := s.append(ctx, &r, sealed)
	if err != nil {
		return err
	}
	s.note(k, located{}, located{sealed: k.Sealed, place: at, length: r.Length})
	return nil
}

// note tells the table that the copy old of k now lies elsewhere.
func (s *Store) note(k block.Key, old, l located) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.move(name{s.table.number(space{k.Folder, k.Epoch}), k.ID}, old, l)
}

// lookup returns the copies that k names, lowest hash first.
func (s *Store) lookup(k block.Key) ([]located, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	number, ok := s.table.spaces[space{k.Folder, k.Epoch}]
	if !ok {
		return nil, nil
	}
	// The index is read with mu held for reading, so that a commit cannot move something from pending into it in between.
	indexed, err := s.index.find(number, k.ID, k.Sealed)
	if err != nil {
		return nil, err
	}
	return s.table.overlay(name{number, k.ID}, indexed, k.Sealed), nil
}

// Has implements block.Store.
func (s *Store) Has(ctx context.Context, k block.Key) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	copies, err := s.lookup(k)
	if err != nil {
		return false, fmt.Errorf("look for block %s: %w", k.ID, err)
	}
	return len(copies) > 0, nil
}

// Copies returns the sealed hashes of the copies of (k.Folder, k.Epoch, k.ID) that Get would look at, lowest first. It does not read them.
func (s *Store) Copies(ctx context.Context, k block.Key) ([][32]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.Sealed = [32]byte{}
	copies, err := s.lookup(k)
	if err != nil {
		return nil, fmt.Errorf("look for copies of block %s: %w", k.ID, err)
	}
	hashes := make([][32]byte, len(copies))
	for i := range copies {
		hashes[i] = copies[i].sealed
	}
	return hashes, nil
}

// maxMoves is how often Get follows a block that compaction moves while it is read.
const maxMoves = 5

// Get implements block.Store. Of several copies it returns the first that is sound.
func (s *Store) Get(ctx context.Context, k block.Key) ([]byte, error) {
	for range maxMoves {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		copies, err := s.lookup(k)
		if err != nil {
			return nil, fmt.Errorf("get block %s: %w", k.ID, err)
		}
		if len(copies) == 0 {
			return nil, fmt.Errorf("get block %s: %w", k.ID, block.ErrNotFound)
		}
		sealed, err := s.readFirst(copies)
		if err == nil {
			return sealed, nil
		}
		if !errors.Is(err, fs.ErrNotExist) { // else its pack was compacted away; it lies elsewhere now
			return nil, &block.CorruptError{Block: k.ID, Reason: err}
		}
	}
	return nil, &block.CorruptError{Block: k.ID, Reason: fmt.Errorf("pack is missing: %w", fs.ErrNotExist)}
}

// readFirst reads the first copy that is sound, or tells what is wrong with each.
func (s *Store) readFirst(copies []located) ([]byte, error) {
	var errs []error
	for _, l := range copies {
		sealed, err := s.read(l)
		if err == nil {
			return sealed, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// read reads one copy. Errors: fs.ErrNotExist: the pack is gone; ErrDamaged; those of the disk.
func (s *Store) read(l located) ([]byte, error) {
	h, err := s.handles.acquire(l.place.Pack)
	if err != nil {
		return nil, err
	}
	defer s.handles.release(h)
	sealed := make([]byte, l.length)
	n, err := h.file.ReadAt(sealed, int64(l.place.Offset)+packfile.RecordHeadSize)
	if n < len(sealed) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if block.SealedHash(sealed) != l.sealed {
		return nil, ErrDamaged
	}
	return sealed, nil
}

// Delete implements block.Store. It takes 144 bytes per copy; the room of the block comes back with Compact.
func (s *Store) Delete(ctx context.Context, k block.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	copies, err := s.lookup(k)
	if err != nil {
		return fmt.Errorf("delete block %s: %w", k.ID, err)
	}
	for _, l := range copies {
		k.Sealed = l.sealed
		if err := s.appendDeletion(ctx, k, l.place); err != nil {
			return fmt.Errorf("delete block %s: %w", k.ID, err)
		}
		s.note(k, l, located{sealed: l.sealed})
	}
	return nil
}

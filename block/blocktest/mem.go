package blocktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal/block"
)

// ErrFull is what a Mem answers when a Put would go beyond its Capacity.
var ErrFull = errors.New("store is full")

// errDamaged is the reason for a CorruptError of a Mem.
var errDamaged = errors.New("bytes changed in the store")

// Mem is a block.Store in memory. It keeps the contract to the letter: what was not synced is lost by Crash, what was damaged is
// a *block.CorruptError. Safe for concurrent use; set the fields before.
type Mem struct {
	Capacity int64                              // of all sealed bytes; 0 means no limit
	Fail     func(op string, k block.Key) error // asked first by each method ("put", "get", "has", "delete", "sync"); nil is never failing

	mu      sync.Mutex
	blocks  map[block.Key][]byte // guarded by mu
	durable map[block.Key][]byte // guarded by mu: blocks as of the last Sync
	size    int64                // guarded by mu: of blocks
}

var _ block.Store = (*Mem)(nil)

// NewMem returns an empty store.
func NewMem() *Mem {
	return &Mem{blocks: make(map[block.Key][]byte), durable: make(map[block.Key][]byte)}
}

// Put implements block.Store.
func (m *Mem) Put(ctx context.Context, k block.Key, sealed []byte) error {
	if err := m.enter(ctx, "put", k); err != nil {
		return err
	}
	hash := block.SealedHash(sealed)
	if k.Sealed == ([32]byte{}) {
		k.Sealed = hash
	}
	if k.Sealed != hash || len(sealed) == 0 || len(sealed) > block.MaxSealed {
		return fmt.Errorf("put %s: %d bytes are not what the key says", k.ID, len(sealed))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blocks[k] != nil {
		return nil
	}
	if m.Capacity > 0 && m.size+int64(len(sealed)) > m.Capacity {
		return fmt.Errorf("put %s: %w", k.ID, ErrFull)
	}
	m.blocks[k] = bytes.Clone(sealed)
	m.size += int64(len(sealed))
	return nil
}

// Get implements block.Store.
func (m *Mem) Get(ctx context.Context, k block.Key) ([]byte, error) {
	if err := m.enter(ctx, "get", k); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.match(k)
	if len(found) == 0 {
		return nil, fmt.Errorf("get %s: %w", k.ID, block.ErrNotFound)
	}
	sealed := m.blocks[found[0]]
	if block.SealedHash(sealed) != found[0].Sealed {
		return nil, &block.CorruptError{Block: k.ID, Reason: errDamaged}
	}
	return bytes.Clone(sealed), nil
}

// Has implements block.Store.
func (m *Mem) Has(ctx context.Context, k block.Key) (bool, error) {
	if err := m.enter(ctx, "has", k); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.match(k)) > 0, nil
}

// Delete implements block.Store.
func (m *Mem) Delete(ctx context.Context, k block.Key) error {
	if err := m.enter(ctx, "delete", k); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range m.match(k) {
		m.size -= int64(len(m.blocks[key]))
		delete(m.blocks, key)
	}
	return nil
}

// Sync implements block.Store.
func (m *Mem) Sync(ctx context.Context) error {
	if err := m.enter(ctx, "sync", block.Key{}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = maps.Clone(m.blocks)
	return nil
}

// Check implements block.Store.
func (m *Mem) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	var size int64
	for k, sealed := range m.blocks {
		size += int64(len(sealed))
		if block.SealedHash(sealed) != k.Sealed {
			errs = append(errs, &block.CorruptError{Block: k.ID, Reason: errDamaged})
		}
	}
	if size != m.size {
		errs = append(errs, fmt.Errorf("blocks of %d bytes counted as %d", size, m.size))
	}
	return errors.Join(errs...)
}

// Keys returns the keys of all copies, in no order.
func (m *Mem) Keys() []block.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.blocks))
}

// Crash forgets everything that was not synced.
func (m *Mem) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks, m.size = maps.Clone(m.durable), 0
	for _, sealed := range m.blocks {
		m.size += int64(len(sealed))
	}
}

// Damage flips the last bit of each copy that k matches, and tells whether there was one.
func (m *Mem) Damage(k block.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.match(k)
	for _, key := range found {
		bad := bytes.Clone(m.blocks[key])
		bad[len(bad)-1] ^= 1
		m.blocks[key] = bad
	}
	return len(found) > 0
}

func (m *Mem) enter(ctx context.Context, op string, k block.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.Fail != nil {
		return m.Fail(op, k)
	}
	return nil
}

// match returns the keys of the copies that k names, lowest hash first. m.mu is held.
func (m *Mem) match(k block.Key) []block.Key {
	if k.Sealed != ([32]byte{}) {
		if m.blocks[k] == nil {
			return nil
		}
		return []block.Key{k}
	}
	var found []block.Key
	for key := range m.blocks {
		if key.Folder == k.Folder && key.Epoch == k.Epoch && key.ID == k.ID {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, func(a, b block.Key) int { return bytes.Compare(a.Sealed[:], b.Sealed[:]) })
	return found
}

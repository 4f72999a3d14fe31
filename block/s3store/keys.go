package s3store

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/block"
)

// Keys calls fn with the key of every copy and the size of its sealed block, sorted within each folder and epoch, and stops at fn's first error, which it returns. It
// syncs and refreshes first, and shows one moment of the store after that. fn must not call the store.
func (s *Store) Keys(ctx context.Context, fn func(k block.Key, size int) error) error {
	err := s.Sync(ctx)
	if err == nil {
		err = s.Refresh(ctx)
	}
	if err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	x, err := s.now()
	if err != nil {
		return err
	}
	err = x.each(func(k block.Key, c copyAt) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(k, int(c.length))
	})
	if err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	return nil
}

// Copy is one copy of a block.
type Copy struct {
	Sealed [32]byte
	Size   int // of the sealed block
}

// Held returns the copies of (k.Folder, k.Epoch, k.ID) that are there, lowest hash first, those included that wait for the next Sync. It reads none of them. Before it says
// that there is none, it looks whether the ledger has something new; see Config.MissRefresh.
func (s *Store) Held(ctx context.Context, k block.Key) ([]Copy, error) {
	k.Sealed = [32]byte{}
	if has, err := s.Has(ctx, k); err != nil || !has {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	there, err := s.lookup(k)
	if err != nil {
		return nil, fmt.Errorf("look for block %s: %w", k.ID, err)
	}
	out := make([]Copy, len(there))
	for i := range there {
		out[i] = Copy{Sealed: there[i].sealed, Size: int(there[i].length)}
	}
	return out, nil
}

// Copies returns the sealed hashes of what Held does.
func (s *Store) Copies(ctx context.Context, k block.Key) ([][32]byte, error) {
	held, err := s.Held(ctx, k)
	out := make([][32]byte, len(held))
	for i := range held {
		out[i] = held[i].Sealed
	}
	return out, err
}

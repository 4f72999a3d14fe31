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

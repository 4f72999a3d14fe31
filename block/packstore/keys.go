package packstore

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/block"
)

// Keys calls fn with the key of every copy and the size of its sealed block, sorted within each folder and epoch, and stops at
// fn's first error, which it returns. It shows one moment of the store, after it was called. Others may read and write meanwhile, but
// fn must not call the store.
func (s *Store) Keys(ctx context.Context, fn func(k block.Key, size int) error) error {
	if err := s.eachCopy(ctx, func(k block.Key, l located) error { return fn(k, int(l.length)) }); err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	return nil
}

// eachCopy commits what is pending and calls fn for every copy in the index. fn must not call the store: bbolt may wait for this
// reader before it grows, and keep new readers waiting behind.
func (s *Store) eachCopy(ctx context.Context, fn func(k block.Key, l located) error) error {
	spaces, err := s.commitForReading()
	if err != nil {
		return err
	}
	return s.index.each(func(number uint32, id block.ID, l located) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		sp, ok := spaces[number]
		if !ok {
			return nil // put after the commit, in a new space
		}
		return fn(block.Key{Folder: sp.folder, Epoch: sp.epoch, ID: id, Sealed: l.sealed}, l)
	})
}

// commitForReading commits and returns what the numbers of spaces stand for.
func (s *Store) commitForReading() (map[uint32]space, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := s.commit(); err != nil {
		return nil, err
	}
	spaces := make(map[uint32]space, len(s.table.spaces))
	for sp, n := range s.table.spaces {
		spaces[n] = sp
	}
	return spaces, nil
}

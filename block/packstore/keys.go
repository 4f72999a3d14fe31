package packstore

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/block"
)

// Keys calls fn with the key of every copy and the size of its sealed block, sorted within each folder and epoch, and stops at
// fn's first error, which it returns. What is put or deleted after it was called may be listed or not. fn may call the store, and others may
// read and write meanwhile.
func (s *Store) Keys(ctx context.Context, fn func(k block.Key, size int) error) error {
	if err := s.eachCopy(ctx, func(k block.Key, l located) error { return fn(k, int(l.length)) }); err != nil {
		return fmt.Errorf("list blocks: %w", err)
	}
	return nil
}

// keysPage is how many lines of the index are read in one transaction: while one is open bbolt may wait for it before it grows, and keep
// others waiting behind. Each takes some 150 bytes of memory.
const keysPage = 4096

// eachCopy commits what is pending and calls fn for every copy in the index, without a transaction open.
func (s *Store) eachCopy(ctx context.Context, fn func(k block.Key, l located) error) error {
	spaces, err := s.commitForReading()
	if err != nil {
		return err
	}
	var at []byte
	for {
		lines, err := s.index.page(at, keysPage)
		if err != nil {
			return err
		}
		for i := range lines {
			if err := ctx.Err(); err != nil {
				return err
			}
			l := &lines[i]
			sp, ok := spaces[l.space]
			if !ok {
				continue // put after the commit, in a new space
			}
			if err := fn(block.Key{Folder: sp.folder, Epoch: sp.epoch, ID: l.id, Sealed: l.sealed}, l.located); err != nil {
				return err
			}
		}
		if len(lines) < keysPage {
			return nil
		}
		last := &lines[len(lines)-1]
		at = blockKey(last.space, last.id, last.sealed)
	}
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

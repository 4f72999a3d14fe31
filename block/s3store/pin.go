package s3store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// PinFor promises that blocks are kept for d from now on, durably: no process deletes them before. It tells for each key, whose Sealed is not zero, whether the store
// has the block in the bucket; what was put and not synced is not there yet. What is pinned for d already costs nothing; what is
// not is pinned a quarter longer, so that asking again soon costs nothing. Errors: those of the bucket.
func (s *Store) PinFor(ctx context.Context, keys []block.Key, d time.Duration) (have []bool, err error) {
	if slices.ContainsFunc(keys, func(k block.Key) bool { return k.Sealed == [32]byte{} }) {
		return nil, errors.New("pin blocks: a key names no copy")
	}
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	have = make([]bool, 0, len(keys))
	for chunk := range slices.Chunk(keys, ledger.MaxList) {
		got, err := s.pinChunk(ctx, chunk, d)
		if err != nil {
			return nil, fmt.Errorf("pin blocks: %w", err)
		}
		have = append(have, got...)
	}
	return have, nil
}

// pinChunk pins as many keys as an entry can have. commit is held.
func (s *Store) pinChunk(ctx context.Context, keys []block.Key, d time.Duration) ([]bool, error) {
	for {
		have := make([]bool, len(keys))
		e := &ledger.Entry{Until: s.until(d + d/4)}
		for i, k := range keys {
			there, err := s.index.find(k)
			if err != nil {
				return nil, err
			}
			if have[i] = len(there) > 0; have[i] && there[0].until < s.until(d) {
				e.Pins = append(e.Pins, k)
			}
		}
		if len(e.Pins) == 0 {
			return have, nil
		}
		if ok, err := s.append(ctx, e); err != nil || ok {
			return have, err
		}
	}
}

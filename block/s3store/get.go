package s3store

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// readFirst returns the first copy that is sound. Errors: bucket.ErrNotFound: a pack is gone; ErrDamaged; those of the bucket.
func (s *Store) readFirst(ctx context.Context, copies []copyAt, packs map[uint32]packState) ([]byte, error) {
	var errs []error
	for _, c := range copies {
		sealed, err := s.read(ctx, c, packs[c.place.Pack].Name)
		if err == nil {
			return sealed, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// read reads one copy from its pack. What was damaged on its way is asked for once more.
func (s *Store) read(ctx context.Context, c copyAt, pack ledger.PackName) ([]byte, error) {
	for again := false; ; again = true {
		sealed, err := s.bucket.GetRange(ctx, packObject(pack), c.offsetOf(), int64(c.length))
		if err != nil {
			return nil, err
		}
		if block.SealedHash(sealed) == c.sealed {
			return sealed, nil
		}
		if again {
			return nil, ErrDamaged
		}
	}
}

// maxMoves is how often Get follows a block that compaction moves while it is read.
const maxMoves = 5

// Get implements block.Store. Of several copies it returns the first that is sound. What is not found is looked for in the ledger first; see
// Config.MissRefresh.
func (s *Store) Get(ctx context.Context, k block.Key) ([]byte, error) {
	missed := false
	for range maxMoves {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sealed, copies, packs, err := s.lookForGet(k)
		if err != nil || sealed != nil {
			return sealed, err
		}
		if len(copies) == 0 {
			if !missed {
				missed = true
				if looked, err := s.refreshMissing(ctx); err != nil {
					return nil, fmt.Errorf("get block %s: %w", k.ID, err)
				} else if looked {
					continue
				}
			}
			return nil, fmt.Errorf("get block %s: %w", k.ID, block.ErrNotFound)
		}
		sealed, err = s.readFirst(ctx, copies, packs)
		switch {
		case err == nil:
			return sealed, nil
		case errors.Is(err, bucket.ErrNotFound): // its pack was compacted away; it lies elsewhere now
			if err := s.Refresh(ctx); err != nil {
				return nil, fmt.Errorf("get block %s: %w", k.ID, err)
			}
		case errors.Is(err, ErrDamaged) || errors.Is(err, bucket.ErrAnswer):
			return nil, &block.CorruptError{Block: k.ID, Reason: errors.Join(ErrDamaged, err)}
		default:
			return nil, fmt.Errorf("get block %s: %w", k.ID, err)
		}
	}
	return nil, &block.CorruptError{Block: k.ID, Reason: fmt.Errorf("its pack is missing: %w", ErrDamaged)}
}

// lookForGet returns the block if it lies in a spool, else the copies in packs, and the packs of now.
func (s *Store) lookForGet(k block.Key) (sealed []byte, copies []copyAt, packs map[uint32]packState, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, err := s.lookup(k)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("get block %s: %w", k.ID, err)
	}
	for _, h := range found {
		if h.in == nil {
			copies = append(copies, h.copyAt)
			continue
		}
		if sealed, err := h.in.read(h.at); err == nil {
			return sealed, nil, nil, nil
		} else if len(found) == 1 {
			return nil, nil, nil, &block.CorruptError{Block: k.ID, Reason: err}
		}
	}
	return nil, copies, s.index.packs, nil
}

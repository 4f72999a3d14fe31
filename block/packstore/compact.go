package packstore

import (
	"context"
	"errors"
	"fmt"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"io"

	"github.com/shoalmesh/shoal/crashpoint"
)

// isEnd tells whether err says that a file ended early.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Stats are the sizes of a store.
type Stats struct {
	Packs int   // files
	Bytes int64 // size of all packs
	Live  int64 // of that, records of blocks that count; the rest is deletions and what they freed
}

// Stats returns the sizes of the store as of now. It does not touch the disk.
func (s *Store) Stats() Stats {
	s.write.Lock()
	defer s.write.Unlock()
	var st Stats
	for n, p := range s.table.packs {
		if p.retired {
			continue
		}
		st.Packs++
		st.Live += p.live
		if n == s.current.Number {
			st.Bytes += s.end
		} else {
			st.Bytes += p.indexed
		}
	}
	return st
}

// Compact rewrites each pack of which less than the given part (0 to 1) is live or a deletion of what lies in another pack, and returns by how many bytes the packs have shrunk.
// Others may read and write meanwhile; Compact itself is called by one at a time. It needs room for one more pack. A crash at any
// point loses nothing: a pack is removed only after what it held is durable elsewhere. A pack with damaged live blocks is
// left as it is, and named in the error; the others go on.
func (s *Store) Compact(ctx context.Context, part float64) (freed int64, err error) {
	before := s.Stats().Bytes
	sparse, err := s.sparse(part)
	if err != nil {
		return 0, fmt.Errorf("compact: %w", err)
	}
	var errs []error
	for _, n := range sparse {
		if err := s.compactPack(ctx, n); err != nil {
			errs = append(errs, fmt.Errorf("compact pack %s: %w", packName(n), err))
			if ctx.Err() != nil || !errors.Is(err, ErrDamaged) {
				break
			}
		}
	}
	return before - s.Stats().Bytes, errors.Join(errs...)
}

// sparse returns the packs that are worth rewriting. The current one is ended if it is among them.
func (s *Store) sparse(part float64) ([]uint32, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	var out []uint32
	for _, n := range s.table.numbers() {
		p := s.table.packs[n]
		size := p.indexed
		if n == s.current.Number {
			size = s.end
		}
		if size == packfile.FirstRecord || float64(p.live+p.deletions) >= part*float64(size) {
			continue
		}
		if n == s.current.Number {
			if err := s.rotate(); err != nil {
				return nil, err
			}
		}
		out = append(out, n)
	}
	return out, nil
}

// compactPack copies what counts of a pack behind the newest record, makes that durable, and removes the pack.
func (s *Store) compactPack(ctx context.Context, n uint32) error {
	h, err := s.handles.acquire(n)
	if err != nil {
		return err
	}
	err = s.copyLive(ctx, h.file, n)
	s.handles.release(h)
	if err != nil {
		return err
	}
	return s.retire(n)
}

func (s *Store) copyLive(ctx context.Context, f file, n uint32) error {
	head, err := readHead(f, n)
	if err != nil {
		return err
	}
	size, err := f.size()
	if err != nil {
		return err
	}
	err = packfile.WalkBlocks(ctx, f, &head.Salt, packfile.FirstRecord, size, func(r packfile.Found) error {
		if r.Kind == packfile.KindDeletion {
			return s.copyDeletion(ctx, n, &r)
		}
		return s.copyBlock(ctx, n, &r)
	})
	if err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	if left := s.table.packs[n].live; left != 0 {
		return fmt.Errorf("%d bytes of live records cannot be read: %w", left, ErrDamaged)
	}
	return nil
}

// copyBlock appends a block again if this is the copy that counts.
func (s *Store) copyBlock(ctx context.Context, n uint32, r *packfile.Found) error {
	s.write.Lock()
	defer s.write.Unlock()
	copies, err := s.lookup(r.Key)
	if err != nil || len(copies) == 0 || copies[0].place != (packfile.Place{Pack: n, Offset: r.Offset}) {
		return err
	}
	at, err := s.append(ctx, &r.Record, r.Sealed)
	if err != nil {
		return err
	}
	s.note(r.Key, copies[0], located{sealed: r.Key.Sealed, place: at, length: r.Length})
	crashpoint.Here("pack: block copied")
	return nil
}

// copyDeletion appends a deletion again as long as the pack with the deleted record exists: if the index were lost, that record would
// count again.
func (s *Store) copyDeletion(ctx context.Context, n uint32, r *packfile.Found) error {
	s.write.Lock()
	defer s.write.Unlock()
	if r.Gone.Pack == n || s.table.packs[r.Gone.Pack] == nil {
		return nil
	}
	return s.appendDeletion(ctx, r.Key, r.Gone)
}

// retire removes a pack in which nothing counts: first from the index, durably, then from the disk, then from memory. A
// crash in between leaves a retired pack, which Open removes.
func (s *Store) retire(n uint32) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	s.mu.Lock()
	s.table.retire(n)
	s.mu.Unlock()
	if err := s.commit(); err != nil {
		return err
	}
	crashpoint.Here("pack: retired in the index")
	s.handles.drop(n) // some systems do not remove open files
	if err := ignoreMissing(s.files.remove(packName(n))); err != nil {
		return err
	}
	crashpoint.Here("pack: removed")
	s.handles.drop(n) // a reader may have opened it in between
	if err := s.files.syncDir(); err != nil {
		return err
	}
	crashpoint.Here("pack: removal synced")
	s.mu.Lock()
	s.table.drop(n)
	s.mu.Unlock()
	return nil
}

// packNumbers returns the packs of now, ascending.
func (s *Store) packNumbers() []uint32 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.numbers()
}

package packstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// maxReports bounds how many broken things one Check lists; a dead disk would otherwise fill the memory.
const maxReports = 100

// Check implements block.Store: the pages of the index, the sums it keeps, and every byte of every live block. It reads all
// packs. Others may read and write meanwhile.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	errs := []error{s.checkSums()}
	if errs[0] == nil {
		errs = append(errs, s.index.check())
	}
	more := 0
	scrubbed := s.Scrub(ctx, func(k block.Key, err error) error {
		if len(errs) < maxReports {
			errs = append(errs, fmt.Errorf("block %s: %w", k.ID, err))
		} else {
			more++
		}
		return nil
	})
	if more > 0 {
		errs = append(errs, fmt.Errorf("and %d more blocks", more))
	}
	return errors.Join(append(errs, scrubbed)...)
}

// checkSums compares the live bytes per pack with the copies in the index. Writers wait meanwhile; the packs are not read.
func (s *Store) checkSums() error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	live := make(map[uint32]int64)
	var errs []error
	err := s.index.each(func(number uint32, id block.ID, l located) error {
		live[l.place.Pack] += l.size()
		p := s.table.packs[l.place.Pack]
		if (p == nil || p.retired || int64(l.place.Offset)+l.size() > p.indexed || int(number) >= len(s.table.spaces)) && len(errs) < maxReports {
			errs = append(errs, fmt.Errorf("index puts block %s at %d of pack %d, which cannot be: %w", id, l.place.Offset, l.place.Pack, ErrDamaged))
		}
		return nil
	})
	errs = append(errs, err)
	for n, p := range s.table.packs {
		if p.live != live[n] {
			errs = append(errs, fmt.Errorf("pack %s counts %d live bytes, the index %d: %w", packName(n), p.live, live[n], ErrDamaged))
		}
	}
	return errors.Join(errs...)
}

// Scrub reads every live block and calls report for each that is damaged; the owner may then delete it and put it again. It stops at the first error of report, which it returns, and when ctx ends. Blocks that are put meanwhile may
// be left out. It reads a pack front to back, 4 MiB at a time; the caller's report and ctx set the pace.
func (s *Store) Scrub(ctx context.Context, report func(k block.Key, err error) error) error {
	for _, n := range s.packNumbers() {
		if err := s.scrubPack(ctx, n, report); err != nil && !s.retired(n) {
			return fmt.Errorf("scrub pack %s: %w", packName(n), err)
		}
	}
	return nil
}

// retired tells whether a pack has been compacted away.
func (s *Store) retired(n uint32) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.table.packs[n]
	return p == nil || p.retired
}

// scrubPack reads a pack front to back. If the live blocks it met are not all that should be there, it asks for each by itself.
func (s *Store) scrubPack(ctx context.Context, n uint32, report func(block.Key, error) error) error {
	h, err := s.handles.acquire(n)
	if errors.Is(err, fs.ErrNotExist) {
		return s.scrubOneByOne(ctx, n, report)
	}
	if err != nil {
		return err
	}
	defer s.handles.release(h)
	head, err := readHead(h.file, n)
	if errors.Is(err, packfile.ErrHead) {
		return s.scrubOneByOne(ctx, n, report)
	}
	if err != nil {
		return err
	}
	size, err := h.file.size()
	if err != nil {
		return err
	}
	var sound int64
	err = packfile.WalkBlocks(ctx, h.file, &head.Salt, packfile.FirstRecord, size, func(r packfile.Found) error {
		copies, err := s.lookup(r.Key)
		if r.Kind == packfile.KindBlock && len(copies) > 0 && copies[0].place == (packfile.Place{Pack: n, Offset: r.Offset}) {
			sound += r.Size()
		}
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && sound == s.live(n) {
		return nil
	}
	return s.scrubOneByOne(ctx, n, report)
}

// live returns the live bytes of a pack.
func (s *Store) live(n uint32) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.table.packs[n]; p != nil {
		return p.live
	}
	return 0
}

// scrubOneByOne reads each block that should be in a pack, and reports those that are not. It goes through the whole index. An error of the system
// that says nothing of the bytes, such as too many open files, ends it: owners delete what is reported.
func (s *Store) scrubOneByOne(ctx context.Context, n uint32, report func(block.Key, error) error) error {
	return s.eachCopy(ctx, func(k block.Key, l located) error {
		if l.place.Pack != n {
			return nil
		}
		_, err := s.read(l)
		if err == nil {
			return nil
		}
		copies, lookupErr := s.lookup(k)
		switch {
		case lookupErr != nil:
			return lookupErr
		case len(copies) == 0 || copies[0].place != l.place:
			return nil // deleted or moved meanwhile
		case errors.Is(err, ErrDamaged), errors.Is(err, fs.ErrNotExist):
			return report(k, err)
		}
		return err
	})
}

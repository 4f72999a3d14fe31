package s3store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// entryCopy is a copy under its key.
type entryCopy struct {
	key block.Key
	copyAt
}

// view is the index at one moment. The index may be replaced meanwhile; then its methods return ErrClosed, and the caller's work with them.
type view struct {
	*index
	applied uint32
	packs   map[uint32]packState
}

func (s *Store) now() (view, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return view{}, ErrClosed
	}
	return view{s.index, s.index.applied, s.index.packs}, nil
}

// stillThere tells whether a copy that could not be read is where it was: else it was deleted or moved meanwhile.
func (s *Store) stillThere(ctx context.Context, c entryCopy) (bool, error) {
	if err := s.Refresh(ctx); err != nil {
		return false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false, ErrClosed
	}
	there, err := s.index.find(c.key)
	return len(there) > 0 && there[0].place == c.place, err
}

// copiesIn returns the copies that count in some packs, as they lie in each.
func (x *index) copiesIn(ctx context.Context, packs map[uint32]bool) (map[uint32][]entryCopy, error) {
	out := make(map[uint32][]entryCopy)
	err := x.each(func(k block.Key, c copyAt) error {
		if packs[c.place.Pack] {
			out[c.place.Pack] = append(out[c.place.Pack], entryCopy{k, c})
		}
		return ctx.Err()
	})
	for _, list := range out {
		slices.SortFunc(list, func(a, b entryCopy) int { return cmp.Compare(a.place.Offset, b.place.Offset) })
	}
	return out, err
}

// How a pack is read: as few requests as the memory allows, and what is not needed only where asking twice would cost more.
const (
	readWindow = 4 << 20
	readGap    = 64 << 10
)

// readCopies reads copies of one pack, sorted by their place, and calls fn for each; err is nil or ErrDamaged. It returns the errors of the bucket but
// those that say that the pack is damaged or gone.
func (s *Store) readCopies(ctx context.Context, pack ledger.PackName, copies []entryCopy, fn func(c entryCopy, sealed []byte, err error) error) error {
	for len(copies) > 0 {
		from, n := copies[0].offsetOf(), 1
		end := from + int64(copies[0].length)
		for n < len(copies) && copies[n].offsetOf() <= end+readGap && copies[n].offsetOf()+int64(copies[n].length)-from <= readWindow {
			end = max(end, copies[n].offsetOf()+int64(copies[n].length))
			n++
		}
		data, err := s.bucket.GetRange(ctx, packObject(pack), from, end-from)
		if err != nil && !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrAnswer) {
			return err
		}
		for _, c := range copies[:n] {
			sealed, bad := []byte(nil), err
			if err == nil {
				sealed = data[c.offsetOf()-from:][:c.length]
			}
			if err != nil || block.SealedHash(sealed) != c.sealed {
				sealed, bad = s.readAgain(ctx, pack, c)
			}
			if bad != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := fn(c, sealed, bad); err != nil {
				return err
			}
		}
		copies = copies[n:]
	}
	return nil
}

// readAgain reads one copy by itself. Every error says that it is damaged.
func (s *Store) readAgain(ctx context.Context, pack ledger.PackName, c entryCopy) ([]byte, error) {
	sealed, err := s.read(ctx, c.copyAt, pack)
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return sealed, err
}

// scrubGroup is about how many copies Scrub keeps a list of.
const scrubGroup = 100_000

// Scrub reads every live block from the bucket and calls report for each that is damaged; the owner may then delete it and put it again, but not from report. It stops at the
// first error of report, which it returns, at errors of the bucket, and when ctx ends. Blocks that are put meanwhile may be left out. It reads packs front to back, 4 MiB at a
// time; the caller's report and ctx set the pace.
func (s *Store) Scrub(ctx context.Context, report func(k block.Key, err error) error) error {
	x, err := s.now()
	if err != nil {
		return err
	}
	counts := make(map[uint32]int)
	err = x.each(func(_ block.Key, c copyAt) error {
		counts[c.place.Pack]++
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	numbers := slices.Sorted(maps.Keys(counts))
	for len(numbers) > 0 {
		group, n := make(map[uint32]bool), 0
		for len(numbers) > 0 && (n == 0 || n+counts[numbers[0]] <= scrubGroup) {
			group[numbers[0]], n, numbers = true, n+counts[numbers[0]], numbers[1:]
		}
		lists, err := x.copiesIn(ctx, group)
		if err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
		for _, number := range slices.Sorted(maps.Keys(lists)) {
			if err := s.scrubPack(ctx, x.packs[number].Name, lists[number], report); err != nil {
				return fmt.Errorf("scrub pack %s: %w", x.packs[number].Name, err)
			}
		}
	}
	return nil
}

func (s *Store) scrubPack(ctx context.Context, pack ledger.PackName, copies []entryCopy, report func(k block.Key, err error) error) error {
	return s.readCopies(ctx, pack, copies, func(c entryCopy, _ []byte, bad error) error {
		if bad == nil {
			return nil
		}
		if there, err := s.stillThere(ctx, c); err != nil || !there {
			return err
		}
		return report(c.key, bad)
	})
}

// Check implements block.Store: the pages of the index, the sums it keeps, the ledger and its checkpoint in the bucket, and every byte of every live block.
func (s *Store) Check(ctx context.Context) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	x, err := s.now()
	if err != nil {
		return err
	}
	errs := []error{x.check(), s.checkSums(ctx), s.checkLedger(ctx)}
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

// checkSums compares the live bytes of each pack with the copies in it. Entries are not applied meanwhile.
func (s *Store) checkSums(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	x := s.index
	live := make(map[uint32]int64)
	var errs []error
	err := x.each(func(k block.Key, c copyAt) error {
		live[c.place.Pack] += c.size()
		if p := x.packs[c.place.Pack]; int64(c.place.Offset)+c.size() > int64(p.Size) && len(errs) < maxReports {
			errs = append(errs, fmt.Errorf("index puts block %s at %d of pack %s, which cannot be: %w", k.ID, c.place.Offset, p.Name, ErrDamaged))
		}
		return nil
	})
	errs = append(errs, err)
	for n, p := range x.packs {
		if p.live != live[n] {
			errs = append(errs, fmt.Errorf("pack %s counts %d live bytes, the index %d: %w", p.Name, p.live, live[n], ErrDamaged))
		}
	}
	return errors.Join(errs...)
}

// checkLedger reads the anchor, the parts of its checkpoint, and the entries behind it.
func (s *Store) checkLedger(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	a, err := s.readAnchor(ctx)
	if err != nil {
		return err
	}
	for i, ref := range a.Parts {
		if _, err := s.readPart(ctx, a, i, ref); err != nil {
			return err
		}
	}
	chain := a.Chain
	for n := int64(a.Number) + 1; n <= int64(s.index.applied); n++ {
		raw, err := s.readEntry(ctx, n)
		if err == nil && raw == nil {
			err = fmt.Errorf("%s is missing: %w", entryObject(uint32(n)), ErrDamaged)
		}
		if err != nil {
			return err
		}
		l, err := s.linkOf(raw, uint32(n), chain)
		if err != nil {
			return err
		}
		chain = l.chain
	}
	if a.Number <= s.index.applied && chain != s.index.chain {
		return fmt.Errorf("the ledger is not the one that was read: %w", ErrDamaged)
	}
	return nil
}

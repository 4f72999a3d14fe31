package s3store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// Stats are the sizes of a store.
type Stats struct {
	Packs int   // objects
	Bytes int64 // size of all packs
	Live  int64 // of that, records of blocks that count
}

// Stats returns the sizes as of the last look at the ledger; what was not synced is not in them. It asks nobody.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := Stats{Packs: len(s.index.packs)}
	for _, p := range s.index.packs {
		st.Bytes += int64(p.Size)
		st.Live += p.live
	}
	return st
}

// smallPack is up to where packs are always put together: moving so little costs about as much as asking for it.
const smallPack = 1 << 20

// Compact rewrites each pack of which less than the given part (0 to 1) is live, puts small packs together, removes packs that nobody names, and replaces the ledger by a
// checkpoint when it has grown long. It returns by how many bytes the packs have shrunk. Others, also in other processes, may read and write
// meanwhile. One process does it at a time: ErrHeld. A crash at any point loses nothing, and the next holder of the lease goes on. A pack
// with damaged live blocks is left as it is, and named in the error; the others go on.
func (s *Store) Compact(ctx context.Context, part float64) (freed int64, err error) {
	lease, err := s.objects("lease/").Acquire(ctx, "compact", s.config.Lease)
	if err != nil {
		return 0, fmt.Errorf("compact: %w", err)
	}
	err = s.compact(ctx, part, lease, &freed)
	if releaseErr := lease.Release(context.WithoutCancel(ctx)); !errors.Is(err, ErrHeld) {
		err = errors.Join(err, releaseErr)
	}
	if err != nil {
		return freed, fmt.Errorf("compact: %w", err)
	}
	return freed, nil
}

func (s *Store) compact(ctx context.Context, part float64, lease *Lease, freed *int64) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	before := s.Stats().Bytes
	var errs []error
	for _, group := range s.sparse(part) {
		if err := lease.Renew(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		err := s.compactGroup(ctx, group)
		*freed = before - s.Stats().Bytes
		errs = append(errs, err)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return errors.Join(errs...)
		}
	}
	for _, step := range []func(context.Context) error{lease.Renew, s.sweep, lease.Renew, s.checkpoint} {
		if err := step(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// numbered is a pack under its number.
type numbered struct {
	number uint32
	packState
}

// sparse returns the packs that are worth rewriting, in groups of which each makes about one pack.
func (s *Store) sparse(part float64) (groups [][]numbered) {
	s.mu.RLock()
	packs := s.index.packs
	s.mu.RUnlock()
	var chosen, whole []numbered
	for _, n := range slices.Sorted(maps.Keys(packs)) {
		p := numbered{n, packs[n]}
		if float64(p.live) < part*float64(p.Size) {
			chosen = append(chosen, p)
		} else if p.live < s.config.PackSize {
			whole = append(whole, p)
		}
	}
	chosen = append(chosen, s.small(whole, chosen)...)
	for size := int64(0); len(chosen) > 0; chosen = chosen[1:] {
		if p := chosen[0]; len(groups) == 0 || size+p.live > s.config.PackSize {
			groups, size = append(groups, []numbered{p}), p.live
		} else {
			groups[len(groups)-1], size = append(groups[len(groups)-1], p), size+p.live
		}
	}
	return groups
}

// small returns those of packs that are small beside all smaller ones together. So a block is moved about as often as its pack doubles, and not each time
// that another small pack comes.
func (s *Store) small(packs, chosen []numbered) []numbered {
	slices.SortFunc(packs, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.live, b.live), cmp.Compare(a.number, b.number)) })
	var sum int64
	for _, p := range chosen {
		sum += p.live
	}
	n := 0
	for n < len(packs) && packs[n].live <= max(sum, min(smallPack, s.config.PackSize/2)) {
		sum += packs[n].live
		n++
	}
	if n+len(chosen) < 2 {
		return nil // alone it would only change its name
	}
	return packs[:n]
}

// compactGroup moves what counts of some packs into a new one, and removes them.
func (s *Store) compactGroup(ctx context.Context, group []numbered) (err error) {
	x, err := s.now()
	if err != nil {
		return err
	}
	wanted := make(map[uint32]bool, len(group))
	for _, p := range group {
		wanted[p.number] = true
	}
	lists, err := x.copiesIn(ctx, wanted)
	if err != nil {
		return err
	}
	sp := newSpool(s.config.Dir, s.config.Rand)
	defer func() { err = errors.Join(err, sp.close()) }()
	flush := func() error {
		next, err := s.publishMoves(ctx, sp)
		sp = next
		return err
	}
	var damaged []error
	for _, p := range group {
		err := s.readCopies(ctx, p.Name, lists[p.number], func(c entryCopy, sealed []byte, bad error) error {
			if bad != nil {
				if there, err := s.stillThere(ctx, c); err != nil || !there {
					return err
				}
				damaged = append(damaged[:min(len(damaged), maxReports)], fmt.Errorf("block %s in pack %s: %w", c.key.ID, p.Name, bad))
				return nil
			}
			if sp.full(s.config.PackSize) {
				if err := flush(); err != nil {
					return err
				}
			}
			return sp.put(c.key, sealed, p.number)
		})
		if err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return errors.Join(s.removeEmptied(ctx, group), errors.Join(damaged...))
}

// publishMoves makes moves durable, and returns the spool for the next ones.
func (s *Store) publishMoves(ctx context.Context, sp *spool) (*spool, error) {
	if err := s.lock(ctx); err != nil {
		return sp, err
	}
	defer s.unlock()
	err := s.publish(ctx, sp, func(next *spool) error {
		old := sp
		sp = next
		return old.close()
	})
	if err != nil {
		return sp, err
	}
	return newSpool(s.config.Dir, s.config.Rand), sp.close()
}

// removeEmptied removes the objects of packs that are not in the index any more. The entry that moved their last block is durable, so
// who looks for one here finds it elsewhere after a Refresh.
func (s *Store) removeEmptied(ctx context.Context, group []numbered) error {
	x, err := s.now()
	if err != nil {
		return err
	}
	for _, p := range group {
		if _, ok := x.packs[p.number]; ok {
			continue
		}
		if err := s.bucket.Delete(ctx, packObject(p.Name)); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes packs that no entry names: those of processes that died before they wrote one, and those in which nothing counts any more. First
// an entry gives their names up: a process that is about to name one of them either was first, and then this store has read so, or reads it and uploads its pack again under another
// name.
func (s *Store) sweep(ctx context.Context) error {
	after := ""
	for range maxPages {
		items, err := s.bucket.List(ctx, "packs/", after)
		if err != nil {
			return err
		}
		var old []ledger.PackName
		for _, item := range items {
			if name, ok := packNameOf(item.Name); ok && s.config.Now().Sub(item.Modified) >= s.config.Grace {
				old = append(old, name)
			}
		}
		if err := s.abort(ctx, old); err != nil {
			return err
		}
		if len(items) < bucket.MaxList {
			return nil
		}
		after = items[len(items)-1].Name
	}
	return errEndless
}

// maxPages bounds a listing: a server that invents names without end is left after 16 million of them.
const maxPages = 16 << 10

var errEndless = fmt.Errorf("the listing has no end: %w", ErrAnswer)

// abort gives up those names that no pack of the index has, and removes their objects.
func (s *Store) abort(ctx context.Context, names []ledger.PackName) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	for {
		known := make(map[ledger.PackName]bool, len(s.index.packs))
		for _, p := range s.index.packs {
			known[p.Name] = true
		}
		names = slices.DeleteFunc(names, func(n ledger.PackName) bool { return known[n] })
		if len(names) == 0 {
			return nil
		}
		ok, err := s.append(ctx, &ledger.Entry{Aborts: names})
		if err != nil {
			return err
		}
		if ok {
			break
		}
	}
	for _, name := range names {
		if err := s.bucket.Delete(ctx, packObject(name)); err != nil {
			return err
		}
	}
	return nil
}

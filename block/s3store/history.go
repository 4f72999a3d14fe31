package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// readAhead is how many entries are asked for at once when one more was found; an entry has at most MaxEntry bytes.
const readAhead = 4

// lastNumber is the highest number of an entry: one a second for a century.
const lastNumber = 1<<32 - 2

// Refresh reads what other processes have written since the last look. Errors: those of the bucket; ErrDamaged.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	return s.refresh(ctx)
}

// refreshMissing is Refresh for a block that is not in the index. It does nothing, and says so, if the last time is less than
// Config.MissRefresh ago.
func (s *Store) refreshMissing(ctx context.Context) (looked bool, err error) {
	last, now := s.lastMiss.Load(), s.config.Now().UnixNano()
	if since := time.Duration(now - last); since >= 0 && since < s.config.MissRefresh {
		return false, nil
	}
	if !s.lastMiss.CompareAndSwap(last, now) {
		return false, nil // another does it
	}
	return true, s.Refresh(ctx)
}

// refresh brings the index up to the end of the ledger. commit is held.
//
// Entries that a checkpoint covers may be removed, and then a process that slept since may write another under such a number, or this one may read it. So what
// was read counts only after a look at the anchor: if no checkpoint covers it by then, nothing was removed before it was read; if one covers a part of it, the anchor's
// chain shows whether that part is the true one; if one goes beyond, the index is built again from it.
func (s *Store) refresh(ctx context.Context) error {
	var links []link
	size := 0
	for ahead := 1; ; ahead = readAhead {
		more, n, end, err := s.readLinks(ctx, links, ahead)
		if err != nil {
			return err
		}
		links, size = append(links, more...), size+n
		anchor, err := s.readAnchor(ctx)
		if err != nil {
			return err
		}
		switch s.compare(anchor, links) {
		case same:
			if err := s.apply(links); err != nil {
				return err
			}
			if end {
				return nil
			}
			links, size = nil, 0
		case beyond:
			if !end && size < maxHeld {
				continue
			}
			fallthrough
		case other:
			if err := s.rebuild(ctx, anchor); err != nil {
				return err
			}
			links, size = nil, 0
		}
	}
}

// maxHeld is how many bytes of entries are read in the hope of reaching the checkpoint. A process that is further behind builds its index anew.
const maxHeld = 32 << 20

// standing is how what was read relates to the checkpoint.
type standing int

const (
	same   standing = iota // the checkpoint covers none of it, or its beginning, which is the same
	beyond                 // the checkpoint covers all of it and more
	other                  // what was read is not what the checkpoint covers
)

// compare relates the index and links, which follow it, to the anchor.
func (s *Store) compare(a *ledger.Anchor, links []link) standing {
	number, chain := s.index.applied, s.index.chain
	if a.Number > number && len(links) > 0 {
		i := min(int(a.Number-number), len(links)) - 1
		number, chain = links[i].number, links[i].chain
	}
	switch {
	case a.Number > number:
		return beyond
	case a.Number == number && a.Chain != chain:
		return other
	}
	return same // what the anchor covers and the index has was compared when it was read
}

// readLinks reads up to n entries behind those that were read already, or else behind the index. It returns how many bytes they have, and whether the ledger
// ends there.
func (s *Store) readLinks(ctx context.Context, read []link, n int) (links []link, size int, end bool, err error) {
	number, chain := s.index.applied, s.index.chain
	if len(read) > 0 {
		number, chain = read[len(read)-1].number, read[len(read)-1].chain
	}
	raw := make([][]byte, n)
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range raw {
		group.Go(func() (err error) {
			raw[i], err = s.readEntry(groupCtx, int64(number)+1+int64(i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, false, err
	}
	for i, b := range raw {
		if b == nil {
			return links, size, true, nil
		}
		l, err := s.linkOf(b, number+1+uint32(i), chain)
		if err != nil {
			return nil, 0, false, err
		}
		links, chain, size = append(links, l), l.chain, size+len(b)
	}
	return links, size, false, nil
}

// linkOf decodes entry number, before which the chain was before.
func (s *Store) linkOf(raw []byte, number uint32, before ledger.Hash) (link, error) {
	e, err := ledger.DecodeEntry(raw)
	if err == nil && (e.Store != s.index.store || e.Number != number) {
		err = fmt.Errorf("entry %d of store %x: %w", e.Number, e.Store, ledger.ErrMalformed)
	}
	if err != nil {
		return link{}, fmt.Errorf("%s: %w: %w", entryObject(number), ErrDamaged, err)
	}
	l := link{Entry: e, number: number, chain: ledger.Next(before, raw)}
	if e.Before != before {
		l.Entry = nil // its author had read what a checkpoint had replaced
	}
	return l, nil
}

// readEntry returns the bytes of an entry; nil if there is none. An entry that was damaged on its way is asked for once more.
func (s *Store) readEntry(ctx context.Context, number int64) ([]byte, error) {
	if number > lastNumber {
		return nil, nil
	}
	for again := false; ; again = true {
		raw, _, err := s.bucket.Get(ctx, entryObject(uint32(number)), ledger.MaxEntry)
		if errors.Is(err, bucket.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err := ledger.DecodeEntry(raw); err == nil || again {
			return raw, nil
		}
	}
}

// apply makes entries part of the index, and notes which packs must not be named any more. commit is held.
func (s *Store) apply(links []link) error {
	if len(links) == 0 {
		return nil
	}
	next, err := s.index.apply(links)
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	for _, l := range links {
		if l.Entry == nil {
			continue
		}
		for _, name := range l.Aborts {
			if sp := s.guarded[name]; sp != nil {
				sp.lost = true
			}
		}
	}
	s.mu.Lock()
	s.index.set(next)
	s.mu.Unlock()
	return nil
}

// append writes e as the next entry and applies it. It returns false if another entry came first, or if this one came too late to count: then the index
// is up to date, and the caller decides anew. After an error nobody knows whether the entry counts; the next refresh tells. commit is held.
func (s *Store) append(ctx context.Context, e *ledger.Entry) (bool, error) {
	if s.index.applied >= lastNumber {
		return false, fmt.Errorf("the ledger is full at entry %d", s.index.applied)
	}
	e.Store, e.Number, e.Before = s.index.store, s.index.applied+1, s.index.chain
	e.Made = s.until(time.Nanosecond)
	if _, err := io.ReadFull(s.config.Rand, e.Nonce[:]); err != nil {
		return false, fmt.Errorf("read nonce: %w", err)
	}
	if err := e.Validate(); err != nil {
		return false, fmt.Errorf("make entry: %w", err)
	}
	raw := e.Encode()
	_, err := s.bucket.Put(ctx, entryObject(e.Number), raw, bucket.Absent)
	if errors.Is(err, bucket.ErrChanged) {
		return false, s.refresh(ctx)
	}
	if err != nil {
		return false, err
	}
	anchor, err := s.readAnchor(ctx)
	if err != nil {
		return false, err
	}
	// If a checkpoint covers the number by now, it may have been free because the true entry was removed.
	if s.compare(anchor, nil) != same {
		return false, s.refresh(ctx)
	}
	return true, s.apply([]link{{Entry: e, number: e.Number, chain: ledger.Next(s.index.chain, raw)}})
}

// rebuild replaces the index by one from the anchor's checkpoint. commit is held.
func (s *Store) rebuild(ctx context.Context, a *ledger.Anchor) error {
	if a.Store != s.index.store {
		return fmt.Errorf("another store lies in the bucket now: %w", ErrDamaged)
	}
	if a.Number < s.index.applied {
		return fmt.Errorf("the ledger ends before what was read of it: %w", ErrDamaged)
	}
	next, err := s.build(ctx, a)
	if err != nil {
		return err
	}
	for _, sp := range s.guarded {
		sp.lost = true // the checkpoint does not tell which names were given up
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.index.close(); err != nil {
		return errors.Join(err, next.close())
	}
	s.index = next
	return next.take(s.config.Dir)
}

// maxRestarts is how often building begins again because a newer checkpoint took the place of the one that is read.
const maxRestarts = 5

// build makes an index from a checkpoint, in a file beside that of the old one.
func (s *Store) build(ctx context.Context, a *ledger.Anchor) (*index, error) {
	for i := 0; ; i++ {
		x, err := s.buildFrom(ctx, a)
		if err == nil || !errors.Is(err, bucket.ErrNotFound) || i == maxRestarts {
			return x, err
		}
		newer, readErr := s.readAnchor(ctx)
		if readErr != nil || newer.Number == a.Number {
			return nil, errors.Join(err, readErr)
		}
		a = newer
	}
}

func (s *Store) buildFrom(ctx context.Context, a *ledger.Anchor) (x *index, err error) {
	if x, err = newIndex(s.config.Dir, a.Store); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, x.close())
		}
	}()
	for i, ref := range a.Parts {
		part, err := s.readPart(ctx, a, i, ref)
		if err != nil {
			return nil, err
		}
		next, err := x.part(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", partObject(a, i), err)
		}
		x.set(next)
	}
	next, err := x.finish(a.Number, a.Chain)
	if err != nil {
		return nil, err
	}
	x.set(next)
	return x, nil
}

// take gives a new index the name under which Open looks for it. Not all systems rename open files.
func (x *index) take(dir string) error {
	err := x.db.Close()
	if err == nil {
		err = os.Rename(filepath.Join(dir, nextName), filepath.Join(dir, indexName))
	}
	if err == nil {
		x.db, err = openDB(dir, indexName)
	}
	if err != nil {
		return fmt.Errorf("rename index: %w", err)
	}
	return nil
}

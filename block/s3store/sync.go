package s3store

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// Sync implements block.Store: it uploads a pack and writes an entry of the ledger. Others may put and get meanwhile. If it fails, what
// waits goes on waiting, and the next Sync tries again.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	for range 2 { // what an earlier Sync could not, then what was put since
		s.mu.Lock()
		if s.flushing == nil && len(s.current.changes) > 0 {
			s.flushing, s.current = s.current, newSpool(s.config.Dir, s.config.Rand)
		}
		sp := s.flushing
		s.mu.Unlock()
		if sp == nil {
			return nil
		}
		if err := s.publish(ctx, sp, s.setFlushing); err != nil {
			return fmt.Errorf("sync block store: %w", err)
		}
		if err := s.setFlushing(nil); err != nil {
			return fmt.Errorf("sync block store: %w", err)
		}
	}
	return nil
}

// setFlushing replaces the spool that is being made durable, and removes the old one. commit is held.
func (s *Store) setFlushing(sp *spool) error {
	s.mu.Lock()
	old := s.flushing
	s.flushing = sp
	s.mu.Unlock()
	return old.close()
}

// publish makes what a spool holds part of the ledger. It may write the spool anew, under another name; it hands that to replace, which closes
// the old one. commit is held.
func (s *Store) publish(ctx context.Context, sp *spool, replace func(*spool) error) error {
	defer clear(s.guarded)
	if sp.lost { // an entry of an earlier attempt may count after all
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
	until := s.until(s.config.Pin)
	for fresh := sp.lost; ; {
		e, err := s.plan(sp, until)
		if err != nil {
			return err
		}
		if len(e.Puts) < sp.puts && until == 0 && !fresh {
			// What is left out without a pin must be there now, not only when this process last looked.
			if err := s.refresh(ctx); err != nil {
				return err
			}
			fresh = true
			continue
		}
		if len(e.Puts)+len(e.Deletions)+len(e.Pins) == 0 {
			return nil
		}
		// A pack has no bytes that nobody needs. What the store has already is pinned before it is left out.
		anew := len(e.Puts) > 0 && (sp.lost || !sp.uploaded && len(e.Puts) < sp.puts)
		switch {
		case anew && len(e.Pins) == 0:
			next, err := s.rewrite(sp, e.Puts)
			if err == nil {
				err = replace(next)
			}
			if err != nil {
				return err
			}
			sp = next
			continue
		case anew:
			e = &ledger.Entry{Until: e.Until, Pins: e.Pins}
		case len(e.Puts) > 0 && !sp.uploaded:
			if err := s.upload(ctx, sp); err != nil {
				return err
			}
		}
		ok, err := s.append(ctx, e)
		if err != nil {
			sp.lost = sp.uploaded // nobody guards the name until the next attempt
			return err
		}
		if ok && !anew {
			return nil
		}
	}
}

// upload writes the pack. From here on entries that give its name up are noticed.
func (s *Store) upload(ctx context.Context, sp *spool) error {
	s.guarded[sp.name()] = sp
	err := s.bucket.Upload(ctx, packObject(sp.name()), sp.file, sp.end)
	sp.uploaded = err == nil
	return err
}

// plan returns the entry that makes a spool part of the index as it is now. s.index does not change meanwhile, since commit is held.
func (s *Store) plan(sp *spool, until uint32) (*ledger.Entry, error) {
	e := &ledger.Entry{Until: until}
	for k, list := range sp.changes {
		for _, c := range list {
			k.Sealed = c.sealed
			there, err := s.index.find(k)
			if err != nil {
				return nil, err
			}
			switch {
			case c.offset == 0:
				if len(there) > 0 && !pinned(there[0], c.asOf) {
					e.Deletions = append(e.Deletions, k)
				}
			case c.from != 0:
				if len(there) > 0 && there[0].place.Pack == c.from {
					e.Puts = append(e.Puts, ledger.Put{Key: k, Offset: c.offset, Length: c.length, From: c.from})
				}
			case len(there) == 0:
				e.Puts = append(e.Puts, ledger.Put{Key: k, Offset: c.offset, Length: c.length})
			case there[0].until < e.Until:
				e.Pins = append(e.Pins, k)
			}
		}
	}
	inOrder(e.Puts)
	if len(e.Puts) > 0 && sp.file != nil {
		e.Pack = ledger.Pack{Name: sp.name(), Size: uint32(sp.end)}
	}
	return e, nil
}

// rewrite returns a spool with another name that holds only these puts, and the deletions.
func (*Store) rewrite(sp *spool, puts []ledger.Put) (*spool, error) {
	wanted := make(map[block.Key]bool, len(puts))
	for i := range puts {
		wanted[puts[i].Key] = true
	}
	return sp.rewritten(func(k block.Key) bool { return wanted[k] })
}

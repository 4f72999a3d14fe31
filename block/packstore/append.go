package packstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"github.com/shoalmesh/shoal/crashpoint"
)

// smallRecord is up to where copying a record is cheaper than a second write.
const smallRecord = 32 << 10

// append writes a record behind the others and returns its place. It begins a new pack when the current one is full, and
// commits when much is pending; if that fails, nothing was appended. s.write is held.
func (s *Store) append(ctx context.Context, r *packfile.Record, sealed []byte) (packfile.Place, error) {
	if err := errors.Join(ctx.Err(), s.usable()); err != nil {
		return packfile.Place{}, err
	}
	switch {
	case s.end >= s.config.PackSize:
		if err := s.rotate(); err != nil {
			return packfile.Place{}, err
		}
	case s.table.changes >= s.config.Batch:
		if err := s.commit(); err != nil {
			return packfile.Place{}, err
		}
	}
	at := packfile.Place{Pack: s.current.Number, Offset: uint32(s.end)}
	head := r.Encode(&s.current.Salt, at.Offset)
	s.buf = append(s.buf[:0], head[:]...)
	rest := sealed
	if len(sealed) <= smallRecord {
		s.buf, rest = append(s.buf, sealed...), nil
	}
	_, err := s.out.WriteAt(s.buf, s.end)
	if err == nil && len(rest) > 0 {
		crashpoint.Here("pack: half a record written")
		_, err = s.out.WriteAt(rest, s.end+int64(len(s.buf)))
	}
	if err != nil {
		// What was written of the record is overwritten by the next; cutting it off just gives back the room.
		return packfile.Place{}, errors.Join(err, s.out.Truncate(s.end))
	}
	s.end += r.Size()
	crashpoint.Here("pack: record written")
	return at, nil
}

// appendDeletion appends that the record at gone, a copy of k, no longer counts. s.write is held.
func (s *Store) appendDeletion(ctx context.Context, k block.Key, gone packfile.Place) error {
	r := packfile.Record{Kind: packfile.KindDeletion, Key: k, Gone: gone}
	at, err := s.append(ctx, &r, nil)
	if err != nil {
		return err
	}
	crashpoint.Here("pack: deletion written")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.addDeletion(at.Pack, gone)
	return nil
}

// usable tells why nothing can be written. s.write is held.
func (s *Store) usable() error {
	if s.closed {
		return ErrClosed
	}
	return s.broken
}

// Sync implements block.Store: one fsync. Others may put and get meanwhile.
//
// After a failed fsync the kernel may have dropped what it could not write, so the store takes no more blocks until it is opened
// again, which reads and checks the tail.
func (s *Store) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	pack, out, end, err := s.current.Number, s.out, s.end, s.usable()
	if s.synced == s.end {
		out = nil
	}
	s.write.Unlock()
	if err != nil || out == nil {
		return err
	}

	crashpoint.Here("pack: to be synced")
	err = out.Sync()
	crashpoint.Here("pack: synced")

	s.write.Lock()
	defer s.write.Unlock()
	if s.current.Number != pack || s.closed {
		return s.broken // the pack was left behind or closed, and synced for that; or broken says why not
	}
	if err != nil {
		s.broken = fmt.Errorf("sync pack %s: %w", packName(pack), err)
		return s.broken
	}
	s.synced = max(s.synced, end)
	return nil
}

// syncOut makes the current pack durable. s.write is held.
func (s *Store) syncOut() error {
	if s.broken != nil || s.synced == s.end {
		return s.broken
	}
	if err := s.out.Sync(); err != nil {
		s.broken = fmt.Errorf("sync pack %s: %w", packName(s.current.Number), err)
		return s.broken
	}
	s.synced = s.end
	crashpoint.Here("pack: synced for the index")
	return nil
}

// commit makes everything durable and tells the index. s.write is held.
func (s *Store) commit() error {
	if err := s.syncOut(); err != nil {
		return err
	}
	s.mu.Lock()
	s.table.setIndexed(s.current.Number, s.end)
	s.mu.Unlock()
	return s.commitTable()
}

// commitTable writes what is pending into the index; the packs must be durable. Readers go on meanwhile: they look at pending first,
// and pending is emptied only when the index has it. s.write is held.
func (s *Store) commitTable() error {
	changes, packs := s.table.toCommit()
	if len(changes) == 0 && len(packs) == 0 && len(s.table.dropped) == 0 {
		return nil
	}
	if err := s.index.commit(s.table.newSpaces, changes, packs, s.table.dropped); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	crashpoint.Here("pack: index written")
	s.mu.Lock()
	s.table.committed()
	s.mu.Unlock()
	return nil
}

// rotate ends the current pack and begins the next. s.write is held.
func (s *Store) rotate() error {
	// What a failed append may have left behind the last record is cut off, since an ended pack has nothing behind it.
	if err := s.out.Truncate(s.end); err != nil {
		return fmt.Errorf("end pack %s: %w", packName(s.current.Number), err)
	}
	s.synced = 0
	crashpoint.Here("pack: end cut off")
	if err := s.commit(); err != nil {
		return err
	}
	old := s.out
	if err := s.begin(s.current.Number + 1); err != nil {
		return err
	}
	return old.Close() // synced by commit
}

// begin makes an empty pack the current one. Its header is durable before the first record. s.write is held.
func (s *Store) begin(number uint32) error {
	head := packfile.Head{Number: number}
	if _, err := io.ReadFull(s.config.Rand, head.Salt[:]); err != nil {
		return fmt.Errorf("read salt: %w", err)
	}
	name := packName(number)
	f, err := s.files.create(name)
	if err != nil {
		return fmt.Errorf("create pack: %w", err)
	}
	crashpoint.Here("pack: created")
	if _, err = f.WriteAt(head.Encode(), 0); err == nil {
		err = f.Sync()
	}
	crashpoint.Here("pack: header synced")
	if err == nil {
		err = s.files.syncDir()
	}
	crashpoint.Here("pack: name synced")
	if err != nil {
		return errors.Join(fmt.Errorf("begin pack %s: %w", name, err), f.Close(), ignoreMissing(s.files.remove(name)))
	}
	s.current, s.out, s.end, s.synced = head, f, packfile.FirstRecord, packfile.FirstRecord
	s.mu.Lock()
	s.table.setIndexed(number, packfile.FirstRecord)
	s.mu.Unlock()
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

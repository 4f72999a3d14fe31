package packstore

import (
	"context"
	"errors"
	"fmt"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"maps"
	"slices"

	"github.com/shoalmesh/shoal/crashpoint"
)

// open is Open behind the door to the disk. An index that turns out unusable is built again, once.
func open(ctx context.Context, c Config, f files) (*Store, error) {
	if c.PackSize == 0 {
		c.PackSize = DefaultPackSize
	}
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	s, err := openWith(ctx, c, f)
	if errors.Is(err, errDamagedIndex) {
		if err := removeIndex(c.Dir); err != nil {
			return nil, fmt.Errorf("remove damaged index: %w", err)
		}
		s, err = openWith(ctx, c, f)
	}
	return s, err
}

// openWith opens the store with the index that is there, or a new one. Error errDamagedIndex: the index does not fit the packs.
func openWith(ctx context.Context, c Config, f files) (_ *Store, err error) {
	x, err := openIndex(c.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, files: f, index: x, handles: newHandles(f)}
	defer func() {
		if err != nil {
			if s.out != nil {
				err = errors.Join(err, s.out.Close())
			}
			err = errors.Join(err, x.close())
		}
	}()
	spaces, packs, err := x.load()
	if err != nil {
		return nil, err
	}
	s.table = newTable(spaces, packs)
	sizes, next, err := s.listPacks()
	if err != nil {
		return nil, err
	}
	if err := s.removeRetired(sizes); err != nil {
		return nil, err
	}
	numbers := slices.Sorted(maps.Keys(sizes))
	if err := s.compareWithIndex(numbers, sizes); err != nil {
		return nil, err
	}
	for i, n := range numbers {
		if err := s.replay(ctx, n, i == len(numbers)-1); err != nil {
			return nil, err
		}
	}
	if s.out == nil {
		if err := s.begin(next); err != nil {
			return nil, err
		}
	}
	return s, s.commit()
}

// listPacks returns the sizes of the packs on disk by number, and a number higher than any in use.
func (s *Store) listPacks() (sizes map[uint32]int64, next uint32, err error) {
	names, err := s.files.list()
	if err != nil {
		return nil, 0, fmt.Errorf("list packs: %w", err)
	}
	sizes, next = make(map[uint32]int64), 1
	for n := range s.table.packs {
		next = max(next, n+1)
	}
	for name, size := range names {
		n, damaged, ok := packNumber(name)
		if !ok {
			continue
		}
		next = max(next, n+1)
		if !damaged {
			sizes[n] = size
		}
	}
	return sizes, next, nil
}

// removeRetired finishes compactions: packs of which nothing counts any more are removed, from sizes too.
func (s *Store) removeRetired(sizes map[uint32]int64) error {
	removed := false
	for n, p := range s.table.packs {
		if !p.retired {
			continue
		}
		if err := ignoreMissing(s.files.remove(packName(n))); err != nil {
			return fmt.Errorf("remove pack: %w", err)
		}
		crashpoint.Here("pack: retired one removed at start")
		s.table.drop(n)
		delete(sizes, n)
		removed = true
	}
	if !removed {
		return nil
	}
	if err := s.files.syncDir(); err != nil {
		return fmt.Errorf("remove packs: %w", err)
	}
	return nil
}

// compareWithIndex finds out whether the index can belong to these packs: each pack that it knows is there, with all that it knows of
// it; none but the newest has more; and any that it does not know is newer. An index brought back from a backup, or one whose
// building was interrupted, does not pass.
func (s *Store) compareWithIndex(numbers []uint32, sizes map[uint32]int64) error {
	known := s.table.numbers()
	for _, n := range known {
		size, ok := sizes[n]
		switch indexed := s.table.packs[n].indexed; {
		case !ok:
			return fmt.Errorf("pack %s is missing: %w", packName(n), errDamagedIndex)
		case size < indexed, size > indexed && n != numbers[len(numbers)-1]:
			return fmt.Errorf("pack %s has %d bytes, not %d: %w", packName(n), size, indexed, errDamagedIndex)
		}
	}
	for _, n := range numbers {
		if len(known) > 0 && n < known[len(known)-1] && s.table.packs[n] == nil {
			return fmt.Errorf("pack %s is unknown: %w", packName(n), errDamagedIndex)
		}
	}
	return nil
}

// replay reads the records of a pack that the index does not have. The newest pack becomes the one that grows: it is synced first, so
// that what is read is what a crash would leave, and cut behind its last whole record.
func (s *Store) replay(ctx context.Context, n uint32, newest bool) (err error) {
	from := int64(packfile.FirstRecord)
	if p := s.table.packs[n]; p != nil {
		from = max(from, p.indexed)
		if !newest {
			return nil // compareWithIndex saw that the index has all of it
		}
	}
	f, err := s.files.open(packName(n))
	if err != nil {
		return fmt.Errorf("open pack: %w", err)
	}
	defer func() {
		if s.out != f {
			err = errors.Join(err, f.Close())
		}
	}()
	size, err := f.size()
	if err != nil {
		return fmt.Errorf("open pack %s: %w", packName(n), err)
	}
	head, err := readHead(f, n)
	if errors.Is(err, packfile.ErrHead) {
		return s.setAside(n, size)
	}
	if err != nil {
		return err
	}
	s.table.setIndexed(n, from)
	if !newest {
		return s.replayEnded(ctx, f, head, from, size)
	}
	return s.replayNewest(ctx, f, head, from, size)
}

// readHead reads the header of pack n. Error packfile.ErrHead: both copies are damaged, or another pack's.
func readHead(f file, n uint32) (packfile.Head, error) {
	raw := make([]byte, packfile.FirstRecord)
	got, err := f.ReadAt(raw, 0)
	head, headErr := packfile.DecodeHead(raw[:got])
	switch {
	case headErr == nil && head.Number == n:
		return head, nil
	case got == len(raw) || isEnd(err):
		return packfile.Head{}, fmt.Errorf("pack %s: %w", packName(n), packfile.ErrHead)
	}
	return packfile.Head{}, fmt.Errorf("read pack %s: %w", packName(n), err)
}

// setAside deals with a pack without a valid header. One without records is what a crash leaves that happens while a pack begins; any other
// is kept under another name, for a person. What the index has of it is lost, so the index is built again.
func (s *Store) setAside(n uint32, size int64) error {
	name := packName(n)
	known := s.table.packs[n] != nil
	var err error
	if size <= packfile.FirstRecord && !known {
		err = s.files.remove(name)
		crashpoint.Here("pack: headless one removed at start")
	} else {
		err = s.files.rename(name, name+damagedSuffix)
	}
	if err == nil {
		err = s.files.syncDir()
	}
	if err != nil {
		return fmt.Errorf("set damaged pack aside: %w", err)
	}
	if known {
		return fmt.Errorf("pack %s has no header: %w", name, errDamagedIndex)
	}
	return nil
}

// replayEnded reads a pack that does not grow. The blocks themselves are not read: they were durable before the next pack began, and
// Scrub looks after them.
func (s *Store) replayEnded(ctx context.Context, f file, head packfile.Head, from, size int64) error {
	err := packfile.WalkHeads(ctx, f, &head.Salt, from, size, func(r packfile.Found) error { return s.replayRecord(head.Number, r) })
	if err != nil {
		return fmt.Errorf("replay pack %s: %w", packName(head.Number), err)
	}
	s.table.setIndexed(head.Number, size)
	return nil
}

// replayNewest mends the tail of the newest pack, reads it, and makes the pack the current one.
func (s *Store) replayNewest(ctx context.Context, f file, head packfile.Head, from, size int64) error {
	end, err := mend(ctx, f, head, from, size)
	if err != nil {
		return fmt.Errorf("mend pack %s: %w", packName(head.Number), err)
	}
	err = packfile.WalkHeads(ctx, f, &head.Salt, from, end, func(r packfile.Found) error { return s.replayRecord(head.Number, r) })
	if err != nil {
		return fmt.Errorf("replay pack %s: %w", packName(head.Number), err)
	}
	s.table.setIndexed(head.Number, end)
	s.current, s.out, s.end, s.synced = head, f, end, end
	return nil
}

// mend makes what is whole of a tail durable and gets rid of the rest. A crash may have kept writes in any order, so records that are
// whole can follow torn ones; these were never synced, or have been damaged since, and their headers are blanked: later the pack
// may be read by its headers alone. It returns the new size.
func mend(ctx context.Context, f file, head packfile.Head, from, size int64) (int64, error) {
	if err := f.Sync(); err != nil { // what the page cache holds of a killed process may not be on the disk yet
		return 0, err
	}
	end, torn, err := packfile.FindTorn(ctx, f, &head.Salt, from, size)
	if err != nil || len(torn) == 0 && end == size {
		return end, err
	}
	for _, off := range torn {
		if _, err := f.WriteAt(make([]byte, len(packfile.RecordMagic)), off); err != nil {
			return 0, err
		}
	}
	crashpoint.Here("pack: tail to be cut off")
	err = errors.Join(f.Truncate(end), f.Sync())
	crashpoint.Here("pack: tail cut off")
	return end, err
}

// replayRecord does again what a record says.
func (s *Store) replayRecord(pack uint32, r packfile.Found) error {
	if s.table.changes >= s.config.Batch {
		s.table.setIndexed(pack, int64(r.Offset)) // this record is not in the batch
		if err := s.commitTable(); err != nil {
			return err
		}
	}
	copies, err := s.lookup(r.Key)
	if err != nil {
		return err
	}
	var old located
	if len(copies) > 0 {
		old = copies[0]
	}
	switch r.Kind {
	case packfile.KindBlock:
		s.note(r.Key, old, located{sealed: r.Key.Sealed, place: packfile.Place{Pack: pack, Offset: r.Offset}, length: r.Length})
	case packfile.KindDeletion:
		if old.place == r.Gone {
			s.note(r.Key, old, located{sealed: r.Key.Sealed})
		}
		s.table.addDeletion(pack, r.Gone)
	}
	return nil
}

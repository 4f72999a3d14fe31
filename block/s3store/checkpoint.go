package s3store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// keptEntries is how many of the entries that a checkpoint covers stay for a while, so that processes that are a little behind read these and not
// the whole checkpoint.
const keptEntries = 256

// checkpointDir names the objects of a checkpoint; its number comes first, so that old ones are known by their names.
func checkpointDir(number uint32, id [16]byte) string {
	return fmt.Sprintf("checkpoints/%08x-%x/", number, id[:])
}

func partObject(a *ledger.Anchor, i int) string {
	return fmt.Sprintf("%s%04x", checkpointDir(a.Number, a.Checkpoint), i)
}

// numberOf returns the number that a name has behind prefix.
func numberOf(name, prefix string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok || len(digits) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits[:8], 16, 32)
	return uint32(n), err == nil
}

// packNameOf is the inverse of packObject.
func packNameOf(object string) (n ledger.PackName, ok bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(object, "packs/"), ".pack")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(n) {
		return n, false
	}
	n = ledger.PackName(raw)
	return n, packObject(n) == object
}

// readPart returns part i of the anchor's checkpoint. One that was damaged on its way is asked for once more.
func (s *Store) readPart(ctx context.Context, a *ledger.Anchor, i int, ref ledger.PartRef) (*ledger.Part, error) {
	for again := false; ; again = true {
		raw, _, err := s.bucket.Get(ctx, partObject(a, i), int64(ref.Size))
		if err != nil {
			return nil, err
		}
		if ledger.Ref(raw) == ref {
			return ledger.DecodePart(raw)
		}
		if again {
			return nil, fmt.Errorf("%s: %w", partObject(a, i), ErrDamaged)
		}
	}
}

// checkpoint writes a checkpoint if the ledger has grown by Config.Checkpoint entries since the last, and removes what it takes the place of.
//
// The anchor's number only grows, and it is written under the condition that it is as it was read. So a checkpoint with a number that is not above the
// anchor's will never be named by it, and may be removed, whoever wrote it.
func (s *Store) checkpoint(ctx context.Context) error {
	a, etag, err := s.readAnchorTag(ctx)
	if err != nil {
		return err
	}
	x, err := s.now()
	if err != nil {
		return err
	}
	if x.applied >= a.Number && x.applied-a.Number >= uint32(min(s.config.Checkpoint, lastNumber)) {
		next := &ledger.Anchor{Store: a.Store}
		if err := errors.Join(s.random(next.Nonce[:]), s.random(next.Checkpoint[:])); err != nil {
			return err
		}
		if err := s.writeCheckpoint(ctx, next); err != nil {
			return err
		}
		if next.Number <= a.Number {
			return nil
		}
		_, err := s.bucket.Put(ctx, anchorObject, next.Encode(), etag)
		if errors.Is(err, bucket.ErrChanged) {
			return nil // another was faster; ours has no name and will be removed
		}
		if err != nil {
			return err
		}
		a = next
	}
	return s.removeCovered(ctx, a)
}

// writeCheckpoint uploads the parts and fills the anchor in. The index is copied to a file first: while it is read, it cannot grow.
func (s *Store) writeCheckpoint(ctx context.Context, a *ledger.Anchor) (err error) {
	f, err := os.CreateTemp(s.config.Dir, spoolPattern)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := s.copyIndex(ctx, a, f); err != nil {
		return err
	}
	off := int64(0)
	for i, ref := range a.Parts {
		if err := s.bucket.Upload(ctx, partObject(a, i), io.NewSectionReader(f, off, int64(ref.Size)), int64(ref.Size)); err != nil {
			return err
		}
		off += int64(ref.Size)
	}
	return nil
}

// copyIndex writes all that the index has, as parts one behind the other. Entries wait meanwhile.
func (s *Store) copyIndex(ctx context.Context, a *ledger.Anchor, out io.Writer) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	x := s.index
	a.Number, a.Chain = x.applied, x.chain
	write := func(p *ledger.Part) error {
		raw := p.Encode()
		if a.Parts = append(a.Parts, ledger.Ref(raw)); len(a.Parts) > ledger.MaxParts {
			return fmt.Errorf("the store has more blocks than a checkpoint can: %w", bucket.ErrSize)
		}
		_, err := out.Write(raw)
		return err
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(x.packs)), ledger.MaxPacks) {
		var p ledger.Part
		for _, n := range chunk {
			p.Packs = append(p.Packs, ledger.NumberedPack{Number: n, Pack: x.packs[n].Pack})
		}
		if err := write(&p); err != nil {
			return err
		}
	}
	var p ledger.Part
	err := x.each(func(k block.Key, c copyAt) error {
		p.Copies = append(p.Copies, ledger.Copy{Key: k, Place: c.place, Length: c.length, Until: c.until})
		if len(p.Copies) < ledger.MaxCopies {
			return nil
		}
		err := write(&p)
		p.Copies = p.Copies[:0]
		return errors.Join(err, ctx.Err())
	})
	if err == nil && len(p.Copies) > 0 {
		err = write(&p)
	}
	return err
}

// removeCovered removes entries and checkpoints that the anchor's takes the place of.
func (s *Store) removeCovered(ctx context.Context, a *ledger.Anchor) error {
	keep := checkpointDir(a.Number, a.Checkpoint)
	err := s.removeWhere(ctx, "checkpoints/", func(name string) bool {
		n, ok := numberOf(name, "checkpoints/")
		return ok && n <= a.Number && !strings.HasPrefix(name, keep)
	})
	if err != nil || a.Number < keptEntries {
		return err
	}
	return s.removeWhere(ctx, "ledger/", func(name string) bool {
		n, ok := numberOf(name, "ledger/")
		return ok && n <= a.Number-keptEntries
	})
}

// removeWhere removes objects in the order of their names, up to the first page of which nothing is to be removed.
func (s *Store) removeWhere(ctx context.Context, prefix string, covered func(name string) bool) error {
	after := ""
	for range maxPages {
		items, err := s.bucket.List(ctx, prefix, after)
		if err != nil {
			return err
		}
		removed := 0
		for _, item := range items {
			if !covered(item.Name) {
				continue
			}
			if err := s.bucket.Delete(ctx, item.Name); err != nil {
				return err
			}
			removed++
		}
		if len(items) < bucket.MaxList || removed == 0 {
			return nil
		}
		after = items[len(items)-1].Name
	}
	return errEndless
}

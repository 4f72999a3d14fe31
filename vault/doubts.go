package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// maxBadCopies is how many doubted copies of a block are kept of one device, where they can't make room for a newer one of the same.
const maxBadCopies = 4

// copiesOf returns what is known of the copies that the store has of a block. Errors: errTrouble; those of the index.
func (t *Tenant) copiesOf(ctx context.Context, f *index.Folder, key block.Key) (copies []index.Copy, err error) {
	hashes, err := t.cfg.Packs.Copies(ctx, key)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, t.storeFailed(err)
	case len(hashes) == 0:
		return nil, nil
	}
	err = f.View(func(tx *index.Tx) (err error) {
		copies, err = tx.KeptCopies(block.EpochRef{ID: key.ID, Epoch: key.Epoch}, hashes)
		return err
	})
	return copies, err
}

// trusted tells that one of the copies is doubted by nobody.
func trusted(copies []index.Copy) bool {
	return slices.ContainsFunc(copies, func(c index.Copy) bool { return !c.Doubted() })
}

// Doubted implements blockexchange.Keeper. When no copy is left that nobody doubts, another is fetched, first from somebody else than who
// gave this one; the doubted ones stay.
func (t *Tenant) Doubted(ctx context.Context, by shoal.DeviceID, id shoal.FolderID, ref block.EpochRef, sealed [32]byte) {
	f := t.index(id)
	if f == nil {
		return
	}
	from, noted, err := t.noteDoubt(ctx, f, by, id, ref, sealed)
	if err != nil {
		t.cfg.Log.Error("note a doubt", "err", err)
	}
	if !noted {
		return
	}
	t.cfg.Log.Warn("a copy does not open at a device", "device", by, "folder", id, "block", ref.ID.Short(), "from", from)
	if from != by && from != (shoal.DeviceID{}) {
		t.strikes.add(blockKey{id, ref}, from, t.cfg.Elapsed())
	}
	t.cfg.Changed(id)
	t.RecordsCame(id)
}

func (t *Tenant) noteDoubt(ctx context.Context, f *index.Folder, by shoal.DeviceID, id shoal.FolderID, ref block.EpochRef, sealed [32]byte) (from shoal.DeviceID, noted bool, err error) {
	t.store.Lock()
	defer t.store.Unlock()
	hashes, err := t.cfg.Packs.Copies(ctx, block.Key{Folder: id, Epoch: ref.Epoch, ID: ref.ID})
	if err != nil || !slices.Contains(hashes, sealed) {
		return from, false, err
	}
	err = f.Update(ctx, func(tx *index.Tx) (err error) {
		if noted, err = tx.DoubtCopy(ref, sealed, by, hashes); err != nil || !noted {
			return err
		}
		copies, err := tx.KeptCopies(ref, [][32]byte{sealed})
		if err == nil {
			from = copies[0].From
		}
		return err
	})
	return from, noted && err == nil, err
}

// welcome tells whether a copy that a device gives is to be kept. One that is doubted already is not, nor one of a device that is not to be asked for
// the block; and what that device gave before must make room for it, or be little.
func (t *Tenant) welcome(ctx context.Context, f *index.Folder, key block.Key, from shoal.DeviceID) (bool, error) {
	k := blockKey{key.Folder, block.EpochRef{ID: key.ID, Epoch: key.Epoch}}
	now := t.cfg.Elapsed()
	if t.strikes.has(k, from, now) {
		return false, nil
	}
	sealed := key.Sealed
	key.Sealed = [32]byte{}
	copies, err := t.copiesOf(ctx, f, key)
	if err != nil {
		return false, err
	}
	stay := 0
	for i := range copies {
		c := &copies[i]
		if c.Sealed == sealed && c.Doubted() {
			t.strikes.add(k, from, now)
			return false, nil
		}
		if c.From == from && c.Doubted() && !t.displaceable(c) {
			stay++
		}
	}
	if stay >= maxBadCopies {
		t.strikes.add(k, from, now)
		return false, nil
	}
	return true, nil
}

// displaceable tells whether a copy may go when the device that gave it has given another one. Somebody else must have found it bad: no device
// alone, as giver and as reporter, then makes a good copy go. What vaults give is not theirs, and stays.
func (t *Tenant) displaceable(c *index.Copy) bool {
	giver, known := t.cfg.Roster().Device(c.From)
	return known && giver.Role != mesh.RoleVault && slices.ContainsFunc(c.Doubters, func(d shoal.DeviceID) bool { return d != c.From })
}

// displace deletes the doubted copies of a block for which a newer one of the same device came, which is durable and noted. t.store is held.
func (t *Tenant) displace(ctx context.Context, f *index.Folder, s *index.Stored) error {
	key := block.Key{Folder: f.ID(), Epoch: s.Block.Epoch, ID: s.Block.ID}
	copies, err := t.copiesOf(ctx, f, key)
	if err != nil || len(copies) < 2 {
		return err
	}
	var left [][32]byte
	var gone [][32]byte
	for i := range copies {
		if c := &copies[i]; c.From == s.From && c.Sealed != s.Sealed && t.displaceable(c) {
			gone = append(gone, c.Sealed)
		} else {
			left = append(left, c.Sealed)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	stay, err := t.deleteCopies(ctx, key, gone)
	if err != nil {
		return err
	}
	gone, left = except(gone, stay), append(left, stay...)
	return t.update(ctx, f, func(tx *index.Tx) error {
		for _, h := range gone {
			if err := tx.DropCopy(s.Block, h, left); err != nil {
				return err
			}
		}
		return nil
	})
}

// deleteCopies deletes copies of a block, durably, and returns those that stay: somebody who shares the store counts on them. t.store is held.
func (t *Tenant) deleteCopies(ctx context.Context, key block.Key, copies [][32]byte) (stay [][32]byte, err error) {
	for _, h := range copies {
		key.Sealed = h
		if t.cfg.Shared != nil {
			err = t.cfg.Shared.DeleteAsOf(ctx, key, t.cfg.Clock())
		} else {
			err = t.cfg.Packs.Delete(ctx, key)
		}
		if err != nil && !errors.Is(err, s3store.ErrPinned) {
			return nil, t.bucketFailed(ctx, err)
		}
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return nil, t.bucketFailed(ctx, err)
	}
	if t.cfg.Shared == nil {
		return nil, nil
	}
	key.Sealed = [32]byte{}
	there, err := t.cfg.Packs.Copies(ctx, key)
	if err != nil {
		return nil, t.bucketFailed(ctx, err)
	}
	return except(copies, except(copies, there)), nil
}

// except returns the hashes of a list that are not in another.
func except(list, not [][32]byte) (out [][32]byte) {
	for _, h := range list {
		if !slices.Contains(not, h) {
			out = append(out, h)
		}
	}
	return out
}

// Sealed implements blockexchange.Keeper: first a copy that nobody doubts, then those that few doubt.
func (t *Tenant) Sealed(ctx context.Context, w blockexchange.Want, not func([32]byte) bool) ([]byte, error) {
	f := t.index(w.Folder)
	if f == nil {
		return nil, blockexchange.ErrAbsent
	}
	if w.Node {
		return t.node(f, w)
	}
	key := block.Key{Folder: w.Folder, Epoch: w.Epoch, ID: w.Block}
	copies, err := t.copiesOf(ctx, f, key)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(copies, func(a, b index.Copy) int { return len(a.Doubters) - len(b.Doubters) })
	var errs []error
	for _, c := range copies {
		if not(c.Sealed) {
			continue
		}
		key.Sealed = c.Sealed
		sealed, err := t.cfg.Packs.Get(ctx, key)
		if err == nil {
			return sealed, nil
		}
		if !errors.Is(err, block.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(append(errs, blockexchange.ErrAbsent)...)
}

func (t *Tenant) node(f *index.Folder, w blockexchange.Want) (data []byte, err error) {
	err = f.View(func(tx *index.Tx) error {
		data, err = tx.Node([32]byte(w.Block))
		return err
	})
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("reference node %s: %w", w.Block.Short(), blockexchange.ErrAbsent)
	}
	return data, err
}

var _ blockexchange.Keeper = (*Tenant)(nil)

package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/index"
)

// What is done to a store that other processes use too. t.store may be taken by who holds the replica's turn, never the other way round: nothing here talks to
// Others while it holds t.store.

// adoptShared notes blocks that are in the store already, maybe because another process put them there, and returns the lacks that are left. They are pinned first: another may be about
// to delete them. They are not read; the scrub does that. A block of which every copy is doubted here stays lacking. t.store is not held.
func (t *Tenant) adoptShared(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack) (rest []index.Lack, err error) {
	t.store.Lock()
	defer t.store.Unlock()
	var keys []block.Key
	var found []index.Stored
	var of []index.Lack
	var absent []block.EpochRef
	for _, l := range lacks {
		if l.Node {
			rest = append(rest, l)
			continue
		}
		key, bytes, err := t.countable(ctx, f, l.Block)
		switch {
		case err != nil:
			return nil, err
		case bytes == 0:
			absent = append(absent, l.Block)
			rest = append(rest, l)
		case key.Sealed == [32]byte{}:
			rest = append(rest, l)
		default:
			keys, of = append(keys, key), append(of, l)
			found = append(found, index.Stored{Block: l.Block, Bytes: bytes, Found: true})
		}
	}
	if err := t.forgetAbsent(ctx, f, absent); err != nil || len(keys) == 0 {
		return rest, err
	}
	have, err := t.cfg.Shared.PinFor(ctx, keys, PinTime)
	if err != nil {
		return nil, t.bucketFailed(ctx, err)
	}
	here := found[:0]
	for i := range found {
		if have[i] {
			here = append(here, found[i])
		} else {
			rest = append(rest, of[i])
		}
	}
	if len(here) == 0 {
		return rest, nil
	}
	return rest, t.note(ctx, id, f, here)
}

// countable returns the key of a copy that is in the store and that nobody doubts here, and the bytes of all copies: 0 if there is none. A zero hash: all are doubted.
// Errors: errTrouble; those of the index.
func (t *Tenant) countable(ctx context.Context, f *index.Folder, ref block.EpochRef) (key block.Key, bytes int, err error) {
	key = block.Key{Folder: f.ID(), Epoch: ref.Epoch, ID: ref.ID}
	held, err := t.cfg.Shared.Held(ctx, key)
	if err != nil {
		return key, 0, t.bucketFailed(ctx, err)
	}
	if len(held) == 0 {
		return key, 0, nil
	}
	hashes := make([][32]byte, len(held))
	for i := range held {
		hashes[i] = held[i].Sealed
		bytes += held[i].Size
	}
	var copies []index.Copy
	if err := f.View(func(tx *index.Tx) (err error) { copies, err = tx.KeptCopies(ref, hashes); return err }); err != nil {
		return key, 0, err
	}
	if i := slices.IndexFunc(copies, func(c index.Copy) bool { return !c.Doubted() }); i >= 0 {
		key.Sealed = copies[i].Sealed
	}
	return key, bytes, nil
}

// forgetAbsent forgets the copies of blocks of which the store has none, as far as any were known. t.store is held.
func (t *Tenant) forgetAbsent(ctx context.Context, f *index.Folder, refs []block.EpochRef) error {
	var known []block.EpochRef
	if err := f.View(func(tx *index.Tx) error {
		for _, r := range refs {
			d, err := tx.DemandFor(r)
			if err != nil {
				return err
			}
			if d.Stored > 0 {
				known = append(known, r)
			}
		}
		return nil
	}); err != nil || len(known) == 0 {
		return err
	}
	return t.update(ctx, f, func(tx *index.Tx) error {
		for _, r := range known {
			if err := tx.DropCopy(r, [32]byte{}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Recheck pins every block that live records need and that counts as being in the store, and finds out which are not there.
func (t *Tenant) Recheck(ctx context.Context) error {
	for _, id := range t.IDs() {
		f := t.index(id)
		for at := (block.EpochRef{}); ; {
			var refs []block.EpochRef
			if err := f.View(func(tx *index.Tx) (err error) { refs, err = tx.Counted(at, pullPage); return err }); err != nil {
				return err
			}
			if len(refs) == 0 {
				break
			}
			at = refs[len(refs)-1]
			if err := t.recheck(ctx, f, refs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tenant) recheck(ctx context.Context, f *index.Folder, refs []block.EpochRef) error {
	var keys []block.Key
	var of, again []block.EpochRef
	for _, ref := range refs {
		key, _, err := t.countable(ctx, f, ref)
		if err != nil {
			return err
		}
		if key.Sealed == [32]byte{} {
			again = append(again, ref)
			continue
		}
		keys, of = append(keys, key), append(of, ref)
	}
	have, err := t.cfg.Shared.PinFor(ctx, keys, PinTime)
	if err != nil {
		return err
	}
	for i := range have {
		if !have[i] {
			again = append(again, of[i])
		}
	}
	return t.lookAgain(ctx, f, again)
}

// lookAgain has blocks count as lacking until pull has looked for them in the store.
func (t *Tenant) lookAgain(ctx context.Context, f *index.Folder, refs []block.EpochRef) error {
	if len(refs) == 0 {
		return nil
	}
	if err := t.update(ctx, f, func(tx *index.Tx) error {
		for _, ref := range refs {
			if err := tx.LookAgain(ref); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	t.cfg.Changed(f.ID())
	t.RecordsCame(f.ID())
	return nil
}

// Lost implements replica.Keeping: another process found the last copy of a block damaged. If a copy is there after all, it has come since, and pull finds it.
func (t *Tenant) Lost(ctx context.Context, id shoal.FolderID, ref block.EpochRef) error {
	f := t.index(id)
	if f == nil {
		return nil
	}
	return t.lookAgain(ctx, f, []block.EpochRef{ref})
}

// lookAtDoubted looks again for those of some blocks that count as being in the store, and of which only copies are left that somebody doubts: another process
// deleted the one that counted, when this one had not heard that the other does not open.
func (t *Tenant) lookAtDoubted(ctx context.Context, f *index.Folder, held []block.EpochRef) error {
	var again []block.EpochRef
	for _, ref := range held {
		key, bytes, err := t.countable(ctx, f, ref)
		if err != nil {
			return err
		}
		if bytes > 0 && key.Sealed == [32]byte{} {
			again = append(again, ref)
		}
	}
	return t.lookAgain(ctx, f, again)
}

// dropShared deletes a page of blocks that nothing demands, by what all processes had told at a time. t.store is held.
func (t *Tenant) dropShared(ctx context.Context, id shoal.FolderID, f *index.Folder, refs []block.EpochRef, asOf time.Time) error {
	for _, r := range refs {
		err := t.cfg.Shared.DeleteAsOf(ctx, block.Key{Folder: id, Epoch: r.Epoch, ID: r.ID}, asOf)
		if err != nil && !errors.Is(err, s3store.ErrPinned) {
			return t.bucketFailed(ctx, err)
		}
	}
	if err := t.cfg.Shared.Sync(ctx); err != nil {
		return t.bucketFailed(ctx, err)
	}
	// What another counts on is there still. It may be let go of when it has been idle for as long again.
	var pinned []index.Stored
	for _, r := range refs {
		_, bytes, err := t.countable(ctx, f, r)
		if err != nil {
			return err
		}
		if bytes > 0 {
			pinned = append(pinned, index.Stored{Block: r, Bytes: bytes, Found: true})
		}
	}
	return t.update(ctx, f, func(tx *index.Tx) error {
		if err := tx.EndDrop(refs); err != nil {
			return err
		}
		return tx.PutStored(pinned)
	})
}

// damagedBlock is a block of which copies are damaged.
type damagedBlock struct {
	key    blockKey
	copies [][32]byte
}

// repairShared is repair for a store that others share. One that somebody has pinned cannot go yet: this process doubts it then, so that it counts on another copy, and
// the next scrub deletes it. That a last copy went is told to the others.
func (t *Tenant) repairShared(ctx context.Context, damaged []block.Key) error {
	var blocks []damagedBlock
	for _, k := range damaged {
		b := blockKey{k.Folder, block.EpochRef{ID: k.ID, Epoch: k.Epoch}}
		i := slices.IndexFunc(blocks, func(d damagedBlock) bool { return d.key == b })
		if i < 0 {
			i, blocks = len(blocks), append(blocks, damagedBlock{key: b})
		}
		blocks[i].copies = append(blocks[i].copies, k.Sealed)
	}
	lost, err := t.dropDamaged(ctx, blocks)
	if err != nil {
		return err
	}
	for id, refs := range lost {
		if o := t.others(); o != nil {
			if err := o.TellLost(ctx, id, refs); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropDamaged takes damaged copies out of the store, and returns the blocks of which none is left. They stop to count before they go.
func (t *Tenant) dropDamaged(ctx context.Context, blocks []damagedBlock) (lost map[shoal.FolderID][]block.EpochRef, err error) {
	t.store.Lock()
	defer t.store.Unlock()
	if err := t.uncount(ctx, blocks); err != nil {
		return nil, err
	}
	for _, b := range blocks {
		for _, h := range b.copies {
			k := block.Key{Folder: b.key.folder, Epoch: b.key.ref.Epoch, ID: b.key.ref.ID, Sealed: h}
			if err := t.cfg.Packs.Delete(ctx, k); err != nil && !errors.Is(err, s3store.ErrPinned) {
				return nil, fmt.Errorf("delete a damaged copy: %w", err)
			}
		}
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return nil, err
	}
	lost = map[shoal.FolderID][]block.EpochRef{}
	for _, b := range blocks {
		f := t.index(b.key.folder)
		if f == nil {
			continue
		}
		none, err := t.noteDamaged(ctx, f, b)
		if err != nil {
			return nil, err
		}
		if none {
			lost[f.ID()] = append(lost[f.ID()], b.key.ref)
		}
	}
	return lost, nil
}

// uncount has blocks stop to count.
func (t *Tenant) uncount(ctx context.Context, blocks []damagedBlock) error {
	of := map[shoal.FolderID][]block.EpochRef{}
	for _, b := range blocks {
		of[b.key.folder] = append(of[b.key.folder], b.key.ref)
	}
	for id, refs := range of {
		if f := t.index(id); f != nil {
			if err := t.lookAgain(ctx, f, refs); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteDamaged notes which damaged copies of a block went, and doubts those that are pinned. t.store is held.
func (t *Tenant) noteDamaged(ctx context.Context, f *index.Folder, b damagedBlock) (none bool, err error) {
	ref, self := b.key.ref, t.cfg.Identity.Device()
	left, err := t.cfg.Packs.Copies(ctx, block.Key{Folder: b.key.folder, Epoch: ref.Epoch, ID: ref.ID})
	if err != nil {
		return false, err
	}
	err = t.update(ctx, f, func(tx *index.Tx) error {
		for _, h := range b.copies {
			var err error
			if slices.Contains(left, h) {
				_, err = tx.DoubtCopy(ref, h, self, left)
			} else {
				err = tx.DropCopy(ref, h, left)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return len(left) == 0, err
}

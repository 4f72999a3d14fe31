package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
)

const (
	sweepPage = 16_384 // blocks that are found in one pass through the store; with more there is another pass
	checkPage = 1024   // blocks that are held against the index, or the store, at a time
)

var errEnough = errors.New("enough for one pass")

// Sweep makes the index and the store agree again where a crash or a failing disk came between them. What is in the store and not in
// the index, since its demand went before it was noted, is noted now: it is kept for the retention, like all that nothing demands. What
// the index has and the store has not counts as lacking. Errors: those of Run.
func (t *Tenant) Sweep(ctx context.Context) error {
	if err := t.sweepStore(ctx); err != nil {
		return fmt.Errorf("look for blocks that nobody counts: %w", err)
	}
	for _, id := range t.IDs() {
		if err := t.sweepIndex(ctx, id); err != nil {
			return fmt.Errorf("look for blocks that are gone: %w", err)
		}
	}
	return nil
}

// found is a block in the store, with the bytes of all its copies.
type found struct {
	key   blockKey
	bytes int
}

func (t *Tenant) sweepStore(ctx context.Context) error {
	for {
		var orphans, some []found
		check := func() error {
			unknown, err := t.unknown(some)
			orphans, some = append(orphans, unknown...), some[:0]
			if err == nil && len(orphans) >= sweepPage {
				err = errEnough
			}
			return err
		}
		err := t.cfg.Packs.Keys(ctx, func(k block.Key, size int) error {
			b := blockKey{k.Folder, block.EpochRef{ID: k.ID, Epoch: k.Epoch}}
			if n := len(some); n > 0 && some[n-1].key == b {
				some[n-1].bytes += size
				return nil
			}
			if len(some) == checkPage {
				if err := check(); err != nil {
					return err
				}
			}
			some = append(some, found{b, size})
			return nil
		})
		if err == nil {
			err = check()
		}
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		for len(orphans) > 0 {
			n := min(len(orphans), checkPage)
			if err := t.noteOrphans(ctx, orphans[:n]); err != nil {
				return err
			}
			orphans = orphans[n:]
		}
		if err == nil {
			return nil
		}
	}
}

// orphan tells whether a block that is in the store is not counted. What is lacking is left to pull, which reads it before it counts.
func orphan(d *index.Demand) bool { return !d.Known || !d.Live && !d.Dying && d.Stored == 0 }

// unknown returns those of some blocks, sorted by folder, that the index does not count.
func (t *Tenant) unknown(some []found) (out []found, err error) {
	for len(some) > 0 {
		n := 1
		for n < len(some) && some[n].key.folder == some[0].key.folder {
			n++
		}
		if f := t.index(some[0].key.folder); f != nil { // else of no folder that the roster names
			err = f.View(func(tx *index.Tx) error {
				for _, b := range some[:n] {
					d, err := tx.DemandFor(b.key.ref)
					if err != nil {
						return err
					}
					if orphan(&d) {
						out = append(out, b)
					}
				}
				return nil
			})
		}
		if err != nil {
			return nil, err
		}
		some = some[n:]
	}
	return out, nil
}

// noteOrphans notes blocks that are in the store, unless that has changed, or somebody is about to.
func (t *Tenant) noteOrphans(ctx context.Context, orphans []found) error {
	t.store.Lock()
	defer t.store.Unlock()
	still, err := t.unknown(orphans)
	if err != nil {
		return err
	}
	byFolder := map[shoal.FolderID][]index.Stored{}
	n := 0
	for _, b := range still {
		id, ref := b.key.folder, b.key.ref
		if _, coming := t.unnoted[b.key]; coming {
			continue
		}
		copies, err := t.copiesOf(ctx, t.index(id), block.Key{Folder: id, Epoch: ref.Epoch, ID: ref.ID})
		if err != nil {
			return err
		}
		if trusted(copies) {
			byFolder[id] = append(byFolder[id], index.Stored{Block: ref, Bytes: b.bytes, Found: true})
			n++
		}
	}
	if n == 0 {
		return nil
	}
	t.cfg.Log.Info("found blocks that nobody counted", "blocks", n)
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return t.storeFailed(err)
	}
	for id, here := range byFolder {
		if err := t.noteIdle(ctx, t.index(id), here); err != nil {
			return err
		}
	}
	return nil
}

// noteIdle notes blocks in the store that nothing live demands. What became live meanwhile is left to pull, which looks for it, and pins it where others delete too.
func (t *Tenant) noteIdle(ctx context.Context, f *index.Folder, here []index.Stored) error {
	return t.update(ctx, f, func(tx *index.Tx) error {
		idle := make([]index.Stored, 0, len(here))
		for _, h := range here {
			d, err := tx.DemandFor(h.Block)
			if err != nil {
				return err
			}
			if !d.Live {
				idle = append(idle, h)
			}
		}
		return tx.PutStored(idle)
	})
}

// sweepIndex looks for blocks of a folder that count as being in the store and are not.
func (t *Tenant) sweepIndex(ctx context.Context, id shoal.FolderID) error {
	f := t.index(id)
	var at block.EpochRef
	for {
		var held []block.EpochRef
		if err := f.View(func(tx *index.Tx) (err error) {
			held, at, err = tx.Held(at, checkPage)
			return err
		}); err != nil {
			return err
		}
		gone, err := t.gone(ctx, id, held)
		if err == nil && len(gone) > 0 {
			err = t.noteGone(ctx, f, gone)
		}
		if err == nil && t.cfg.Shared != nil {
			err = t.lookAtDoubted(ctx, f, held)
		}
		if err != nil || at == (block.EpochRef{}) {
			return err
		}
	}
}

// gone returns those of some blocks of which the store has no copy.
func (t *Tenant) gone(ctx context.Context, id shoal.FolderID, refs []block.EpochRef) (out []block.EpochRef, err error) {
	for _, r := range refs {
		has, err := t.cfg.Packs.Has(ctx, block.Key{Folder: id, Epoch: r.Epoch, ID: r.ID})
		if err != nil {
			return nil, err
		}
		if !has {
			out = append(out, r)
		}
	}
	return out, nil
}

func (t *Tenant) noteGone(ctx context.Context, f *index.Folder, refs []block.EpochRef) error {
	t.store.Lock()
	defer t.store.Unlock()
	refs, err := t.gone(ctx, f.ID(), refs)
	if err != nil {
		return err
	}
	n := 0
	if err := t.update(ctx, f, func(tx *index.Tx) error {
		for _, r := range refs {
			d, err := tx.DemandFor(r)
			if err == nil && d.Held {
				if t.cfg.Shared == nil || d.Live { // what nothing demands another process may have let go of
					n++
				}
				err = tx.DropCopy(r, [32]byte{}, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil || n == 0 {
		return err
	}
	t.cfg.Log.Error("kept blocks are gone from the store", "folder", f.ID(), "blocks", n)
	t.cfg.Changed(f.ID())
	t.RecordsCame(f.ID())
	return nil
}

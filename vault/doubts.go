package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
)

// Bounds of doubts. They are kept in memory: after a restart a bad copy is reported again, and the good one beside it served.
const (
	maxDoubts = 10_000 // blocks with a doubted copy
	maxCopies = 4      // of one block
)

// doubts are copies that did not open at a device, by its word.
type doubts map[doubtKey]map[[32]byte]bool

type doubtKey struct {
	folder shoal.FolderID
	ref    block.EpochRef
}

func newDoubts() doubts { return doubts{} }

func (t *Tenant) doubted(id shoal.FolderID, ref block.EpochRef) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.doubts[doubtKey{id, ref}]) > 0
}

func (t *Tenant) alreadyDoubted(id shoal.FolderID, ref block.EpochRef, sealed [32]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.doubts[doubtKey{id, ref}][sealed]
}

// doubt notes a doubt and returns all of the block; false: it is not new, or there is no room for more.
func (t *Tenant) doubt(k doubtKey, sealed [32]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.doubts[k]
	if of[sealed] || of == nil && len(t.doubts) >= maxDoubts || len(of) >= maxCopies {
		return false
	}
	if of == nil {
		of = map[[32]byte]bool{}
		t.doubts[k] = of
	}
	of[sealed] = true
	return true
}

// Doubted implements blockexchange.Keeper. When no copy is left that nobody doubts, another is fetched; the doubted stay.
func (t *Tenant) Doubted(ctx context.Context, by shoal.DeviceID, id shoal.FolderID, ref block.EpochRef, sealed [32]byte) {
	f := t.index(id)
	if f == nil {
		return
	}
	key := block.Key{Folder: id, Epoch: ref.Epoch, ID: ref.ID}
	copies, err := t.cfg.Packs.Copies(ctx, key)
	if err != nil || !contains(copies, sealed) || !t.doubt(doubtKey{id, ref}, sealed) {
		return
	}
	t.cfg.Log.Warn("a copy does not open at a device", "device", by, "folder", id, "block", ref.ID.Short())
	for _, c := range copies {
		if !t.alreadyDoubted(id, ref, c) {
			return
		}
	}
	if len(copies) >= maxCopies {
		return
	}
	if err := f.Update(ctx, func(tx *index.Tx) error { return tx.Doubt(ref, false) }); err != nil {
		t.cfg.Log.Error("note a doubt", "err", err)
		return
	}
	t.cfg.Changed(id)
	t.RecordsCame(id)
}

func contains(list [][32]byte, h [32]byte) bool {
	for i := range list {
		if list[i] == h {
			return true
		}
	}
	return false
}

// Sealed implements blockexchange.Keeper: first a copy that nobody doubts.
func (t *Tenant) Sealed(ctx context.Context, w blockexchange.Want, not func([32]byte) bool) ([]byte, error) {
	f := t.index(w.Folder)
	if f == nil {
		return nil, blockexchange.ErrAbsent
	}
	if w.Node {
		return t.node(f, w)
	}
	ref := block.EpochRef{ID: w.Block, Epoch: w.Epoch}
	key := block.Key{Folder: w.Folder, Epoch: w.Epoch, ID: w.Block}
	copies, err := t.cfg.Packs.Copies(ctx, key)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, doubted := range []bool{false, true} {
		for _, c := range copies {
			if not(c) || t.alreadyDoubted(w.Folder, ref, c) != doubted {
				continue
			}
			key.Sealed = c
			sealed, err := t.cfg.Packs.Get(ctx, key)
			if err == nil {
				return sealed, nil
			}
			if !errors.Is(err, block.ErrNotFound) {
				errs = append(errs, err)
			}
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

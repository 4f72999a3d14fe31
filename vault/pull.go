package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
)

// How pulling goes on.
const (
	pullPage  = 4096                   // lacking blocks that are asked for in one fetch
	putBatch  = 512                    // blocks that become durable together
	putBytes  = 16 << 20               // or so many bytes
	putPause  = 200 * time.Millisecond // or when no other came for so long
	workNodes = 16                     // reference nodes that are worked on in one transaction
	pullAgain = 30 * time.Second       // before what nobody had is looked at again, when nothing else happens
	pullWait  = 5 * time.Second        // before a fetch in which nothing came is given up, to look whether something else is lacking
	newsWait  = 100 * time.Millisecond // the same when there is news
	troubled  = 5 * time.Second        // pause after the store or the quota said no
)

// errNothingCame ends a fetch in which nothing came for a while.
var errNothingCame = errors.New("nothing came")

// pullFolder fetches what a folder lacks until ctx ends. It returns errors of the index only. It goes through what is lacking in pages, so that
// what nobody has does not stand in the way of the rest.
func (t *Tenant) pullFolder(ctx context.Context, id shoal.FolderID) error {
	t.mu.Lock()
	wake := t.wake[id]
	t.mu.Unlock()
	var at block.EpochRef
	for ctx.Err() == nil {
		next, came, err := t.pullOnce(ctx, id, at, wake)
		pause := pullAgain
		switch {
		case errors.Is(err, errTrouble):
			pause, next = troubled, block.EpochRef{}
		case err != nil && !errors.Is(err, errNothingCame):
			return err
		case came || next != (block.EpochRef{}):
			at = next
			continue
		}
		at = next
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// pullOnce works on reference nodes, then fetches nodes and a page of blocks that are lacking after one. next is where the next page begins; the zero
// ref: at the first. came: something came, or there is news, so it is worth to look again.
func (t *Tenant) pullOnce(ctx context.Context, id shoal.FolderID, at block.EpochRef, wake chan struct{}) (next block.EpochRef, came bool, err error) {
	f := t.index(id)
	if err := t.workNodes(ctx, f); err != nil {
		return next, false, err
	}
	var lacks []index.Lack
	if err := f.View(func(tx *index.Tx) error {
		nodes, err := tx.LackingNodes(block.ID{}, pullPage)
		if err != nil {
			return err
		}
		blocks, err := tx.Lacking(at, pullPage)
		if len(blocks) == pullPage {
			next = blocks[len(blocks)-1].Block
		}
		lacks = append(nodes, blocks...)
		return err
	}); err != nil {
		return next, false, err
	}
	before := len(lacks)
	if lacks, err = t.adopt(ctx, id, f, lacks); err != nil || len(lacks) == 0 {
		return next, before > 0, err
	}
	if err := t.room(1); err != nil {
		return next, false, err
	}
	came, err = t.fetch(ctx, id, f, lacks, wake)
	return next, came, err
}

// workNodes passes on what the reference nodes that are here demand.
func (t *Tenant) workNodes(ctx context.Context, f *index.Folder) error {
	for more := true; more; {
		if err := f.Update(ctx, func(tx *index.Tx) (err error) {
			more, err = tx.WorkNodes(workNodes)
			return err
		}); err != nil {
			return fmt.Errorf("work on reference trees: %w", err)
		}
	}
	return nil
}

// adopt notes blocks that are in the store although the index does not know it, after a crash between the two, and returns the others. Copies that
// are doubted are not enough.
func (t *Tenant) adopt(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack) ([]index.Lack, error) {
	t.store.Lock()
	defer t.store.Unlock()
	if t.cfg.Shared != nil {
		return t.adoptShared(ctx, id, f, lacks)
	}
	rest := lacks[:0]
	var here []index.Stored
	for _, l := range lacks {
		if l.Node || t.doubted(id, l.Block) {
			rest = append(rest, l)
			continue
		}
		sealed, err := t.cfg.Packs.Get(ctx, block.Key{Folder: id, Epoch: l.Block.Epoch, ID: l.Block.ID})
		switch {
		case err == nil:
			here = append(here, index.Stored{Block: l.Block, Bytes: len(sealed)})
		case ctx.Err() != nil:
			return nil, ctx.Err()
		default: // not there, or damaged
			rest = append(rest, l)
		}
	}
	if len(here) == 0 {
		return rest, nil
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return nil, t.storeFailed(err)
	}
	if err := t.note(ctx, id, f, here); err != nil {
		return nil, err
	}
	return rest, nil
}

// note commits that copies are in the store, durably. t.store is held.
func (t *Tenant) note(ctx context.Context, id shoal.FolderID, f *index.Folder, here []index.Stored) error {
	kept := here[:0]
	for _, h := range here { // it may have been let go of since it was put
		if has, err := t.cfg.Packs.Has(context.WithoutCancel(ctx), block.Key{Folder: id, Epoch: h.Block.Epoch, ID: h.Block.ID}); err == nil && has {
			kept = append(kept, h)
		}
	}
	here = kept
	// A copy that is durable is to be noted although everything is about to end.
	if err := f.Update(context.WithoutCancel(ctx), func(tx *index.Tx) error { return tx.PutStored(here) }); err != nil {
		return fmt.Errorf("note blocks: %w", err)
	}
	ids := make([]block.ID, len(here))
	for i := range here {
		ids[i] = here[i].Block.ID
	}
	t.cfg.Fetcher().NowHave(id, ids)
	t.cfg.Changed(id)
	return nil
}

// fetch gets what is lacking, and ends when all came, when nothing came for a while, or when there is trouble.
func (t *Tenant) fetch(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack, wake chan struct{}) (came bool, err error) {
	wants := make([]blockexchange.Want, len(lacks))
	for i, l := range lacks {
		wants[i] = blockexchange.Want{Folder: id, Block: l.Block.ID, Epoch: l.Block.Epoch, Node: l.Node, Hint: blockexchange.Hint{Record: l.Record}}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &intake{tenant: t, id: id, folder: f, arrived: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() { in.watch(ctx, cancel, wake) })
	err = t.cfg.Fetcher().FetchSealed(ctx, wants, func(w blockexchange.Want, from shoal.DeviceID, sealed []byte) error {
		nudge(in.arrived)
		came = true
		return in.take(ctx, w, from, sealed)
	})
	cancel(nil)
	wg.Wait()
	if flushed := in.flush(ctx); flushed != nil {
		err = errors.Join(err, flushed)
	}
	return came || in.news, err
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	adoptPage = 64                     // lacking blocks that are looked for in the store at a time
	putBatch  = 512                    // blocks that become durable together
	putBytes  = 16 << 20               // or so many bytes
	putPause  = 200 * time.Millisecond // or when no other came for so long
	workNodes = 4                      // reference nodes that are worked on in one transaction; each may concern 1,024 blocks
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
		if err := t.update(ctx, f, func(tx *index.Tx) (err error) {
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
func (t *Tenant) adopt(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack) (rest []index.Lack, err error) {
	if t.cfg.Shared != nil {
		return t.adoptShared(ctx, id, f, lacks)
	}
	for some := range slices.Chunk(lacks, adoptPage) {
		left, err := t.adoptSome(ctx, id, f, some)
		if err != nil {
			return nil, err
		}
		rest = append(rest, left...)
	}
	return rest, nil
}

// adoptSome is adopt for a few: nothing is put meanwhile, and they are read.
func (t *Tenant) adoptSome(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack) (rest []index.Lack, err error) {
	t.store.Lock()
	defer t.store.Unlock()
	var here []index.Stored
	for _, l := range lacks {
		found, err := t.find(ctx, id, f, l)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && found > 0:
			here = append(here, index.Stored{Block: l.Block, Bytes: found, Found: true})
		default: // not there, damaged, or doubted
			rest = append(rest, l)
		}
	}
	if len(here) == 0 {
		return rest, nil
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return nil, t.storeFailed(err)
	}
	return rest, t.note(ctx, id, f, here)
}

// find returns the bytes of a lacking block's copies in the store: 0 if none of them is both sound and doubted by nobody.
func (t *Tenant) find(ctx context.Context, id shoal.FolderID, f *index.Folder, l index.Lack) (bytes int, err error) {
	if l.Node {
		return 0, nil
	}
	key := block.Key{Folder: id, Epoch: l.Block.Epoch, ID: l.Block.ID}
	copies, err := t.copiesOf(ctx, f, key)
	if err != nil || !trusted(copies) {
		return 0, err
	}
	good := false
	for _, c := range copies {
		key.Sealed = c.Sealed
		if sealed, err := t.cfg.Packs.Get(ctx, key); err == nil {
			bytes += len(sealed)
			good = good || !c.Doubted()
		}
	}
	if !good {
		return 0, nil
	}
	return bytes, nil
}

// note commits that copies are in the store, durably. t.store is held.
func (t *Tenant) note(ctx context.Context, id shoal.FolderID, f *index.Folder, here []index.Stored) error {
	kept := make([]index.Stored, 0, len(here))
	for _, h := range here { // it may have been let go of since it was put
		if has, err := t.cfg.Packs.Has(context.WithoutCancel(ctx), block.Key{Folder: id, Epoch: h.Block.Epoch, ID: h.Block.ID}); err == nil && has {
			kept = append(kept, h)
		}
	}
	// A copy that is durable is to be noted although everything is about to end.
	if err := t.update(context.WithoutCancel(ctx), f, func(tx *index.Tx) error { return tx.PutStored(kept) }); err != nil {
		return fmt.Errorf("note blocks: %w", err)
	}
	ids := make([]block.ID, len(kept))
	for i := range kept {
		ids[i] = kept[i].Block.ID
	}
	t.cfg.Fetcher().NowHave(id, ids)
	t.cfg.Changed(id)
	return nil
}

// fetch gets what is lacking, and ends when all came, when nothing came for a while, or when there is trouble.
func (t *Tenant) fetch(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack, wake chan struct{}) (came bool, err error) {
	wants := make([]blockexchange.Want, len(lacks))
	now := t.cfg.Elapsed()
	for i, l := range lacks {
		wants[i] = blockexchange.Want{Folder: id, Block: l.Block.ID, Epoch: l.Block.Epoch, Node: l.Node, Hint: blockexchange.Hint{Record: l.Record}}
		if not := t.strikes.against(blockKey{id, l.Block}, now); len(not) > 0 {
			wants[i].Not = blockexchange.DevicesOf(not)
		}
	}
	fetching, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := &intake{tenant: t, id: id, folder: f, arrived: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() { in.watch(fetching, cancel, wake) })
	err = t.cfg.Fetcher().FetchSealed(fetching, wants, func(w blockexchange.Want, from shoal.DeviceID, sealed []byte) error {
		came = true
		return in.take(fetching, w, from, sealed)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() == nil && fetching.Err() != nil {
		err = context.Cause(fetching) // what was about to be taken in says only that it was stopped
	}
	cancel(nil)
	wg.Wait()
	if flushed := in.flush(ctx); flushed != nil {
		err = errors.Join(err, flushed)
	}
	return came || in.news, err
}

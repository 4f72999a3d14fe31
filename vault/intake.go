package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
)

// errTrouble: the store or the quota does not let anything in for now.
var errTrouble = errors.New("the vault takes in nothing for now")

// intake takes in blocks of one folder and makes them durable some at a time.
type intake struct {
	tenant *Tenant
	id     shoal.FolderID
	folder *index.Folder

	mu    sync.Mutex
	some  []index.Stored // guarded by mu; put into the store and not durable yet
	bytes int            // guarded by mu; of them

	taking  atomic.Bool   // a block is being put into the store just now
	arrived chan struct{} // depth 1: something came, and is in the store or refused
	news    bool          // set by watch: something else may be lacking
}

// take puts one block into the store, or one node into the index. What it returns ends the fetch; a copy that is not kept is no error.
func (in *intake) take(ctx context.Context, w blockexchange.Want, from shoal.DeviceID, sealed []byte) error {
	in.taking.Store(true)
	defer func() {
		in.taking.Store(false)
		nudge(in.arrived)
	}()
	t := in.tenant
	if w.Node {
		err := t.update(ctx, in.folder, func(tx *index.Tx) error { return tx.PutNode([32]byte(w.Block), sealed) })
		if err != nil {
			return fmt.Errorf("keep reference node: %w", err)
		}
		t.wakeOthers()
		return t.workNodes(ctx, in.folder)
	}
	key := block.Key{Folder: in.id, Epoch: w.Epoch, ID: w.Block, Sealed: block.SealedHash(sealed)}
	if keep, err := t.welcome(ctx, in.folder, key, from); err != nil || !keep {
		return err
	}
	if err := t.room(len(sealed)); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	stored := index.Stored{Block: block.EpochRef{ID: w.Block, Epoch: w.Epoch}, Sealed: key.Sealed, Bytes: len(sealed), From: from}
	if err := t.put(ctx, key, sealed); err != nil {
		return err
	}
	in.some = append(in.some, stored)
	in.bytes += len(sealed)
	if len(in.some) >= putBatch || in.bytes >= putBytes {
		return in.flushLocked(ctx)
	}
	return nil
}

// put puts a copy into the store, and remembers that it is not noted yet.
func (t *Tenant) put(ctx context.Context, key block.Key, sealed []byte) error {
	t.store.Lock()
	defer t.store.Unlock()
	if err := t.cfg.Packs.Put(ctx, key, sealed); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return t.storeFailed(err)
	}
	t.unnoted[blockKey{key.Folder, block.EpochRef{ID: key.ID, Epoch: key.Epoch}}] += int64(len(sealed))
	t.used.Add(int64(len(sealed)))
	return nil
}

// flush makes what was taken in durable, and only then notes it.
func (in *intake) flush(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.flushLocked(ctx)
}

// flushLocked gives up what it can't note: the store may have it, and then the sweep finds it, or the next fetch.
func (in *intake) flushLocked(ctx context.Context) error {
	if len(in.some) == 0 {
		return nil
	}
	t := in.tenant
	t.store.Lock()
	defer t.store.Unlock()
	some := in.some
	in.some, in.bytes = nil, 0
	defer func() {
		for _, s := range some {
			delete(t.unnoted, blockKey{in.id, s.Block})
		}
	}()
	if err := t.cfg.Packs.Sync(context.WithoutCancel(ctx)); err != nil {
		return t.storeFailed(err)
	}
	if err := t.note(ctx, in.id, in.folder, some); err != nil {
		return err
	}
	t.trouble.CompareAndSwap(uint32(index.TroubleDisk), uint32(index.TroubleNone))
	for i := range some {
		if err := t.displace(context.WithoutCancel(ctx), in.folder, &some[i]); err != nil {
			return err
		}
	}
	return nil
}

// watch flushes whenever no other block came for putPause, and ends the fetch when none came for pullWait, or for newsWait when there is news. Time that
// the store takes does not count: one that is slower than that would never get anything. It returns when ctx ends.
func (in *intake) watch(ctx context.Context, cancel context.CancelCauseFunc, wake chan struct{}) {
	patience := pullWait
	flush, give := time.NewTimer(putPause), time.NewTimer(patience)
	defer flush.Stop()
	defer give.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
			in.news = true
			patience = newsWait
			give.Reset(patience)
		case <-in.arrived:
			flush.Reset(putPause)
			give.Reset(patience)
		case <-flush.C:
			if in.taking.Load() {
				continue // it nudges when it is done
			}
			if err := in.flush(ctx); err != nil {
				cancel(err)
			}
			give.Reset(patience)
		case <-give.C:
			if in.taking.Load() {
				continue
			}
			cancel(errNothingCame)
		}
	}
}

// storeFailed says that the store could not be written: the disk is full, or failing.
func (t *Tenant) storeFailed(err error) error {
	t.setTrouble(index.TroubleDisk, err)
	return fmt.Errorf("%w: %w", errTrouble, err)
}

// update changes the index. Errors: errTrouble, when the disk does not take it: nothing was changed then, and it is tried again later; others when the
// database can't be used any more, or ctx has ended.
func (t *Tenant) update(ctx context.Context, f *index.Folder, fn func(*index.Tx) error) error {
	err := f.Update(ctx, fn)
	var damaged *index.DamagedError
	if err == nil || errors.As(err, &damaged) || errors.Is(err, index.ErrClosed) || ctx.Err() != nil {
		return err
	}
	return t.storeFailed(err)
}

// setTrouble notes why nothing is taken in, and has the status say so.
func (t *Tenant) setTrouble(what index.Trouble, why error) {
	if t.trouble.Swap(uint32(what)) == uint32(what) {
		return
	}
	if what != index.TroubleNone {
		t.cfg.Log.Error("nothing more is taken in", "err", why)
	}
	for _, id := range t.IDs() {
		t.cfg.Changed(id)
	}
}

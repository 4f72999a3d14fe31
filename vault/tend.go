package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
)

// How what is kept is tended.
const (
	tendEvery    = time.Minute
	letGoPage    = 64        // records in one transaction; each may concern as many blocks
	dropPage     = 1024      // blocks in one
	compactBelow = 0.6       // packs of which less is live are rewritten
	compactEvery = time.Hour // a store in a bucket: each Sync leaves a small pack, and an entry
	scrubEvery   = 7 * 24 * time.Hour
)

// ErrQuota: what may be kept for this mesh is used up.
var ErrQuota = errors.New("the quota is used up")

// tend looks at the clock, lets go of what has expired, sweeps once, and scrubs, until ctx ends. It returns errors of the index only.
func (t *Tenant) tend(ctx context.Context) error {
	swept := false
	for {
		if err := t.Tend(ctx); err != nil {
			return err
		}
		if !swept {
			if err := t.Sweep(ctx); err != nil && ctx.Err() == nil {
				t.cfg.Log.Error("sweep", "err", err)
			}
			swept = true
		}
		timer := time.NewTimer(tendEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-t.scrubs.asked():
		case <-timer.C:
		}
		timer.Stop()
		if t.scrubDue() {
			if err := t.Scrub(ctx); err != nil && ctx.Err() == nil {
				t.cfg.Log.Error("scrub", "err", err)
			}
		}
	}
}

// Tend does once what is done every minute. Run does it; tests may.
func (t *Tenant) Tend(ctx context.Context) error {
	err := t.measure()
	if err == nil {
		err = t.forgive(ctx)
	}
	if err != nil && !errors.Is(err, errTrouble) {
		return err
	}
	may, jumped, err := t.guard.Look()
	if jumped != 0 {
		t.cfg.Log.Warn("the clock has jumped: nothing is deleted for a day", "by", jumped)
	}
	if err != nil {
		t.cfg.Log.Error("save settings", "err", err)
	}
	if !may {
		return nil
	}
	dropped := 0
	for _, id := range t.IDs() {
		n, err := t.letGo(ctx, id)
		if errors.Is(err, errTrouble) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("let go in folder %s: %w", id, err)
		}
		dropped += n
	}
	if dropped > 0 {
		t.cfg.Log.Info("let go of blocks", "blocks", dropped)
	} else if t.cfg.Shared == nil || t.cfg.Elapsed()-t.compacted < compactEvery {
		return nil
	}
	t.compacted = t.cfg.Elapsed()
	if _, err := t.cfg.Packs.Compact(ctx, compactBelow); err != nil && ctx.Err() == nil {
		t.cfg.Log.Error("compact packs", "err", err)
	}
	return t.measure()
}

// letGo ends the keeping of what has expired in a folder, and deletes the blocks that nothing demands any more.
func (t *Tenant) letGo(ctx context.Context, id shoal.FolderID) (dropped int, err error) {
	f := t.index(id)
	now := t.cfg.Clock()
	if o := t.others(); o != nil { // what is decided below is decided by all that anybody told before now
		if err := o.Refresh(ctx); err != nil {
			return 0, t.bucketFailed(ctx, err)
		}
	}
	policy := t.cfg.Settings.Get().Policy
	before := now.Add(-policy.At(now))
	for more := true; more; {
		if err := t.update(ctx, f, func(tx *index.Tx) (err error) {
			more, err = tx.LetGo(before, letGoPage)
			return err
		}); err != nil {
			return 0, err
		}
	}
	if err := t.workNodes(ctx, f); err != nil {
		return 0, err
	}
	for {
		n, err := t.drop(ctx, id, f, before, now)
		dropped += n
		if err != nil || n < dropPage {
			return dropped, err
		}
	}
}

// drop deletes a page of blocks. Nothing is put meanwhile, so that what is deleted is what was chosen. Everything that other processes had told at asOf is known.
func (t *Tenant) drop(ctx context.Context, id shoal.FolderID, f *index.Folder, before, asOf time.Time) (int, error) {
	t.store.Lock()
	defer t.store.Unlock()
	var refs []block.EpochRef
	if err := t.update(ctx, f, func(tx *index.Tx) (err error) {
		refs, err = tx.BeginDrop(before, dropPage)
		return err
	}); err != nil || len(refs) == 0 {
		return 0, err
	}
	if t.cfg.Shared != nil {
		if err := t.dropShared(ctx, id, f, refs, asOf); err != nil {
			return 0, err
		}
	} else if err := t.dropOwn(ctx, id, f, refs); err != nil {
		return 0, err
	}
	return len(refs), nil
}

func (t *Tenant) dropOwn(ctx context.Context, id shoal.FolderID, f *index.Folder, refs []block.EpochRef) error {
	for _, r := range refs {
		if err := t.cfg.Packs.Delete(ctx, block.Key{Folder: id, Epoch: r.Epoch, ID: r.ID}); err != nil {
			return t.storeFailed(err)
		}
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return t.storeFailed(err)
	}
	return t.update(ctx, f, func(tx *index.Tx) error { return tx.EndDrop(refs) })
}

// forgive drops the doubts of devices that were revoked.
func (t *Tenant) forgive(ctx context.Context) error {
	for _, id := range t.IDs() {
		f := t.index(id)
		var doubters []shoal.DeviceID
		if err := f.View(func(tx *index.Tx) error { doubters = tx.Doubters(); return nil }); err != nil {
			return err
		}
		for _, dev := range doubters {
			if t.cfg.Roster().Admitted(dev) {
				continue
			}
			for more := true; more; {
				if err := t.update(ctx, f, func(tx *index.Tx) (err error) {
					more, err = tx.Forgive(dev, dropPage)
					return err
				}); err != nil {
					return fmt.Errorf("forget the doubts of a revoked device: %w", err)
				}
			}
			t.cfg.Changed(id)
			t.nudgePull(id)
		}
	}
	return nil
}

// measure counts what is kept, and ends troubles that are over.
func (t *Tenant) measure() error {
	total, whole, err := t.sum()
	if err != nil {
		return err
	}
	t.used.Store(total)
	q := t.cfg.Settings.Get().Quota
	switch index.Trouble(t.trouble.Load()) {
	case index.TroubleQuota:
		if (q == 0 || total < q) && (t.cfg.Room == nil || t.cfg.Room(1)) {
			t.setTrouble(index.TroubleNone, nil)
			for _, id := range t.IDs() {
				t.RecordsCame(id)
			}
		}
	case index.TroubleDisk:
		if whole && t.cfg.Shared == nil { // else pull tries, and ends it when something could be written; of a bucket, Ledger does
			t.setTrouble(index.TroubleNone, nil)
		}
	}
	return nil
}

// sum adds up what all folders take; whole: none lacks anything.
func (t *Tenant) sum() (total int64, whole bool, err error) {
	t.store.Lock()
	defer t.store.Unlock()
	whole = true
	for _, id := range t.IDs() {
		if err := t.index(id).View(func(tx *index.Tx) error {
			k, err := tx.Kept()
			total += k.Bytes()
			whole = whole && k.Whole()
			return err
		}); err != nil {
			return 0, false, err
		}
	}
	for _, bytes := range t.unnoted {
		total += bytes
	}
	return total, whole, nil
}

// room refuses when the quota does not allow so many bytes more.
func (t *Tenant) room(bytes int) error {
	q := t.cfg.Settings.Get().Quota
	if (q == 0 || t.used.Load()+int64(bytes) <= q) && (t.cfg.Room == nil || t.cfg.Room(bytes)) {
		return nil
	}
	t.setTrouble(index.TroubleQuota, ErrQuota)
	return fmt.Errorf("%w: %w", errTrouble, ErrQuota)
}

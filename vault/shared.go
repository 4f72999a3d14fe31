package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/index"
)

// PinTime is for how long a block that this process counts on is not deleted by others, so that it has time to tell them which records need it.
const PinTime = 24 * time.Hour

// SharedPacks are Packs that other processes put into and delete from as well; *s3store.Store is one.
type SharedPacks interface {
	Packs
	// Held returns the copies of a block that are there, without reading them.
	Held(ctx context.Context, k block.Key) ([]s3store.Copy, error)
	// PinFor promises that copies are kept, and tells which are there.
	PinFor(ctx context.Context, keys []block.Key, d time.Duration) ([]bool, error)
	// DeleteAsOf deletes a block unless it was pinned beyond a time by then; s3store.ErrPinned.
	DeleteAsOf(ctx context.Context, k block.Key, at time.Time) error
	// Keys calls fn for every copy.
	Keys(ctx context.Context, fn func(k block.Key, size int) error) error
}

// Others are the other processes that serve the same bucket, as far as the ledger tells of them; *replica.Replica is one.
type Others interface {
	// Reach returns what of a folder's journals the others can know, and whether that is all.
	Reach(f shoal.FolderID, tx *index.Tx) (reach map[shoal.JournalID]shoal.Seq, all bool, err error)
	// Refresh takes in what they told.
	Refresh(ctx context.Context) error
	// Sync is Refresh, and tells them everything.
	Sync(ctx context.Context) error
	// TellLost tells them that the last copies of blocks were damaged, and deleted.
	TellLost(ctx context.Context, f shoal.FolderID, refs []block.EpochRef) error
	// Wake has them told what is new, soon.
	Wake()
}

// sharedState is the part of State that all processes have in common.
type sharedState struct {
	Policy Policy `json:"policy"`
	Quota  int64  `json:"quota"`
}

// Shared returns what of the settings all processes have in common, encoded.
func (s *Settings) Shared() ([]byte, error) {
	state := s.Get()
	return json.Marshal(sharedState{Policy: state.Policy, Quota: state.Quota})
}

// AdoptShared takes over what Shared returned in another process. Error: it makes no sense.
func (s *Settings) AdoptShared(raw []byte) error {
	var in sharedState
	if len(raw) > maxState {
		return fmt.Errorf("vault settings of %d bytes: %w", len(raw), shoal.ErrInvalid)
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("read the settings of the other processes: %w", err)
	}
	if err := in.Policy.Validate(); err != nil {
		return err
	}
	if in.Quota < 0 {
		return errors.New("vault settings with a negative quota")
	}
	return s.Update(func(st *State) error {
		st.Policy, st.Quota = in.Policy, in.Quota
		return nil
	})
}

// SawClock notes that the clock of some process of this mesh was as late as that: after the own notes are lost, it is what the clock is compared with.
func (s *Settings) SawClock(at time.Time) error {
	if !at.After(s.Get().Clock.Seen) {
		return nil
	}
	return s.Update(func(st *State) error { st.Clock.Seen = at; return nil })
}

// others are the other processes; nil: there are none.
func (t *Tenant) others() Others {
	if t.cfg.Others == nil {
		return nil
	}
	return t.cfg.Others()
}

// wakeOthers has told what is new.
func (t *Tenant) wakeOthers() {
	if o := t.others(); o != nil {
		o.Wake()
	}
}

// adoptShared notes blocks that are in the store already, maybe because another process put them there, and returns the lacks that are left. They are pinned first: another may be about
// to delete them. t.store is held.
func (t *Tenant) adoptShared(ctx context.Context, id shoal.FolderID, f *index.Folder, lacks []index.Lack) ([]index.Lack, error) {
	rest := lacks[:0]
	var keys []block.Key
	var found []index.Stored
	for _, l := range lacks {
		if l.Node || t.doubted(id, l.Block) {
			rest = append(rest, l)
			continue
		}
		copies, err := t.cfg.Shared.Held(ctx, block.Key{Folder: id, Epoch: l.Block.Epoch, ID: l.Block.ID})
		if err != nil {
			return nil, t.bucketFailed(ctx, err)
		}
		if len(copies) == 0 {
			rest = append(rest, l)
			continue
		}
		keys = append(keys, block.Key{Folder: id, Epoch: l.Block.Epoch, ID: l.Block.ID, Sealed: copies[0].Sealed})
		found = append(found, index.Stored{Block: l.Block, Bytes: copies[0].Size})
	}
	if len(found) == 0 {
		return rest, nil
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
			rest = append(rest, index.Lack{Block: found[i].Block})
		}
	}
	if len(here) == 0 {
		return rest, nil
	}
	return rest, t.note(ctx, id, f, here)
}

// bucketFailed is storeFailed, but for the end of a context.
func (t *Tenant) bucketFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.storeFailed(err)
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
			if err := t.recheck(ctx, id, f, refs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tenant) recheck(ctx context.Context, id shoal.FolderID, f *index.Folder, refs []block.EpochRef) error {
	var keys []block.Key
	var of []block.EpochRef
	var gone []block.EpochRef
	for _, ref := range refs {
		copies, err := t.cfg.Shared.Held(ctx, block.Key{Folder: id, Epoch: ref.Epoch, ID: ref.ID})
		if err != nil {
			return err
		}
		if len(copies) == 0 {
			gone = append(gone, ref)
			continue
		}
		keys = append(keys, block.Key{Folder: id, Epoch: ref.Epoch, ID: ref.ID, Sealed: copies[0].Sealed})
		of = append(of, ref)
	}
	have, err := t.cfg.Shared.PinFor(ctx, keys, PinTime)
	if err != nil {
		return err
	}
	for i := range have {
		if !have[i] {
			gone = append(gone, of[i])
		}
	}
	return t.gone(ctx, id, f, gone)
}

// gone notes that blocks are not in the store any more.
func (t *Tenant) gone(ctx context.Context, id shoal.FolderID, f *index.Folder, refs []block.EpochRef) error {
	if len(refs) == 0 {
		return nil
	}
	if err := f.Update(ctx, func(tx *index.Tx) error {
		for _, ref := range refs {
			if err := tx.Doubt(ref, true); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	t.cfg.Changed(id)
	t.RecordsCame(id)
	return nil
}

// Lost implements replica.Keeping: another process found the last copy of a block damaged. If a copy is there after all, it has come since, and is found again.
func (t *Tenant) Lost(ctx context.Context, id shoal.FolderID, ref block.EpochRef) error {
	if f := t.index(id); f != nil {
		return t.gone(ctx, id, f, []block.EpochRef{ref})
	}
	return nil
}

// Brought implements replica.Keeping.
func (t *Tenant) Brought(id shoal.FolderID) {
	t.cfg.Changed(id)
	t.nudgePull(id)
}

// Told implements replica.Keeping: the status can say more.
func (t *Tenant) Told(id shoal.FolderID) { t.cfg.Changed(id) }

// Ledger implements replica.Keeping: while the others cannot be told, nothing is acknowledged, and the status says why.
func (t *Tenant) Ledger(err error) {
	if err != nil {
		_ = t.storeFailed(err)
		return
	}
	if t.trouble.Load() == uint32(index.TroubleDisk) {
		t.setTrouble(index.TroubleNone, nil)
		for _, id := range t.IDs() {
			t.nudgePull(id)
		}
	}
}

// dropShared deletes a page of blocks that nothing demands, by what all processes had told at a time.
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
		copies, err := t.cfg.Shared.Held(ctx, block.Key{Folder: id, Epoch: r.Epoch, ID: r.ID})
		if err != nil {
			return t.bucketFailed(ctx, err)
		}
		size := 0
		for _, c := range copies {
			size += c.Size
		}
		if len(copies) > 0 {
			pinned = append(pinned, index.Stored{Block: r, Bytes: size})
		}
	}
	return f.Update(ctx, func(tx *index.Tx) error {
		if err := tx.EndDrop(refs); err != nil {
			return err
		}
		return tx.PutStored(pinned)
	})
}

// sweepPage is how many keys of the store are compared with the index at once.
const sweepPage = 4096

// sweep notes blocks in the store that nobody here knows of: a process died before it could tell why it had put them there. Then they are let go of in time.
func (t *Tenant) sweep(ctx context.Context) error {
	found := map[shoal.FolderID][]index.Stored{}
	n := 0
	flush := func() error {
		for id, list := range found {
			if err := t.noteUnknown(ctx, id, list); err != nil {
				return err
			}
		}
		clear(found)
		n = 0
		return nil
	}
	err := t.cfg.Shared.Keys(ctx, func(k block.Key, size int) error {
		found[k.Folder] = append(found[k.Folder], index.Stored{Block: block.EpochRef{ID: k.ID, Epoch: k.Epoch}, Bytes: size})
		if n++; n < sweepPage {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

func (t *Tenant) noteUnknown(ctx context.Context, id shoal.FolderID, list []index.Stored) error {
	f := t.index(id)
	if f == nil {
		return nil
	}
	unknown := list[:0]
	if err := f.View(func(tx *index.Tx) error {
		for _, s := range list {
			d, err := tx.DemandFor(s.Block)
			if err != nil {
				return err
			}
			if !d.Known {
				unknown = append(unknown, s)
			}
		}
		return nil
	}); err != nil || len(unknown) == 0 {
		return err
	}
	return f.Update(ctx, func(tx *index.Tx) error { return tx.PutStored(unknown) })
}

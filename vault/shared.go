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
	// ID names what is behind it, for all processes alike. It is random.
	ID() [16]byte
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

// bucketFailed is storeFailed, but for the end of a context.
func (t *Tenant) bucketFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.storeFailed(err)
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

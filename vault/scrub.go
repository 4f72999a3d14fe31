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
	"github.com/shoalmesh/shoal/index"
)

// scrubState is what is known of scrubs.
type scrubState struct {
	mu   sync.Mutex
	ask  chan struct{} // guarded by mu; depth 1, made when first used
	last ScrubReport   // guarded by mu
}

// ScrubReport says how the last scrub of this run went.
type ScrubReport struct {
	Running  bool      `json:"running"`
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Damaged  int       `json:"damaged"` // copies that could not be read; fetched again where something needs them
	Problem  string    `json:"problem,omitempty"`
	LastFull time.Time `json:"last_full,omitzero"` // when the last one that went through ended, in any run
}

func (s *scrubState) asked() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ask == nil {
		s.ask = make(chan struct{}, 1)
	}
	return s.ask
}

// AskScrub has everything read again soon.
func (t *Tenant) AskScrub() {
	if err := t.cfg.Settings.Update(func(s *State) error { s.Scrub = time.Time{}; return nil }); err != nil {
		t.cfg.Log.Error("save settings", "err", err)
	}
	nudge(t.scrubs.asked())
}

// ScrubReport returns how the last scrub went.
func (t *Tenant) ScrubReport() ScrubReport {
	t.scrubs.mu.Lock()
	defer t.scrubs.mu.Unlock()
	r := t.scrubs.last
	r.LastFull = t.cfg.Settings.Get().Scrub
	return r
}

func (t *Tenant) scrubDue() bool {
	last := t.cfg.Settings.Get().Scrub
	now := t.cfg.Clock()
	return now.Sub(last) >= scrubEvery || last.After(now)
}

// Scrub reads every block in the store. Copies that are damaged are deleted, and blocks of which none is left count as lacking, so that members, or
// another vault, give them again. Then it sweeps.
func (t *Tenant) Scrub(ctx context.Context) error {
	t.tellScrub(func(r *ScrubReport) { *r = ScrubReport{Running: true, Began: t.cfg.Clock()} })
	err := t.scrub(ctx)
	if err == nil {
		err = t.Sweep(ctx)
	}
	t.tellScrub(func(r *ScrubReport) {
		r.Running, r.Ended = false, t.cfg.Clock()
		if err != nil {
			r.Problem = err.Error()
		}
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	return t.cfg.Settings.Update(func(s *State) error { s.Scrub = wall(t.cfg.Clock()); return nil })
}

// scrub goes through the store until a pass ends. What a pass found is gone before the next, so this ends.
func (t *Tenant) scrub(ctx context.Context) error {
	for {
		var damaged []block.Key
		err := t.cfg.Packs.Scrub(ctx, func(k block.Key, err error) error {
			t.cfg.Log.Error("a kept block is damaged", "folder", k.Folder, "block", k.ID.Short(), "err", err)
			if damaged = append(damaged, k); len(damaged) == dropPage {
				return errEnough
			}
			return nil
		})
		if repaired := t.repair(ctx, damaged); repaired != nil {
			return repaired
		}
		t.tellScrub(func(r *ScrubReport) { r.Damaged += len(damaged) })
		if !errors.Is(err, errEnough) {
			return err
		}
	}
}

func (t *Tenant) tellScrub(fn func(*ScrubReport)) {
	t.scrubs.mu.Lock()
	defer t.scrubs.mu.Unlock()
	fn(&t.scrubs.last)
}

// repair takes damaged copies out of the store and has what is needed fetched again. They stop to count before they go: what is
// counted is there, whenever a crash comes.
func (t *Tenant) repair(ctx context.Context, damaged []block.Key) error {
	if len(damaged) == 0 {
		return nil
	}
	if t.cfg.Shared != nil {
		return t.repairShared(ctx, damaged)
	}
	t.store.Lock()
	defer t.store.Unlock()
	bad := map[[32]byte]bool{}
	byFolder := map[shoal.FolderID][]block.Key{}
	for _, k := range damaged {
		bad[k.Sealed] = true
		byFolder[k.Folder] = append(byFolder[k.Folder], k)
	}
	for id, keys := range byFolder {
		if f := t.index(id); f != nil {
			if err := t.dropCopies(ctx, f, keys, bad); err != nil {
				return err
			}
		}
	}
	for _, k := range damaged {
		if err := t.cfg.Packs.Delete(ctx, k); err != nil {
			return fmt.Errorf("delete a damaged copy: %w", err)
		}
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return err
	}
	for id := range byFolder {
		t.cfg.Changed(id)
		t.RecordsCame(id)
	}
	return nil
}

// dropCopies notes that copies are about to go, and the bad ones of the same blocks with them. t.store is held.
func (t *Tenant) dropCopies(ctx context.Context, f *index.Folder, keys []block.Key, bad map[[32]byte]bool) error {
	left := make([][][32]byte, len(keys))
	for i, k := range keys {
		k.Sealed = [32]byte{}
		copies, err := t.cfg.Packs.Copies(ctx, k)
		if err != nil {
			return err
		}
		left[i] = slices.DeleteFunc(copies, func(h [32]byte) bool { return bad[h] })
	}
	return t.update(ctx, f, func(tx *index.Tx) error {
		for i, k := range keys {
			if err := tx.DropCopy(block.EpochRef{ID: k.ID, Epoch: k.Epoch}, k.Sealed, left[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

package vault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/shoalmesh/shoal/block"
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

// Scrub reads every block in the store. Copies that are damaged are deleted, and blocks of which none is left count as lacking, so that members give
// them again.
func (t *Tenant) Scrub(ctx context.Context) error {
	t.tellScrub(func(r *ScrubReport) { *r = ScrubReport{Running: true, Began: t.cfg.Clock()} })
	var damaged []block.Key
	err := t.cfg.Packs.Scrub(ctx, func(k block.Key, err error) error {
		t.cfg.Log.Error("a kept block is damaged", "folder", k.Folder, "block", k.ID.Short(), "err", err)
		damaged = append(damaged, k)
		if len(damaged) < dropPage {
			return nil
		}
		return errEnough
	})
	if lost := t.repair(ctx, damaged); lost != nil {
		err = lost
	}
	if err == nil && t.cfg.Shared != nil {
		err = t.sweep(ctx)
	}
	if len(damaged) >= dropPage && ctx.Err() == nil {
		return t.Scrub(ctx) // it ended early; what was found is gone by now, so this ends
	}
	t.tellScrub(func(r *ScrubReport) {
		r.Running, r.Ended, r.Damaged = false, t.cfg.Clock(), r.Damaged+len(damaged)
		if err != nil {
			r.Problem = err.Error()
		}
	})
	if err != nil || ctx.Err() != nil {
		return err
	}
	return t.cfg.Settings.Update(func(s *State) error { s.Scrub = wall(t.cfg.Clock()); return nil })
}

var errEnough = fmt.Errorf("enough damaged blocks for one pass")

func (t *Tenant) tellScrub(fn func(*ScrubReport)) {
	t.scrubs.mu.Lock()
	defer t.scrubs.mu.Unlock()
	fn(&t.scrubs.last)
}

// repair takes damaged copies out of the store and has what is needed fetched again.
func (t *Tenant) repair(ctx context.Context, damaged []block.Key) error {
	t.store.Lock()
	defer t.store.Unlock()
	for _, k := range damaged {
		if err := t.cfg.Packs.Delete(ctx, k); err != nil {
			return fmt.Errorf("delete a damaged copy: %w", err)
		}
	}
	if err := t.cfg.Packs.Sync(ctx); err != nil {
		return err
	}
	for _, k := range damaged {
		f := t.index(k.Folder)
		if f == nil {
			continue
		}
		k.Sealed = [32]byte{}
		if left, err := t.cfg.Packs.Copies(ctx, k); err != nil || len(left) > 0 {
			continue
		}
		ref := block.EpochRef{ID: k.ID, Epoch: k.Epoch}
		if o := t.others(); o != nil {
			if err := o.TellLost(ctx, k.Folder, []block.EpochRef{ref}); err != nil {
				return err
			}
		}
		if err := t.gone(ctx, k.Folder, f, []block.EpochRef{ref}); err != nil {
			return err
		}
	}
	return nil
}

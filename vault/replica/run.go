package replica

import (
	"context"
	"errors"
	"time"

	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// Run keeps database and ledger the same until ctx ends. It returns nil then, or why it could not go on: ledger.ErrBehind, or the database fails. What the bucket refuses is
// tried again.
func (r *Replica) Run(ctx context.Context) error {
	pause := lookSoon
	for {
		some, err := r.sync(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fatal(err) {
			return err
		}
		r.cfg.Keeping().Ledger(err)
		if err == nil {
			err = r.checkpointIfDue(ctx)
		}
		longest := lookIdle
		if r.cfg.Busy() && err == nil {
			longest = lookBusy
		}
		if some && err == nil {
			pause = lookSoon
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, longest)
		wake := r.wake
		if err != nil {
			wake = nil // it waits until the bucket is tried again
		}
		select {
		case <-ctx.Done():
		case <-wake:
			pause = lookSoon
		case <-timer.C:
		}
		timer.Stop()
	}
}

// fatal tells whether an error is not the bucket's.
func fatal(err error) bool {
	if err == nil {
		return false
	}
	_, damaged := errors.AsType[*index.DamagedError](err)
	return damaged || errors.Is(err, ledger.ErrBehind) || errors.Is(err, index.ErrClosed)
}

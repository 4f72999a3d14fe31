package vault

import (
	"sync"
	"time"
)

// What counts as a jump of the clock, and what follows.
const (
	jumpWhileRunning = 5 * time.Minute    // wall clock and the time that passed differ by more
	jumpWhileAway    = 7 * 24 * time.Hour // away for longer than that, or for less than nothing, by the wall clock
	holdAfterJump    = 24 * time.Hour     // nothing is deleted for so long, of running time
)

// Clock is what is remembered of the clock over restarts.
type Clock struct {
	Seen time.Time     `json:"seen,omitzero"`  // the wall clock at the last look
	Hold time.Duration `json:"hold,omitempty"` // of running time that is left until something may be deleted again
}

// ClockGuard tells whether the vault's clock can be trusted with deleting: a clock that jumps ahead would let everything expire at once. Who sets
// the clock of the vault back and forth only makes it keep longer. Safe for concurrent use.
type ClockGuard struct {
	settings *Settings
	now      func() time.Time     // the wall clock
	elapsed  func() time.Duration // running time, which nobody can set

	mu     sync.Mutex
	looked bool          // guarded by mu; in this run
	last   time.Time     // guarded by mu; the wall clock then
	at     time.Duration // guarded by mu; the running time then
}

func newClockGuard(s *Settings, now func() time.Time, elapsed func() time.Duration) *ClockGuard {
	return &ClockGuard{settings: s, now: now, elapsed: elapsed}
}

// Look compares the clock with what it was at the last look, and tells whether something may be deleted now. jumped is how far the clock was
// off when this look found that it had jumped, else 0.
func (g *ClockGuard) Look() (may bool, jumped time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, running := wall(g.now()), g.elapsed()
	c := g.settings.Get().Clock
	switch {
	case !g.looked && c.Seen.IsZero(): // the first run
	case !g.looked:
		if away := now.Sub(c.Seen); away < -jumpWhileRunning || away > jumpWhileAway {
			jumped = away
		}
	default:
		passed := running - g.at
		if off := now.Sub(g.last) - passed; off > jumpWhileRunning || off < -jumpWhileRunning {
			jumped = off
		}
		c.Hold = max(0, c.Hold-passed)
	}
	if jumped != 0 {
		c.Hold = holdAfterJump
	}
	g.looked, g.last, g.at, c.Seen = true, now, running, now
	err = g.settings.Update(func(s *State) error { s.Clock = c; return nil })
	return c.Hold == 0 && err == nil, jumped, err
}

// wall is a time without its monotonic reading.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

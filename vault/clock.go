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
	looked bool  // guarded by mu; in this run
	clock  Clock // guarded by mu; as of the last look, saved or not

	// Where the comparison of the two clocks began: at the first look, and again after each jump. Compared from there, a clock that is
	// pushed on a little at a time is found out too.
	wall time.Time     // guarded by mu
	ran  time.Duration // guarded by mu
	at   time.Duration // guarded by mu; the running time at the last look
}

func newClockGuard(s *Settings, now func() time.Time, elapsed func() time.Duration) *ClockGuard {
	return &ClockGuard{settings: s, now: now, elapsed: elapsed, clock: s.Get().Clock}
}

// Look compares the clock with what it was, and tells whether something may be deleted now. jumped is how far the clock was
// off when this look found that it had jumped, else 0. When the state can't be saved nothing may be deleted, and nothing is forgotten.
func (g *ClockGuard) Look() (may bool, jumped time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, running := wall(g.now()), g.elapsed()
	if g.looked {
		if off := now.Sub(g.wall) - (running - g.ran); off > jumpWhileRunning || off < -jumpWhileRunning {
			jumped = off
		}
		g.clock.Hold = max(0, g.clock.Hold-(running-g.at))
	} else if !g.clock.Seen.IsZero() { // not the first run
		if away := now.Sub(g.clock.Seen); away < -jumpWhileRunning || away > jumpWhileAway {
			jumped = away
		}
	}
	if !g.looked || jumped != 0 {
		g.wall, g.ran = now, running
	}
	if jumped != 0 {
		g.clock.Hold = holdAfterJump
	}
	g.looked, g.at, g.clock.Seen = true, running, now
	c := g.clock
	err = g.settings.Update(func(s *State) error { s.Clock = c; return nil })
	return c.Hold == 0 && err == nil, jumped, err
}

// Hold is how long nothing is deleted, as of the last look.
func (g *ClockGuard) Hold() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clock.Hold
}

// wall is a time without its monotonic reading.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

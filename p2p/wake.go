package p2p

import (
	"sync"
	"time"

	"github.com/shoalmesh/shoal/p2p/internal/redial"
)

// sleepJump is how far the time of day must run ahead of the time that this process has lived for it to have slept. A
// person who sets the clock looks the same, and does no harm.
const sleepJump = 5 * time.Second

// wakeWatch notices that this machine has slept: timers stand still meanwhile on most systems, the time of day goes on.
// Safe for concurrent use. The zero value is ready.
type wakeWatch struct {
	mu   sync.Mutex // guards last
	last time.Time  // with a monotonic reading
}

// look compares both times with those of the last look, and says whether the machine has slept since.
func (w *wakeWatch) look(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.last
	w.last = now
	return !last.IsZero() && slept(now.Round(0).Sub(last.Round(0)), now.Sub(last))
}

// slept tells a sleep from the time that passed by the clock on the wall and in the process.
func slept(wall, lived time.Duration) bool { return wall-lived >= sleepJump }

// lookForWake is called by whatever runs now and then. After a sleep no connection may be as it was, and everybody may be
// somewhere else: links must show within probeWait that they live, and who is missing is dialed at once.
func (h *Host) lookForWake() {
	if h.wake.look(time.Now()) {
		h.woke()
	}
}

func (h *Host) woke() {
	h.log.Info("this machine has slept")
	h.probeLinks()
	h.dials.change(func(p *redial.Plan, now time.Time) { p.NewsOfAll(now) })
	if h.meet != nil {
		h.meet.Anew()
	}
}

// probeLinks ends the links that do not show within probeWait that they live.
func (h *Host) probeLinks() {
	for _, l := range h.links.all() {
		if !h.enter() {
			return
		}
		go func() { // Close waits for it: enter
			defer h.leave()
			if !l.probe(l.live, probeWait) {
				_ = l.conn.Close() // ends the link's reader, and that the link
			}
		}()
	}
}

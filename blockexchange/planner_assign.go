package blockexchange

import (
	"slices"
	"time"
)

// The tuning of retries and of taking work over.
const (
	firstPause = 2 * time.Second // before what is absent everywhere is asked for again; doubles
	lastPause  = time.Minute
	stealEvery = 20 * time.Millisecond
	stealGain  = 50 * time.Millisecond // do not ask a second source for less
	maxAskers  = 2
	holding    = 8 // a byte that is held counts as so many in flight
)

// assign gives out waiting blocks while there is room, group by group.
func (p *Planner) assign() {
	if !p.anyRoom() {
		return
	}
	for idle := 0; idle < len(p.groups); {
		if p.turn >= len(p.groups) {
			p.turn = 0
		}
		g := p.groups[p.turn]
		p.turn++
		if p.assignOne(g) {
			idle = 0
		} else {
			idle++
		}
	}
}

// assignOne gives out one block of g. It tells whether it did.
func (p *Planner) assignOne(g *group) bool {
	for i := 0; i < len(g.lines); {
		b := g.lines[i]
		e := b.first()
		if e == nil {
			g.lines = slices.Delete(g.lines, i, i+1)
			continue
		}
		i++
		if !p.roomFor(g, int64(e.want.room())) {
			continue
		}
		if s := p.choose(e); s != nil {
			p.ask(s, e, g)
			return true
		}
	}
	return false
}

// roomFor bounds the bytes in flight. A group may use three times what is left (a dynamic threshold, after Choudhury and
// Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998): one alone gets three quarters, many get
// equal shares, and a newcomer always finds some room, even when the others' receivers do not move. While much is held, receivers are slower than the
// lines: to ask for more then would only fill memory, so what is held counts several times.
func (p *Planner) roomFor(g *group, size int64) bool {
	free := p.limits.InFlight - p.used
	if size > free {
		return false
	}
	return g.used == 0 || g.used+size <= 3*free && p.used+holding*p.held <= p.limits.InFlight
}

// choose returns the source that e is to be asked of now; nil when nobody can take it now.
func (p *Planner) choose(e *entry) *source {
	cost, steady, any := p.cheapest(e)
	if !any {
		return nil
	}
	share, guess := p.share(), p.guess()
	var best *source
	var soonest time.Duration
	for _, s := range p.sources {
		if !p.mayAsk(s, e) || s.cost > cost || !p.hasRoom(s, int64(e.want.room()), share) {
			continue
		}
		// A source that lacks everything gets a probe now and then, while there is another.
		if steady && s.missy() && (len(s.open) > 0 || p.now.Before(s.probeAt)) {
			continue
		}
		if t := s.finish(int64(e.want.room()), guess); best == nil || t < soonest {
			best, soonest = s, t
		}
	}
	return best
}

// cheapest returns the cost of the cheapest source that may have e and is not holding things up, and whether one of that
// cost or less has lately had what it was asked for. any is false when no source may have e. When all that may have it are
// slow, every cost is good enough.
func (p *Planner) cheapest(e *entry) (cost Cost, steady, any bool) {
	cost = Cost(255)
	for _, s := range p.sources {
		if !p.mayAsk(s, e) {
			continue
		}
		any = true
		if !s.slow(p.now) && s.cost < cost {
			cost = s.cost
		}
	}
	for _, s := range p.sources {
		if s.cost <= cost && !s.missy() && p.mayAsk(s, e) {
			steady = true
		}
	}
	return cost, steady, any
}

func (p *Planner) mayAsk(s *source, e *entry) bool {
	if _, excluded := slices.BinarySearch(e.excluded, s.incarnation); excluded {
		return false
	}
	return !slices.Contains(e.askers, s)
}

func (p *Planner) hasRoom(s *source, size, share int64) bool {
	if len(s.open) >= p.limits.Requests {
		return false
	}
	return len(s.open) == 0 || s.bytes+size <= s.window(share)
}

// anyRoom spares the look at every group when everything is full.
func (p *Planner) anyRoom() bool {
	share := p.share()
	for _, s := range p.sources {
		if len(s.open) < p.limits.Requests && s.bytes < s.window(share) {
			return true
		}
	}
	return false
}

// share is the largest window of one source: what all may have, divided by those that are of use, so that a source that
// stalls takes down only its part.
func (p *Planner) share() int64 {
	useful := int64(0)
	for _, s := range p.sources {
		if !s.missy() {
			useful++
		}
	}
	return min(p.limits.PerPeer, p.limits.InFlight/max(useful, 1))
}

// guess is the rate assumed of new sources: the best that is known, so that they are tried at once.
func (p *Planner) guess() float64 {
	best := 0.0
	for _, s := range p.sources {
		best = max(best, s.meter.rate)
	}
	if best == 0 {
		return guessedRate
	}
	return best
}

// retry asks again for what every source lacked, after a pause that doubles.
func (p *Planner) retry() {
	if len(p.sources) == 0 {
		return
	}
	for _, g := range p.groups {
		if !p.stuck(g) {
			g.retryAt = time.Time{}
			continue
		}
		if g.retryAt.IsZero() {
			g.pause = min(max(2*g.pause, firstPause), lastPause)
			g.retryAt = p.now.Add(g.pause)
			continue
		}
		if !p.now.Before(g.retryAt) {
			g.retryAt = time.Time{}
			p.reopen(g)
		}
	}
}

// stuck tells whether g has a line that no source may be asked for.
func (p *Planner) stuck(g *group) bool {
	for _, b := range g.lines {
		if e := b.first(); e != nil && p.nobody(e) {
			return true
		}
	}
	return false
}

func (p *Planner) nobody(e *entry) bool {
	_, _, any := p.cheapest(e)
	return !any
}

// reopen forgets who lacked the blocks of stuck lines. Who sent rubbish stays out.
func (p *Planner) reopen(g *group) {
	for _, b := range slices.Clone(g.lines) {
		e := b.first()
		if e == nil || !p.nobody(e) {
			continue
		}
		g.lines = slices.DeleteFunc(g.lines, func(o *bucket) bool { return o == b })
		for i := len(b.front) - 1; i >= 0; i-- {
			b.line = slices.Insert(b.line, len(b.front)-1-i, b.front[i])
		}
		for _, e := range b.line {
			if !b.has(e) {
				continue
			}
			e.excluded = slices.Sorted(slices.Values(e.bad))
			e.queue(false)
		}
	}
}

// steal lets sources that have nothing to do take over what others hold up: the tail of a big fetch, or all that a stalled
// source was asked for.
func (p *Planner) steal() {
	if len(p.sources) < 2 || len(p.entries) == 0 {
		return
	}
	guess, share := p.guess(), p.share()
	for _, s := range p.sources {
		if len(s.open) > 0 || p.now.Before(s.stealAt) || s.missy() && p.now.Before(s.probeAt) {
			continue
		}
		s.stealAt = p.now.Add(stealEvery)
		for _, victim := range p.sources {
			if victim != s && !(s.missy() && len(s.open) > 0) {
				p.stealFrom(victim, s, guess, share)
			}
		}
	}
}

func (p *Planner) stealFrom(victim, s *source, guess float64, share int64) {
	slow := victim.slow(p.now)
	if s.cost > victim.cost && !slow {
		return
	}
	behind := int64(0) // bytes at the victim after this request
	for i := len(victim.line) - 1; i >= 0; i-- {
		r := victim.line[i]
		if r.done {
			continue
		}
		remaining := time.Duration(float64(victim.bytes-behind)/victim.rate(guess)*float64(time.Second)) + victim.latency/2
		behind += r.size
		e := r.entry
		if e == nil || len(e.askers) >= maxAskers || !p.mayAsk(s, e) {
			continue
		}
		if !slow && remaining < 2*s.finish(r.size, guess)+stealGain {
			return // what comes before is sooner still
		}
		if !p.hasRoom(s, r.size, share) || p.used+r.size > p.limits.InFlight {
			return
		}
		p.ask(s, e, r.payer)
		if s.missy() {
			return // one probe is enough
		}
	}
}

// setWake asks for the next Tick.
func (p *Planner) setWake() {
	var at time.Time
	sooner := func(t time.Time) {
		if t.After(p.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	busy, idle := false, false
	for _, s := range p.sources {
		if len(s.open) == 0 {
			idle = true
			continue
		}
		busy = true
		sooner(s.progress.Add(slowAfter))
		sooner(s.progress.Add(p.limits.Stall))
	}
	if busy && idle {
		sooner(p.now.Add(stealEvery))
	}
	for _, g := range p.groups {
		sooner(g.retryAt)
	}
	if !at.Equal(p.wake) {
		p.wake = at
		p.out = append(p.out, WakeAt{At: at})
	}
}

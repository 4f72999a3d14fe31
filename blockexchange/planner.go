package blockexchange

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// Planner decides which block is asked of which peer, and when. It is a pure state machine: Step is its only door; time
// comes in as an argument, and equal inputs give equal outputs. Not safe for concurrent use.
//
// The life of a block:
//
//	waiting ──Request──▶ asked ──Got──▶ held ──Delivered──▶ (forgotten)
//	   ▲                   │
//	   └─ Absent, Bad, Ended, PeerDown, with nobody else asked
//
// How it chooses: groups take turns; within a group, blocks that some sources have answered "absent" for go first (they are
// rarer), then the order in which they were wanted. A block goes to the source that is expected to finish it first, among
// the cheapest links that may have it. When nothing waits, an idle source takes over what a slow one holds up.
type Planner struct {
	limits Limits

	now      time.Time
	sources  []*source // peers that are up, in the order in which they came
	faults   map[shoal.DeviceID]*faults
	entries  map[Key]*entry
	groups   []*group // in the order in which they came
	turn     int      // index in groups: whose turn it is
	used     int64    // bytes asked for or held
	held     int64    // bytes held: they came, and their receiver has not taken them yet
	arrivals uint32   // number of PeerUp so far: the newest incarnation
	wake     time.Time
	out      []Action
}

// faults are a device's bad answers. They outlive its connections.
type faults struct {
	count int
	until time.Time // left out until then; zero: not left out
}

// NewPlanner returns a Planner that knows no peers and no wants. It panics when the limits do not pass Validate.
func NewPlanner(l Limits) *Planner {
	if err := l.Validate(); err != nil {
		panic("blockexchange: " + err.Error())
	}
	return &Planner{limits: l.withDefaults(), faults: make(map[shoal.DeviceID]*faults), entries: make(map[Key]*entry)}
}

// Step takes in one event and returns what is to be done now, in order. now must not go backwards. The returned slice is
// the caller's.
func (p *Planner) Step(now time.Time, ev Event) []Action {
	p.now, p.out = now, nil
	switch ev := ev.(type) {
	case Wanted:
		p.wanted(ev)
	case Cancelled:
		p.cancelled(ev.Group)
	case PeerUp:
		p.peerUp(ev)
	case PeerDown:
		p.peerDown(ev.Peer)
	case Got:
		p.got(ev)
	case Moving:
		if s := p.source(ev.Peer); s != nil {
			s.progress = now
		}
	case Absent:
		p.refused(ev.Peer, ev.Key, becauseAbsent)
	case Ended:
		p.refused(ev.Peer, ev.Key, becauseEnded)
	case Bad:
		p.refused(ev.Peer, ev.Key, becauseBad)
	case Have:
		p.have(ev)
	case Delivered:
		p.delivered(ev.Key)
	case Tick:
	}
	p.dropStalled()
	switch ev.(type) {
	case Got, Moving, Delivered: // make nobody stuck
	default:
		p.retry()
	}
	p.assign()
	p.steal()
	p.flush()
	p.setWake()
	return p.out
}

// Open returns how many distinct blocks are wanted and not yet delivered, and how many bytes are asked for or held.
func (p *Planner) Open() (blocks int, inFlight int64) { return len(p.entries), p.used }

func (p *Planner) source(dev shoal.DeviceID) *source {
	for _, s := range p.sources {
		if s.peer == dev {
			return s
		}
	}
	return nil
}

func (p *Planner) peerUp(ev PeerUp) {
	p.peerDown(ev.Peer)
	if f := p.faults[ev.Peer]; f != nil && !f.until.IsZero() {
		if p.now.Before(f.until) {
			p.out = append(p.out, Drop{Peer: ev.Peer, Reason: Lying})
			return
		}
		delete(p.faults, ev.Peer)
	}
	p.arrivals++
	p.sources = append(p.sources, newSource(ev.Peer, ev.Cost, p.arrivals, p.now))
}

func (p *Planner) peerDown(dev shoal.DeviceID) {
	for i, s := range p.sources {
		if s.peer != dev {
			continue
		}
		p.sources = append(p.sources[:i:i], p.sources[i+1:]...)
		// Backwards, since each goes to the front of its line.
		for i := len(s.line) - 1; i >= 0; i-- {
			if r := s.line[i]; !r.done {
				p.close(s, r)
				p.again(r.entry, s)
			}
		}
		return
	}
}

func (p *Planner) got(ev Got) {
	s := p.source(ev.Peer)
	if s == nil || s.open[ev.Key] == nil {
		return
	}
	r := s.open[ev.Key]
	s.answered(p.now, r, r.size)
	p.close(s, r)
	e := r.entry
	if e == nil {
		return
	}
	for _, other := range e.askers {
		if other != s {
			p.cancelAt(other, ev.Key)
		}
	}
	e.askers, e.held, e.payer = nil, true, r.payer
	p.used += r.size
	p.held += r.size
	e.payer.used += r.size
	p.deliver(e)
}

func (p *Planner) delivered(k Key) {
	e := p.entries[k]
	if e == nil || !e.held {
		return
	}
	size := int64(e.want.room())
	p.used -= size
	p.held -= size
	e.payer.used -= size
	delete(p.entries, k)
}

type because uint8

const (
	becauseAbsent because = iota
	becauseEnded
	becauseBad
)

// refused takes in an answer that is not the block.
func (p *Planner) refused(dev shoal.DeviceID, k Key, why because) {
	s := p.source(dev)
	if s == nil || s.open[k] == nil {
		return
	}
	r := s.open[k]
	s.answered(p.now, r, 0)
	p.close(s, r)
	if why == becauseAbsent {
		s.missed(p.now)
	}
	if e := r.entry; e != nil && why != becauseEnded {
		e.exclude(s.incarnation, why == becauseBad)
	}
	p.again(r.entry, s)
	if why == becauseBad {
		p.fault(dev)
	}
}

func (p *Planner) fault(dev shoal.DeviceID) {
	f := p.faults[dev]
	if f == nil {
		f = new(faults)
		p.faults[dev] = f
	}
	f.count++
	if f.count >= 2 {
		f.until = p.now.Add(p.limits.Ban)
		p.drop(dev, Lying)
	}
}

func (p *Planner) drop(dev shoal.DeviceID, why DropReason) {
	p.peerDown(dev)
	p.out = append(p.out, Drop{Peer: dev, Reason: why})
}

// dropStalled gives up peers that owe answers and have sent nothing for too long.
func (p *Planner) dropStalled() {
	for i := 0; i < len(p.sources); {
		s := p.sources[i]
		if s.quietFor(p.now) >= p.limits.Stall {
			p.drop(s.peer, Stalled) // shortens p.sources
			continue
		}
		i++
	}
}

// have lifts exclusions. A block is lifted a few times only, so that a peer that says "have" and then "absent" again and
// again costs a bounded number of round trips.
func (p *Planner) have(ev Have) {
	s := p.source(ev.Peer)
	if s == nil {
		return
	}
	for _, k := range ev.Keys {
		e := p.entries[k]
		if e == nil || e.held || e.lifted >= maxLifted || !e.include(s.incarnation) {
			continue
		}
		e.lifted++
		s.misses = 0
		if len(e.askers) == 0 {
			e.queue(false)
		}
	}
}

// flush turns what was collected per source into actions. Cancels first: they make room.
func (p *Planner) flush() {
	for _, s := range p.sources {
		if len(s.cancels) > 0 {
			p.out = append(p.out, Cancel{Peer: s.peer, Keys: s.cancels})
		}
		if len(s.asks) > 0 {
			p.out = append(p.out, Request{Peer: s.peer, Wants: s.asks})
		}
		s.cancels, s.asks = nil, nil
	}
}

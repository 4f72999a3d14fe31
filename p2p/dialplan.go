package p2p

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// redialPauses is how long to wait after the first, second, … failure in a row; the last one repeats. The short ones
// serve a device that restarts; the long one keeps an absent device cheap.
var redialPauses = []time.Duration{
	200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// redialPause adds up to a quarter of jitter (0 ≤ chance < 1), so that two devices do not dial each other in step.
func redialPause(failures int, chance float64) time.Duration {
	p := redialPauses[min(max(failures, 1), len(redialPauses))-1]
	return p + time.Duration(chance*float64(p)/4)
}

// dialState is where the plan stands with one device.
//
//	waiting --due--> dialing --failed--> waiting (later)
//	any --up--> connected --down--> waiting (soon)
type dialState uint8

const (
	dialWaiting dialState = iota
	dialing
	dialConnected
)

// dialPlan decides which device is dialed when. It is pure: time and chance come as arguments. Not safe for
// concurrent use.
type dialPlan struct {
	members map[shoal.DeviceID]*dialEntry
}

type dialEntry struct {
	state    dialState
	failures int       // in a row
	at       time.Time // dialWaiting: when to dial
	last     time.Time // when it was dialed last
	again    bool      // dialing: something new was heard meanwhile; a failure is followed by another dial at once
}

func newDialPlan() *dialPlan { return &dialPlan{members: make(map[shoal.DeviceID]*dialEntry)} }

// setMembers makes want the devices to dial. New ones are due at once unless connected says they are up already.
func (p *dialPlan) setMembers(now time.Time, want map[shoal.DeviceID]bool, connected func(shoal.DeviceID) bool) {
	for d := range p.members {
		if !want[d] {
			delete(p.members, d)
		}
	}
	for d := range want {
		if p.members[d] != nil {
			continue
		}
		e := &dialEntry{at: now}
		if connected(d) {
			e.state = dialConnected
		}
		p.members[d] = e
	}
}

// leastPause is the least time between two dials of one device, whatever is heard: news are not always true.
const leastPause = 200 * time.Millisecond

// news: a new address of d is known, or d was just seen alive. Pauses begin anew and d is due at once.
func (p *dialPlan) news(now time.Time, d shoal.DeviceID) {
	e := p.members[d]
	if e == nil || e.state == dialConnected {
		return
	}
	e.failures = 0
	e.at = later(now, e.last.Add(leastPause))
	e.again = e.state == dialing
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// up: a link with d came up, whoever dialed.
func (p *dialPlan) up(d shoal.DeviceID) {
	if e := p.members[d]; e != nil {
		*e = dialEntry{state: dialConnected}
	}
}

// down: the link with d was lost.
func (p *dialPlan) down(now time.Time, d shoal.DeviceID, chance float64) {
	if e := p.members[d]; e != nil && e.state == dialConnected {
		*e = dialEntry{at: now.Add(redialPause(1, chance))}
	}
}

// failed: the dial that due asked for came to nothing.
func (p *dialPlan) failed(now time.Time, d shoal.DeviceID, chance float64) {
	e := p.members[d]
	if e == nil || e.state != dialing {
		return
	}
	e.state = dialWaiting
	if e.again {
		e.again, e.at = false, later(now, e.last.Add(leastPause))
		return
	}
	e.failures++
	e.at = now.Add(redialPause(e.failures, chance))
}

// due takes at most max devices whose time has come; they are dialing from now on.
func (p *dialPlan) due(now time.Time, max int) []shoal.DeviceID {
	var out []shoal.DeviceID
	for d, e := range p.members {
		if len(out) < max && e.state == dialWaiting && !e.at.After(now) {
			e.state, e.last = dialing, now
			out = append(out, d)
		}
	}
	return out
}

// next is when due has something again; false: never, unless something happens.
func (p *dialPlan) next() (time.Time, bool) {
	var at time.Time
	found := false
	for _, e := range p.members {
		if e.state == dialWaiting && (!found || e.at.Before(at)) {
			at, found = e.at, true
		}
	}
	return at, found
}

// newsOfAll: this machine's own network changed, so everybody may be reachable again.
func (p *dialPlan) newsOfAll(now time.Time) {
	for d := range p.members {
		p.news(now, d)
	}
}

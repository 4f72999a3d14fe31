package redial

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// pauses is how long to wait after the first, second, … failure in a row; the last one repeats. The short ones
// serve a device that restarts; the long one keeps an absent device cheap.
var pauses = []time.Duration{
	200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// detours is how long to wait before the first, second, … attempt to reach a device directly that is connected through
// a relay; the last one repeats. What opens a direct way is mostly heard of: a new address, another network.
var detours = []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour}

// leastPause is the least time between two dials of one device, whatever is heard: news are not always true.
const leastPause = 100 * time.Millisecond

// Pause is how long to wait after so many failures in a row, with up to a quarter of jitter (0 ≤ chance < 1), so that
// two devices do not dial each other in step.
func Pause(failures int, chance float64) time.Duration {
	p := pauses[min(max(failures, 1), len(pauses))-1]
	return p + time.Duration(chance*float64(p)/4)
}

// state is where the plan stands with one member.
//
//	waiting --Due--> dialing --Failed--> waiting (later)
//	any --Up--> connected --Down--> waiting (soon)
//	any --Detour--> waiting (for a direct connection, rarely)
type state uint8

const (
	waiting state = iota
	dialing
	connected
)

// Plan decides which member is dialed when. It is pure: time and chance come as arguments. Not safe for concurrent use.
type Plan struct {
	members map[shoal.DeviceID]*entry
	links   map[shoal.DeviceID]kind // all devices that are up, members or not
}

// kind tells how a device is connected.
type kind uint8

const (
	directly kind = iota + 1
	byDetour
)

type entry struct {
	state    state
	failures int       // in a row
	at       time.Time // waiting: when to dial
	last     time.Time // when it was dialed last
	again    bool      // dialing: something new was heard meanwhile; a failure is followed by another dial at once
}

// NewPlan returns a plan without members.
func NewPlan() *Plan {
	return &Plan{members: make(map[shoal.DeviceID]*entry), links: make(map[shoal.DeviceID]kind)}
}

// SetMembers makes want the devices to dial. New ones that are not up are due at once.
func (p *Plan) SetMembers(now time.Time, want map[shoal.DeviceID]bool) {
	for d := range p.members {
		if !want[d] {
			delete(p.members, d)
		}
	}
	for d := range want {
		if p.members[d] != nil {
			continue
		}
		e := &entry{at: now}
		if p.links[d] == directly {
			e.state = connected
		}
		p.members[d] = e
	}
}

// News: a new address of d is known, or d was just seen alive. Pauses begin anew and d is due at once.
func (p *Plan) News(now time.Time, d shoal.DeviceID) {
	e := p.members[d]
	if e == nil || e.state == connected {
		return
	}
	e.failures = 0
	e.at = later(now, e.last.Add(leastPause))
	e.again = e.state == dialing
}

// NewsOfAll: this machine's own network changed, so everybody may be reachable again.
func (p *Plan) NewsOfAll(now time.Time) {
	for d := range p.members {
		p.News(now, d)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Detour: a link with d through a relay came up. It is dialed on, for a direct one, with long pauses.
func (p *Plan) Detour(now time.Time, d shoal.DeviceID, chance float64) {
	p.links[d] = byDetour
	if e := p.members[d]; e != nil {
		*e = entry{at: now.Add(detour(0, chance)), last: e.last}
	}
}

func detour(failures int, chance float64) time.Duration {
	p := detours[min(failures, len(detours)-1)]
	return p + time.Duration(chance*float64(p)/4)
}

// Up: a direct link with d came up, whoever dialed. For each device links come up and go down in turn.
func (p *Plan) Up(d shoal.DeviceID) {
	p.links[d] = directly
	if e := p.members[d]; e != nil {
		*e = entry{state: connected, last: e.last}
	}
}

// Down: the link with d was lost.
func (p *Plan) Down(now time.Time, d shoal.DeviceID, chance float64) {
	delete(p.links, d)
	if e := p.members[d]; e != nil {
		*e = entry{at: now.Add(Pause(1, chance)), last: e.last}
	}
}

// Failed: the dial that Due asked for came to nothing.
func (p *Plan) Failed(now time.Time, d shoal.DeviceID, chance float64) {
	e := p.members[d]
	if e == nil || e.state != dialing {
		return
	}
	e.state = waiting
	if e.again {
		e.again, e.at = false, later(now, e.last.Add(leastPause))
		return
	}
	e.failures++
	if p.links[d] == byDetour {
		e.at = now.Add(detour(e.failures, chance))
	} else {
		e.at = now.Add(Pause(e.failures, chance))
	}
}

// Due takes at most max devices whose time has come; they are being dialed from now on.
func (p *Plan) Due(now time.Time, max int) []shoal.DeviceID {
	var out []shoal.DeviceID
	for d, e := range p.members {
		if len(out) < max && e.state == waiting && !e.at.After(now) {
			e.state, e.last = dialing, now
			out = append(out, d)
		}
	}
	return out
}

// Next is when Due has something again; false: never, unless something happens.
func (p *Plan) Next() (time.Time, bool) {
	var at time.Time
	found := false
	for _, e := range p.members {
		if e.state == waiting && (!found || e.at.Before(at)) {
			at, found = e.at, true
		}
	}
	return at, found
}

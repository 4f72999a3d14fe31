package rendezvous

import (
	"time"

	"github.com/shoalmesh/shoal"
)

const (
	// grace is how long a device may be missing before it is looked for: most come back by themselves.
	grace = 10 * time.Second
	// settleWait is how long to wait for more changes before they are told.
	settleWait = 5 * time.Second
	// leastAnnouncePause is the least time between two records of one day.
	leastAnnouncePause = 10 * time.Minute
	// refreshPause is the most: those who keep the record go, and records expire.
	refreshPause = 8 * time.Hour
	// midnightJitter spreads the first records of a day.
	midnightJitter = 10 * time.Minute
)

var (
	// announcePauses follow an attempt that failed, lookPauses each look for a device that stays missing; the last repeats.
	announcePauses = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour}
	lookPauses     = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour}
)

func pauseAfter(list []time.Duration, times int, chance float64) time.Duration {
	p := list[min(times, len(list)-1)]
	return p + time.Duration(chance*float64(p)/4)
}

// Plan decides when to leave a record and whom to look for. It is pure: time and chance (0 ≤ chance < 1) come as
// arguments. Not safe for concurrent use. The zero value plans nothing; Changed begins.
type Plan struct {
	announceAt time.Time // zero: not at all
	announced  time.Time // last success
	failures   int       // in a row
	missing    map[shoal.DeviceID]*search
}

type search struct {
	at    time.Time
	looks int
}

// Changed: there is something new to tell.
func (p *Plan) Changed(now time.Time) {
	at := now.Add(settleWait)
	if least := p.announced.Add(leastAnnouncePause); !p.announced.IsZero() && least.After(at) {
		at = least
	}
	if p.announceAt.IsZero() || at.Before(p.announceAt) {
		p.announceAt = at
	}
}

// Missing names the devices that are not connected now. Those that were named before stay where they are.
func (p *Plan) Missing(now time.Time, missing map[shoal.DeviceID]bool) {
	if p.missing == nil {
		p.missing = make(map[shoal.DeviceID]*search)
	}
	for d := range p.missing {
		if !missing[d] {
			delete(p.missing, d)
		}
	}
	for d := range missing {
		if p.missing[d] == nil {
			p.missing[d] = &search{at: now.Add(grace)}
		}
	}
}

// Anew: this machine's network changed, or there is another way in: all pauses begin anew.
func (p *Plan) Anew(now time.Time) {
	for _, s := range p.missing {
		s.looks, s.at = 0, earlier(s.at, now.Add(grace))
	}
	if p.failures > 0 {
		p.failures, p.announceAt = 0, earlier(p.announceAt, now.Add(settleWait))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Due says what to do now, at most most looks. What was due counts as begun.
func (p *Plan) Due(now time.Time, most int, chance float64) (announce bool, look []shoal.DeviceID) {
	if !p.announceAt.IsZero() && !p.announceAt.After(now) {
		announce = true
		p.announceAt = now.Add(pauseAfter(announcePauses, p.failures, chance)) // until Announced says better
	}
	for d, s := range p.missing {
		if len(look) < most && !s.at.After(now) {
			look = append(look, d)
			s.at = now.Add(pauseAfter(lookPauses, s.looks, chance))
			s.looks++
		}
	}
	return announce, look
}

// Announced: how the announcing that Due asked for ended.
func (p *Plan) Announced(now time.Time, ok bool, chance float64) {
	if !ok {
		p.failures++
		return
	}
	p.failures, p.announced = 0, now
	p.announceAt = now.Add(refreshPause)
	tomorrow := (DayOf(now) + 1).start().Add(time.Duration(chance * float64(midnightJitter)))
	p.announceAt = earlier(p.announceAt, tomorrow)
}

// Works: the last attempt to leave a record did not fail.
func (p *Plan) Works() bool { return p.failures == 0 }

// Next is when Due has something; false: never, unless something happens.
func (p *Plan) Next() (time.Time, bool) {
	at := p.announceAt
	for _, s := range p.missing {
		if at.IsZero() || s.at.Before(at) {
			at = s.at
		}
	}
	return at, !at.IsZero()
}

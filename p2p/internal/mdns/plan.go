package mdns

import "time"

const (
	// firstGap and lastGap: queries are repeated after 1, 3, 9, … seconds, because a multicast packet is easily
	// lost, and hardly ever once nothing changes: newcomers announce themselves, and multicast drains batteries.
	firstGap = time.Second
	lastGap  = 20 * time.Minute
	// seekGap is the pause between queries while somebody waits for the answer.
	seekGap = time.Second
	// sameGap is the least pause between two sendings of one answer (RFC 6762 §6).
	sameGap = time.Second
	// answerDelay spreads the answers of many hosts (RFC 6762 §6 wants 20–120 ms).
	answerDelay = 20 * time.Millisecond
)

// sending is one packet to send.
type sending struct {
	service string
	query   bool
}

// plan decides what is sent on the local network when. Pure: time and chance (0 ≤ chance < 1) come as arguments.
type plan struct {
	queryAt  time.Time
	queryGap time.Duration
	seekAt   time.Time            // zero: nobody is looking for a nameplate
	answerAt map[string]time.Time // by service
	sentAt   map[string]time.Time // by service
	again    map[string]int       // by service: how often an announcement is to be repeated
}

func newPlan(now time.Time) *plan {
	p := &plan{answerAt: make(map[string]time.Time), sentAt: make(map[string]time.Time), again: make(map[string]int)}
	p.restart(now)
	return p
}

// restart: the network or the own addresses changed. Ask and announce anew.
func (p *plan) restart(now time.Time) {
	p.queryAt, p.queryGap = now, firstGap
	p.announce(now, Members)
}

// announce sends an answer that nobody asked for, and once more a second later.
func (p *plan) announce(now time.Time, service string) {
	p.answer(now, service, 0)
	p.again[service] = 1
}

// asked: somebody asked for a service.
func (p *plan) asked(now time.Time, service string, chance float64) {
	p.answer(now, service, answerDelay+time.Duration(chance*float64(answerDelay)))
}

func (p *plan) answer(now time.Time, service string, delay time.Duration) {
	at := now.Add(delay)
	if sent, ok := p.sentAt[service]; ok && at.Before(sent.Add(sameGap)) {
		at = sent.Add(sameGap)
	}
	if due, ok := p.answerAt[service]; !ok || at.Before(due) {
		p.answerAt[service] = at
	}
}

// seek: somebody is, or nobody is any more, waiting for a nameplate.
func (p *plan) seek(now time.Time, on bool) {
	switch {
	case !on:
		p.seekAt = time.Time{}
	case p.seekAt.IsZero():
		p.seekAt = now
	}
}

// due takes what is to be sent now.
func (p *plan) due(now time.Time) []sending {
	var out []sending
	if !p.queryAt.After(now) {
		out = append(out, sending{service: Members, query: true})
		p.queryAt = now.Add(p.queryGap)
		p.queryGap = min(3*p.queryGap, lastGap)
	}
	if !p.seekAt.IsZero() && !p.seekAt.After(now) {
		out = append(out, sending{service: Pairing, query: true})
		p.seekAt = now.Add(seekGap)
	}
	for _, service := range []string{Members, Pairing} {
		at, ok := p.answerAt[service]
		if !ok || at.After(now) {
			continue
		}
		delete(p.answerAt, service)
		out = append(out, sending{service: service})
		p.sentAt[service] = now
		if p.again[service] > 0 {
			p.again[service]--
			p.answer(now, service, sameGap)
		}
	}
	return out
}

// next is when due has something again.
func (p *plan) next() time.Time {
	at := p.queryAt
	if !p.seekAt.IsZero() && p.seekAt.Before(at) {
		at = p.seekAt
	}
	for _, t := range p.answerAt {
		if t.Before(at) {
			at = t
		}
	}
	return at
}

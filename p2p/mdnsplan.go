package p2p

import "time"

const (
	// mdnsFirstGap and mdnsLastGap: queries are repeated after 1, 3, 9, … seconds, because a multicast packet is easily
	// lost, and hardly ever once nothing changes: newcomers announce themselves, and multicast drains batteries.
	mdnsFirstGap = time.Second
	mdnsLastGap  = 20 * time.Minute
	// mdnsSeekGap is the pause between queries while somebody waits for the answer.
	mdnsSeekGap = time.Second
	// mdnsSameGap is the least pause between two sendings of one answer (RFC 6762 §6).
	mdnsSameGap = time.Second
	// mdnsAnswerDelay spreads the answers of many hosts (RFC 6762 §6 wants 20–120 ms).
	mdnsAnswerDelay = 20 * time.Millisecond
)

// mdnsSend is one packet to send.
type mdnsSend struct {
	service string
	query   bool
}

// mdnsPlan decides what is sent on the local network when. Pure: time and chance (0 ≤ chance < 1) come as arguments.
type mdnsPlan struct {
	queryAt  time.Time
	queryGap time.Duration
	seekAt   time.Time            // zero: nobody is looking for a nameplate
	answerAt map[string]time.Time // by service
	sentAt   map[string]time.Time // by service
	again    map[string]int       // by service: how often an announcement is to be repeated
}

func newMDNSPlan(now time.Time) *mdnsPlan {
	p := &mdnsPlan{answerAt: make(map[string]time.Time), sentAt: make(map[string]time.Time), again: make(map[string]int)}
	p.restart(now)
	return p
}

// restart: the network or the own addresses changed. Ask and announce anew.
func (p *mdnsPlan) restart(now time.Time) {
	p.queryAt, p.queryGap = now, mdnsFirstGap
	p.announce(now, mdnsMembers)
}

// announce sends an answer that nobody asked for, and once more a second later.
func (p *mdnsPlan) announce(now time.Time, service string) {
	p.answer(now, service, 0)
	p.again[service] = 1
}

// asked: somebody asked for a service.
func (p *mdnsPlan) asked(now time.Time, service string, chance float64) {
	p.answer(now, service, mdnsAnswerDelay+time.Duration(chance*float64(mdnsAnswerDelay)))
}

func (p *mdnsPlan) answer(now time.Time, service string, delay time.Duration) {
	at := now.Add(delay)
	if sent, ok := p.sentAt[service]; ok && at.Before(sent.Add(mdnsSameGap)) {
		at = sent.Add(mdnsSameGap)
	}
	if due, ok := p.answerAt[service]; !ok || at.Before(due) {
		p.answerAt[service] = at
	}
}

// seek: somebody is, or nobody is any more, waiting for a nameplate.
func (p *mdnsPlan) seek(now time.Time, on bool) {
	switch {
	case !on:
		p.seekAt = time.Time{}
	case p.seekAt.IsZero():
		p.seekAt = now
	}
}

// due takes what is to be sent now.
func (p *mdnsPlan) due(now time.Time) []mdnsSend {
	var out []mdnsSend
	if !p.queryAt.After(now) {
		out = append(out, mdnsSend{service: mdnsMembers, query: true})
		p.queryAt = now.Add(p.queryGap)
		p.queryGap = min(3*p.queryGap, mdnsLastGap)
	}
	if !p.seekAt.IsZero() && !p.seekAt.After(now) {
		out = append(out, mdnsSend{service: mdnsPairing, query: true})
		p.seekAt = now.Add(mdnsSeekGap)
	}
	for _, service := range []string{mdnsMembers, mdnsPairing} {
		at, ok := p.answerAt[service]
		if !ok || at.After(now) {
			continue
		}
		delete(p.answerAt, service)
		out = append(out, mdnsSend{service: service})
		p.sentAt[service] = now
		if p.again[service] > 0 {
			p.again[service]--
			p.answer(now, service, mdnsSameGap)
		}
	}
	return out
}

// next is when due has something again.
func (p *mdnsPlan) next() time.Time {
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

package blockexchange

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// The tuning of sources. Measured in the package's benchmark on loopback and simulated links.
const (
	firstWindow  = 2 << 20               // bytes in flight before the rate is known
	leastWindow  = 512 << 10             // never less, or a slow disk at the source would stall the line
	ahead        = 25 * time.Millisecond // work kept at the source beyond the round trip, so that it never idles
	guessedRate  = 16 << 20              // bytes/s of a source that nothing is known of
	slowAfter    = 2 * time.Second       // a source that owes answers and is quiet for so long holds nobody up any more
	missesToBack = 16                    // "absent" so often in a row: ask it only now and then
	probeFirst   = 250 * time.Millisecond
	probeLast    = 8 * time.Second
)

// request is one question to one source.
type request struct {
	key   Key
	entry *entry // nil: not wanted any more
	size  int64
	at    time.Time
	payer *group
	done  bool
}

// source is a peer that is up.
type source struct {
	peer        shoal.DeviceID
	cost        Cost
	incarnation uint32

	open  map[Key]*request
	line  []*request // open ones and some that are done, in the order of asking
	bytes int64      // in flight

	progress time.Time // last answer, or when the first request after a rest was sent
	meter    meter
	latency  time.Duration // near the shortest time from request to answer; 0: unknown
	misses   int           // "absent" in a row
	probeAt  time.Time     // with many misses: not before
	stealAt  time.Time     // do not look for work to take over before

	asks    []Want // collected in this step
	cancels []Key
}

func newSource(dev shoal.DeviceID, c Cost, incarnation uint32, now time.Time) *source {
	return &source{peer: dev, cost: c, incarnation: incarnation, open: make(map[Key]*request), progress: now}
}

// quietFor tells how long the source has owed answers without giving one; 0 when it owes none.
func (s *source) quietFor(now time.Time) time.Duration {
	if len(s.open) == 0 {
		return 0
	}
	return now.Sub(s.progress)
}

func (s *source) slow(now time.Time) bool { return s.quietFor(now) >= slowAfter }

// missy tells that the source has lately lacked everything it was asked for.
func (s *source) missy() bool { return s.misses >= missesToBack }

func (s *source) missed(now time.Time) {
	s.misses++
	if !s.missy() {
		return
	}
	pause := probeFirst << min(s.misses-missesToBack, 5)
	s.probeAt = now.Add(min(pause, probeLast))
}

// answered notes that an answer came, with so many bytes of content.
func (s *source) answered(now time.Time, r *request, n int64) {
	s.progress = now
	took := max(now.Sub(r.at), time.Microsecond)
	if s.latency == 0 || took < s.latency {
		s.latency = took
	} else {
		s.latency += (took - s.latency) / 128 // paths change; forget slowly
	}
	s.meter.add(now, n)
	if n > 0 {
		s.misses = 0
	}
}

// rate returns bytes per second; guess when unknown.
func (s *source) rate(guess float64) float64 {
	if s.meter.rate > 0 {
		return s.meter.rate
	}
	return guess
}

// finish estimates when size more bytes would be here, if asked for now.
func (s *source) finish(size int64, guess float64) time.Duration {
	return s.latency + time.Duration(float64(s.bytes+size)/s.rate(guess)*float64(time.Second))
}

// window is how many bytes may be in flight: twice what the link carries in its latency and a little ahead, within share.
func (s *source) window(share int64) int64 {
	if s.meter.rate == 0 {
		return min(firstWindow, share)
	}
	w := int64(2 * s.meter.rate * (s.latency + ahead).Seconds())
	return min(max(w, leastWindow), share)
}

// meter measures the rate of a source while it has work.
type meter struct {
	since time.Time
	bytes int64
	rate  float64 // bytes/s, smoothed; 0: unknown
}

func (m *meter) start(now time.Time) { m.since, m.bytes = now, 0 }

func (m *meter) add(now time.Time, n int64) {
	m.bytes += n
	elapsed := now.Sub(m.since)
	if m.bytes == 0 || elapsed < 20*time.Millisecond {
		return
	}
	sample := float64(m.bytes) / elapsed.Seconds()
	if m.rate == 0 {
		m.rate = sample
	} else {
		m.rate += 0.3 * (sample - m.rate)
	}
	m.start(now)
}

// ask opens a request. When an earlier one for the block is still open at this source, cancelled, that one is revived: either
// its answer comes, or Ended does and the block goes back in line.
func (p *Planner) ask(s *source, e *entry, g *group) {
	k, size := e.want.Key(), int64(e.want.room())
	e.askers = append(e.askers, s)
	if r := s.open[k]; r != nil {
		r.entry = e
		return
	}
	if len(s.open) == 0 {
		s.progress = p.now
		s.meter.start(p.now)
	}
	r := &request{key: k, entry: e, size: size, at: p.now, payer: g}
	s.open[k] = r
	s.line = append(s.line, r)
	s.bytes += size
	p.used += size
	g.used += size
	s.asks = append(s.asks, e.want)
}

// close ends a request, however it ended.
func (p *Planner) close(s *source, r *request) {
	r.done = true
	delete(s.open, r.key)
	s.bytes -= r.size
	p.used -= r.size
	r.payer.used -= r.size
	for len(s.line) > 0 && s.line[0].done {
		s.line = s.line[1:]
	}
}

// cancelAt tells a source that an answer is not needed. The request stays open until the source says how it ended.
func (p *Planner) cancelAt(s *source, k Key) {
	if r := s.open[k]; r != nil {
		r.entry = nil
		s.cancels = append(s.cancels, k)
	}
}

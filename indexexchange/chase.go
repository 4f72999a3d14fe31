package indexexchange

import (
	"maps"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// Bounds and times of chases.
const (
	maxAsks      = 8                      // open asks per peer
	maxBuckets   = 6                      // open buckets per peer
	answerWithin = 30 * time.Second       // or somebody else is asked
	refuseOnce   = 100 * time.Millisecond // an answer that does not fit: something crossed it; but no busy loop
	refuseShort  = 10 * time.Second       // after trouble that is nobody's lie
	refuseLong   = time.Hour              // after a lie, a fork, a void answer
)

// chase is the effort to get further in one journal.
//
//	(none) ──ask──▶ asked ──batch──▶ accepting ──▶ (none)
//	                  └──digests──▶ staging ──every bucket──▶ finishing ──▶ (none)
//
// A batch that was not asked for makes a chase that is accepting.
type chase struct {
	asked     *peer // owes an answer to an ask
	since     time.Time
	accepting int // batches being taken in
	staging   int // heads being staged
	finishing bool

	// set once a head was staged
	head       position
	generation int // counts staged heads
	todo       []index.BucketDigest
	open       map[uint64]*bucketAsk
	checking   int // buckets being staged
}

// bucketAsk is a bucket that a peer owes.
type bucketAsk struct {
	peer  *peer
	want  index.BucketDigest
	since time.Time
}

func (c *chase) idle() bool {
	return c.asked == nil && c.accepting == 0 && c.staging == 0 && !c.finishing && c.checking == 0 &&
		len(c.todo) == 0 && len(c.open) == 0
}

// deadline is when the chase must have moved; zero: nobody owes anything.
func (c *chase) deadline() time.Time {
	var at time.Time
	if c.asked != nil {
		at = c.since.Add(answerWithin)
	}
	for _, b := range c.open {
		if t := b.since.Add(answerWithin); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// answered ends the ask at p, if there is one.
func (c *chase) answered(p *peer) bool {
	if c.asked != p || p == nil {
		return false
	}
	c.asked = nil
	p.asks--
	return true
}

// takeBack ends everything that p owes. Buckets go back to what is to be done. It tells whether there was something.
func (c *chase) takeBack(p *peer) bool {
	some := c.answered(p)
	for _, n := range slices.Sorted(maps.Keys(c.open)) {
		if b := c.open[n]; b.peer == p {
			c.close(n)
			c.todo = append(c.todo, b.want)
			some = true
		}
	}
	return some
}

// close ends a bucket, however it ended.
func (c *chase) close(n uint64) {
	c.open[n].peer.buckets--
	delete(c.open, n)
}

func (e *engine) considerAll(f *folder) {
	journals := make(map[shoal.JournalID]struct{})
	e.talking(f.id, func(_ *peer, pf *peerFolder) {
		for j, at := range pf.pos {
			if at.beats(f.local[j]) {
				journals[j] = struct{}{}
			}
		}
	})
	for j := range f.chases {
		journals[j] = struct{}{}
	}
	for _, j := range sortedJournals(journals) {
		e.consider(f, j)
	}
}

// consider goes on with a chase, or begins one if somebody has something that is missing here.
func (e *engine) consider(f *folder, j shoal.JournalID) {
	c := f.chases[j]
	if c != nil {
		e.dispatch(f, j, c)
		if !c.idle() && !c.starved() {
			return
		}
		delete(f.chases, j)
	}
	if f.ownOpen && j == f.own {
		return
	}
	p := e.chooseToAsk(f, j)
	if p == nil {
		return
	}
	p.asks++
	f.chases[j] = &chase{asked: p, since: e.now}
	e.do(sendAsk{peer: p.dev, journal: journalKey{f.id, j}, after: f.local[j].seq})
}

// starved tells that buckets are to be asked for and nobody is left who could be: ask anew. What was staged is kept in the
// index, so that nothing is fetched twice.
func (c *chase) starved() bool {
	return len(c.todo) > 0 && len(c.open) == 0 && c.asked == nil && c.accepting == 0 && c.staging == 0 && c.checking == 0 && !c.finishing
}

// chooseToAsk picks the author, else who is furthest, else who has least to do.
func (e *engine) chooseToAsk(f *folder, j shoal.JournalID) (best *peer) {
	better := func(p, q *peer) bool {
		if (p.dev == j.Device) != (q.dev == j.Device) {
			return p.dev == j.Device
		}
		if a, b := p.folders[f.id].pos[j].seq, q.folders[f.id].pos[j].seq; a != b {
			return a > b
		}
		return p.asks < q.asks
	}
	e.talking(f.id, func(p *peer, pf *peerFolder) {
		if p.asks < maxAsks && pf.pos[j].beats(f.local[j]) && e.mayAsk(p, pf, j) && (best == nil || better(p, best)) {
			best = p
		}
	})
	return best
}

func (e *engine) mayAsk(p *peer, pf *peerFolder, j shoal.JournalID) bool {
	if e.leftOut(p.dev) {
		return false
	}
	r, refused := pf.refused[j]
	return !refused || !e.now.Before(r.until)
}

// dispatch asks for buckets, spread evenly over all who have got as far as the staged head.
func (e *engine) dispatch(f *folder, j shoal.JournalID, c *chase) {
	asks := make(map[*peer][]index.BucketDigest)
	var order []*peer
	for len(c.todo) > 0 {
		var best *peer
		e.talking(f.id, func(p *peer, pf *peerFolder) {
			if pf.pos[j].seq >= c.head.seq && p.buckets < maxBuckets && e.mayAsk(p, pf, j) && (best == nil || p.buckets < best.buckets) {
				best = p
			}
		})
		if best == nil {
			break
		}
		b := c.todo[0]
		c.todo = c.todo[1:]
		c.open[b.N] = &bucketAsk{peer: best, want: b, since: e.now}
		best.buckets++
		if asks[best] == nil {
			order = append(order, best)
		}
		asks[best] = append(asks[best], b)
	}
	for _, p := range order {
		list := asks[p]
		slices.SortFunc(list, func(a, b index.BucketDigest) int { return int(int64(a.N) - int64(b.N)) })
		e.do(sendAskBuckets{peer: p.dev, journal: journalKey{f.id, j}, list: list})
	}
}

// refuse keeps a journal from being asked of p for a while.
func (e *engine) refuse(p *peer, k journalKey, d time.Duration) {
	if pf := p.folders[k.folder]; pf != nil {
		pf.refused[k.journal] = refusal{at: pf.pos[k.journal], until: e.now.Add(d)}
	}
}

// expire takes back what was not answered in time, and tries again what was refused for a while.
func (e *engine) expire() {
	forgiven := e.forgive()
	for _, f := range e.sortedFolders() {
		again := e.expireRefusals(f) || forgiven
		for _, j := range sortedJournals(f.chases) {
			c := f.chases[j]
			if at := c.deadline(); at.IsZero() || e.now.Before(at) {
				continue
			}
			for _, p := range c.late(e.now) {
				c.takeBack(p)
				e.refuse(p, journalKey{f.id, j}, refuseShort)
			}
			e.consider(f, j)
			again = true // asks have become free
		}
		if again {
			e.considerAll(f)
		}
	}
}

func (e *engine) expireRefusals(f *folder) (some bool) {
	for _, p := range e.peers {
		pf := p.folders[f.id]
		if pf == nil {
			continue
		}
		for j, r := range pf.refused {
			if !e.now.Before(r.until) {
				delete(pf.refused, j)
				some = true
			}
		}
	}
	return some
}

// late returns who owes something for too long.
func (c *chase) late(now time.Time) (late []*peer) {
	if c.asked != nil && !now.Before(c.since.Add(answerWithin)) {
		late = append(late, c.asked)
	}
	for _, n := range slices.Sorted(maps.Keys(c.open)) {
		if b := c.open[n]; !now.Before(b.since.Add(answerWithin)) && !slices.Contains(late, b.peer) {
			late = append(late, b.peer)
		}
	}
	return late
}

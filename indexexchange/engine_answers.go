package indexexchange

import (
	"errors"

	"github.com/shoalmesh/shoal/index"
)

// at returns the folder and peer that an event is about; false when one of them is gone or not to be listened to.
func (e *engine) at(k journalKey, ev interface{ from() *peer }) (*folder, *peer, bool) {
	f, p := e.folders[k.folder], ev.from()
	return f, p, f != nil && p != nil && !e.leftOut(p.dev)
}

type sender struct{ p *peer }

func (s sender) from() *peer { return s.p }

func (ev batchCame) apply(e *engine) {
	f, p, ok := e.at(ev.journal, sender{e.peer(ev.peer)})
	if !ok {
		return
	}
	j := ev.journal.journal
	if pf := p.folders[f.id]; pf != nil {
		pf.reached(j, ev.at)
	}
	c := f.chases[j]
	asked := c != nil && c.answered(p)
	if !ev.at.beats(f.local[j]) {
		// An answer that brings nothing new: the peer has told more than it has, or it came from elsewhere meanwhile.
		if asked {
			e.refuse(p, ev.journal, refuseShort)
		}
		e.settle(f, ev.journal)
		return
	}
	if c == nil {
		c = new(chase)
		f.chases[j] = c
	}
	c.accepting++
	e.do(accept{asked: asked})
}

// settle looks at a journal again after something about it ended, and at the others, since asks may have become free.
func (e *engine) settle(f *folder, k journalKey) {
	e.consider(f, k.journal)
	e.considerAll(f)
}

func (ev accepted) apply(e *engine) {
	f, p := e.folders[ev.journal.folder], e.peer(ev.peer)
	if f == nil {
		return
	}
	if c := f.chases[ev.journal.journal]; c != nil && c.accepting > 0 {
		c.accepting--
	}
	if p != nil && e.doubts(f, p, ev) {
		e.askList(f, p, ev.journal)
		return
	}
	// A push that does not fit is no fault: it crossed something else, and what lacks is asked for. Nor is one that is void.
	if ev.asked || ev.outcome != unfit && ev.outcome != void {
		e.judge(f, p, ev.journal, ev.at, ev.outcome, ev.reason)
	}
	e.settle(f, ev.journal)
}

// doubts tells whether a batch that does not join what is here may be the author's second history, passed on by an honest peer.
// Only the list of digests, which the author's signature covers, can tell. Once for each journal and peer.
func (e *engine) doubts(f *folder, p *peer, ev accepted) bool {
	j := ev.journal.journal
	pf, c := p.folders[f.id], f.chases[j]
	if pf == nil || c != nil && !c.idle() || f.local[j].seq == 0 || !errors.Is(ev.reason, index.ErrMismatch) {
		return false
	}
	_, again := pf.doubted[j]
	pf.doubted[j] = struct{}{}
	return !again
}

// askList asks a peer for head and list of a journal: that is the answer to who asks for a bucket that does not exist.
func (e *engine) askList(f *folder, p *peer, k journalKey) {
	p.asks++
	f.chases[k.journal] = &chase{asked: p, since: e.now}
	e.do(sendAskBuckets{peer: p.dev, journal: k, list: []index.BucketDigest{{}}})
}

// judge draws the consequences of how something from p was taken in. p may be nil: gone.
func (e *engine) judge(f *folder, p *peer, k journalKey, at position, o outcome, reason error) {
	if o == fine {
		f.signBy(later(e.now.Add(statusEvery), f.signedAt.Add(statusEvery)))
	}
	if p == nil {
		return
	}
	if pf := p.folders[k.folder]; pf != nil && (o == fine || o == forked) {
		delete(pf.doubted, k.journal)
	}
	switch o {
	case fine:
		if pf := p.folders[k.folder]; pf != nil {
			pf.reached(k.journal, at)
		}
	case unfit:
		e.refuse(p, k, refuseOnce)
	case lie:
		e.refuse(p, k, refuseLong)
		e.fault(p.dev, reason)
	case void:
		e.refuse(p, k, refuseLong)
	case forked:
		e.refuse(p, k, refuseLong)
		if author := e.peer(k.journal.Device); author != nil && author.ready {
			e.do(showFork{peer: author.dev, journal: k})
		}
	case troubled:
		e.refuse(p, k, refuseShort)
	}
}

func (ev digestsCame) apply(e *engine) {
	f, p, ok := e.at(ev.journal, sender{e.peer(ev.peer)})
	if !ok {
		return
	}
	c := f.chases[ev.journal.journal]
	if c == nil || !c.takeBack(p) {
		return // not asked for
	}
	older := len(c.open)+len(c.todo) > 0 && c.head.seq > ev.at.seq
	if older || !ev.at.beats(f.local[ev.journal.journal]) {
		e.refuse(p, ev.journal, refuseShort)
		e.settle(f, ev.journal)
		return
	}
	c.staging++
	e.do(stage{})
}

func (ev staged) apply(e *engine) {
	f, p := e.folders[ev.journal.folder], e.peer(ev.peer)
	if f == nil {
		return
	}
	c := f.chases[ev.journal.journal]
	if c != nil && c.staging > 0 {
		c.staging--
	}
	if c == nil || ev.outcome != fine {
		e.judge(f, p, ev.journal, ev.at, ev.outcome, ev.reason)
		e.settle(f, ev.journal)
		return
	}
	if p != nil && p.folders[f.id] != nil {
		p.folders[f.id].reached(ev.journal.journal, ev.at)
	}
	c.restart(ev.at, ev.missing)
	e.finishIfComplete(ev.journal, c)
	e.settle(f, ev.journal)
}

// restart takes over a newly staged head. Buckets that are asked for already and have not changed stay so; an answer for
// another one is ignored when it comes.
func (c *chase) restart(head position, missing []index.BucketDigest) {
	c.head = head
	c.generation++
	still := make(map[uint64]*bucketAsk)
	c.todo = nil
	for _, b := range missing {
		if open := c.open[b.N]; open != nil && open.want == b {
			still[b.N] = open
			delete(c.open, b.N)
			continue
		}
		c.todo = append(c.todo, b)
	}
	for n := range c.open {
		c.close(n)
	}
	c.open = still
}

func (e *engine) finishIfComplete(k journalKey, c *chase) {
	if c.generation > 0 && !c.finishing && c.staging == 0 && c.checking == 0 && len(c.todo) == 0 && len(c.open) == 0 {
		c.finishing = true
		e.do(finish{journal: k})
	}
}

func (ev bucketCame) apply(e *engine) {
	f, p, ok := e.at(ev.journal, sender{e.peer(ev.peer)})
	if !ok {
		return
	}
	c := f.chases[ev.journal.journal]
	if c == nil || c.open[ev.n] == nil || c.open[ev.n].peer != p {
		return
	}
	c.checking++
	e.do(stageBucket{generation: c.generation})
}

func (ev bucketStaged) apply(e *engine) {
	f, p := e.folders[ev.journal.folder], e.peer(ev.peer)
	if f == nil {
		return
	}
	c := f.chases[ev.journal.journal]
	if c == nil || c.checking == 0 {
		return
	}
	c.checking--
	current := ev.generation == c.generation && c.staging == 0
	if b := c.open[ev.n]; b != nil && b.peer == p && p != nil {
		c.close(ev.n)
		if ev.outcome != fine {
			c.todo = append(c.todo, b.want)
		}
	}
	if p != nil && ev.outcome != fine && (current || ev.outcome != lie) {
		e.judge(f, p, ev.journal, position{}, ev.outcome, ev.reason)
	}
	for _, b := range c.open {
		if b.peer == p {
			b.since = e.now // it is at work
		}
	}
	e.finishIfComplete(ev.journal, c)
	e.settle(f, ev.journal)
}

func (ev finished) apply(e *engine) {
	f, p := e.folders[ev.journal.folder], e.peer(ev.peer)
	if f == nil {
		return
	}
	if c := f.chases[ev.journal.journal]; c != nil {
		c.finishing = false
		c.generation = 0
		e.judge(f, p, ev.journal, c.head, ev.outcome, nil)
	}
	e.settle(f, ev.journal)
}

func (ev nothingCame) apply(e *engine) {
	f, p, ok := e.at(ev.journal, sender{e.peer(ev.peer)})
	if !ok {
		return
	}
	if c := f.chases[ev.journal.journal]; c != nil && c.takeBack(p) {
		e.refuse(p, ev.journal, refuseShort)
		e.settle(f, ev.journal)
	}
}

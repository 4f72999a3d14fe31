package blockexchange

import (
	"encoding/binary"
	"slices"
	"time"
)

// maxLifted bounds how often "have" notices revive one block.
const maxLifted = 16

// entry is one block that is wanted, by one group or more.
type entry struct {
	want     Want
	groups   []*group  // who wants it; empty once held
	askers   []*source // who was asked and owes an answer
	held     bool      // got, and not yet delivered
	payer    *group    // whose share the bytes count towards while held
	excluded []uint32  // incarnations that are not to be asked, sorted
	bad      []uint32  // those among them that sent rubbish
	lifted   uint8
}

// exclude takes a peer out of those that may be asked.
func (e *entry) exclude(incarnation uint32, bad bool) {
	if i, found := slices.BinarySearch(e.excluded, incarnation); !found {
		e.excluded = slices.Insert(slices.Clone(e.excluded), i, incarnation) // buckets share the old slice
	}
	if bad {
		e.bad = append(e.bad, incarnation)
	}
}

// include undoes exclude, unless the peer sent rubbish. It tells whether something changed.
func (e *entry) include(incarnation uint32) bool {
	i, found := slices.BinarySearch(e.excluded, incarnation)
	if !found || slices.Contains(e.bad, incarnation) {
		return false
	}
	e.excluded = slices.Delete(slices.Clone(e.excluded), i, i+1)
	return true
}

func (e *entry) waiting() bool { return !e.held && len(e.askers) == 0 && len(e.groups) > 0 }

// queue puts a waiting entry in line in all its groups.
func (e *entry) queue(front bool) {
	for _, g := range e.groups {
		g.queue(e, front)
	}
}

// group is what one Fetch wants.
type group struct {
	id      GroupID
	left    int           // wants not yet got
	members []*entry      // those, and some that were got already
	lines   []*bucket     // never empty ones after assign; rarer blocks first
	used    int64         // bytes asked for or held on its account
	pause   time.Duration // before the last retry; 0: something came since
	retryAt time.Time     // when everything that is absent everywhere is asked for again; zero: nothing is
}

// bucket is a line of entries that the same sources are excluded from: if one cannot be asked for now, none can. Entries
// are not taken out when their state changes; who reads the line skips those that are not waiting here any more.
type bucket struct {
	signature string
	excluded  []uint32
	front     []*entry // a stack; served before line
	line      []*entry
}

func signature(excluded []uint32) string {
	if len(excluded) == 0 {
		return ""
	}
	b := make([]byte, 0, 4*len(excluded))
	for _, x := range excluded {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return string(b)
}

func (g *group) queue(e *entry, front bool) {
	sig := signature(e.excluded)
	i, found := slices.BinarySearchFunc(g.lines, sig, func(b *bucket, sig string) int {
		if d := len(sig) - len(b.signature); d != 0 {
			return d // longer signature = rarer block = earlier
		}
		switch {
		case b.signature < sig:
			return -1
		case b.signature > sig:
			return 1
		}
		return 0
	})
	if !found {
		g.lines = slices.Insert(g.lines, i, &bucket{signature: sig, excluded: e.excluded})
	}
	b := g.lines[i]
	if front {
		b.front = append(b.front, e)
	} else {
		b.line = append(b.line, e)
	}
}

// first returns the first entry that is still waiting in this line, without taking it out; nil when there is none.
func (b *bucket) first() *entry {
	for n := len(b.front); n > 0; n = len(b.front) {
		if e := b.front[n-1]; b.has(e) {
			return e
		}
		b.front = b.front[:n-1]
	}
	for len(b.line) > 0 {
		if e := b.line[0]; b.has(e) {
			return e
		}
		b.line = b.line[1:]
	}
	return nil
}

func (b *bucket) has(e *entry) bool { return e.waiting() && slices.Equal(e.excluded, b.excluded) }

func (p *Planner) group(id GroupID) (int, *group) {
	for i, g := range p.groups {
		if g.id == id {
			return i, g
		}
	}
	return -1, nil
}

func (p *Planner) wanted(ev Wanted) {
	_, g := p.group(ev.Group)
	if g == nil {
		g = &group{id: ev.Group}
		p.groups = append(p.groups, g)
	}
	for _, w := range ev.Wants {
		e := p.entries[w.Key()]
		if e == nil {
			e = &entry{want: w}
			p.entries[w.Key()] = e
			for _, s := range p.sources {
				if w.Not != "" && w.Not.Has(s.peer) {
					e.exclude(s.incarnation, true)
				}
			}
		}
		if slices.Contains(e.groups, g) {
			continue
		}
		if e.held {
			p.out = append(p.out, Deliver{Key: w.Key(), Groups: []GroupID{g.id}})
			continue
		}
		e.groups = append(e.groups, g)
		g.members = append(g.members, e)
		g.left++
		if e.waiting() {
			g.queue(e, false)
		}
	}
	p.endIfDone(g)
}

func (p *Planner) cancelled(id GroupID) {
	_, g := p.group(id)
	if g == nil {
		return
	}
	for _, e := range g.members {
		i := slices.Index(e.groups, g)
		if i < 0 {
			continue
		}
		e.groups = slices.Delete(e.groups, i, i+1)
		if len(e.groups) > 0 {
			continue
		}
		for _, s := range e.askers {
			p.cancelAt(s, e.want.Key())
		}
		e.askers = nil
		delete(p.entries, e.want.Key())
	}
	g.left = 0
	p.endIfDone(g)
}

// deliver hands a block that has just come to everybody who wants it.
func (p *Planner) deliver(e *entry) {
	ids := make([]GroupID, 0, len(e.groups))
	for _, g := range e.groups {
		ids = append(ids, g.id)
		g.left--
		g.moves(p.now)
		p.endIfDone(g)
		g.compact(e)
	}
	e.groups = nil
	p.out = append(p.out, Deliver{Key: e.want.Key(), Groups: ids})
}

// moves notes that something came: what is absent may well follow, and is asked for as if it had been missed for the first time.
func (g *group) moves(now time.Time) {
	g.pause = 0
	if soon := now.Add(firstPause); g.retryAt.After(soon) {
		g.retryAt = soon
	}
}

// compact lets go of entries that have left the group, so that a long Fetch does not keep all it ever wanted.
func (g *group) compact(gone *entry) {
	if len(g.members) < 2*g.left+64 {
		return
	}
	g.members = slices.DeleteFunc(g.members, func(e *entry) bool { return e == gone || !slices.Contains(e.groups, g) })
}

func (p *Planner) endIfDone(g *group) {
	if g.left > 0 {
		return
	}
	i := slices.Index(p.groups, g)
	if i < 0 {
		return
	}
	p.groups = slices.Delete(p.groups, i, i+1)
	if p.turn > i {
		p.turn--
	}
}

// again puts an entry back in line after s failed to deliver it, unless another is still asked. e may be nil: not wanted.
func (p *Planner) again(e *entry, s *source) {
	if e == nil {
		return
	}
	if i := slices.Index(e.askers, s); i >= 0 {
		e.askers = slices.Delete(e.askers, i, i+1)
	}
	if e.waiting() {
		e.queue(true)
	}
}

package indexexchange

import (
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// The engine's bounds and times.
const (
	maxFaults        = 2           // wrong so often: left out
	leaveOut         = time.Hour   // for so long
	maxPeerFolders   = 1000        // folders that one peer may name
	maxPeerPositions = 100_000     // positions that one peer may name in all of them
	statusEvery      = time.Second // own status, and news to one peer about one folder, at most so often
)

func (ev peerUp) apply(e *engine) {
	peerDown(ev).apply(e)
	e.peers = append(e.peers, &peer{dev: ev.peer, folders: make(map[shoal.FolderID]*peerFolder),
		without: make(map[shoal.FolderID]struct{}), untold: make(map[shoal.FolderID]struct{})})
}

func (ev peerReady) apply(e *engine) {
	p := e.peer(ev.peer)
	if p == nil || p.ready {
		return
	}
	p.ready = true
	for _, f := range e.sortedFolders() {
		e.do(tellAll{peer: p.dev, folder: f.id})
		e.considerAll(f)
	}
	for _, id := range sortedFolderIDs(p.folders) {
		e.decline(p, id)
	}
}

// decline tells a peer that took part in a folder that this device does not, or it would wait for a frontier that never comes.
func (e *engine) decline(p *peer, id shoal.FolderID) {
	if p.ready && e.folders[id] == nil {
		e.do(tellLeft{peer: p.dev, folder: id})
	}
}

func (ev peerDown) apply(e *engine) {
	p := e.peer(ev.peer)
	if p == nil {
		return
	}
	e.peers = slices.DeleteFunc(e.peers, func(o *peer) bool { return o == p })
	e.release(p)
}

// release takes back everything that p was asked for, and asks others.
func (e *engine) release(p *peer) {
	for _, f := range e.sortedFolders() {
		for _, j := range sortedJournals(f.chases) {
			f.chases[j].takeBack(p)
		}
		e.considerAll(f)
	}
}

func (ev localFrontier) apply(e *engine) {
	f := e.folders[ev.folder]
	isNew := f == nil
	if isNew {
		f = &folder{id: ev.folder, chases: make(map[shoal.JournalID]*chase)}
		e.folders[ev.folder] = f
	}
	before, opened := f.local, ev.ownOpen && !(f.ownOpen && f.own == ev.own)
	f.local, f.own, f.ownOpen, f.forked = ev.positions, ev.own, ev.ownOpen, ev.forked
	if isNew {
		e.introduce(f)
		return
	}
	if opened {
		e.talking(f.id, func(p *peer, pf *peerFolder) { e.prove(f, p, pf) })
	}
	for _, j := range sortedJournals(f.local) {
		if f.local[j] != before[j] {
			e.spread(f, j, before[j])
		}
	}
	for _, j := range sortedJournals(before) {
		if _, still := f.local[j]; !still {
			e.forgetRefusals(f.id, j)
			e.consider(f, j)
		}
	}
}

// introduce begins to take part in a folder. What was said in an earlier run is old.
func (e *engine) introduce(f *folder) {
	f.signDue = e.now
	for _, p := range e.peers {
		if !p.ready {
			continue
		}
		e.do(tellAll{peer: p.dev, folder: f.id})
		if pf := p.folders[f.id]; pf != nil {
			e.greet(f, p, pf)
			e.prove(f, p, pf)
		}
	}
	e.considerAll(f)
}

// greet sends all statuses to a peer that takes part in the folder from now on, with a fresh one of this device: the peer may wait for it to begin recording.
// It also hears of its own journals that have two histories.
func (e *engine) greet(f *folder, p *peer, pf *peerFolder) {
	for _, j := range f.forked {
		if j.Device == p.dev {
			e.do(showFork{peer: p.dev, journal: journalKey{f.id, j}})
		}
	}
	if f.signDue.IsZero() {
		e.do(sendStatuses{peer: p.dev, folder: f.id})
		return
	}
	pf.wantAll, f.signDue = true, e.now
}

// spread lets peers know that a journal is further here: the own one is pushed to those that had everything before, of all
// others the position is told.
func (e *engine) spread(f *folder, j shoal.JournalID, before position) {
	at := f.local[j]
	e.forgetRefusals(f.id, j)
	for _, p := range e.peers {
		if p.ready && p.folders[f.id] == nil {
			p.untold[f.id] = struct{}{}
		}
	}
	e.talking(f.id, func(p *peer, pf *peerFolder) {
		there := pf.pos[j]
		switch {
		case !at.beats(there):
		case j == f.own && j.Device == e.self && there.seq >= before.seq:
			e.do(push{peer: p.dev, journal: journalKey{f.id, j}})
		default:
			e.do(tell{peer: p.dev, journal: journalKey{f.id, j}})
		}
	})
	e.consider(f, j)
}

func (e *engine) forgetRefusals(f shoal.FolderID, j shoal.JournalID) {
	for _, p := range e.peers {
		if pf := p.folders[f]; pf != nil {
			delete(pf.refused, j)
		}
	}
}

func (ev localGone) apply(e *engine) {
	f := e.folders[ev.folder]
	if f == nil {
		return
	}
	for _, j := range sortedJournals(f.chases) {
		for _, p := range e.peers {
			f.chases[j].takeBack(p)
		}
	}
	delete(e.folders, ev.folder)
	for _, p := range e.peers {
		delete(p.untold, ev.folder)
		delete(p.without, ev.folder)
		if p.ready {
			e.do(tellLeft{peer: p.dev, folder: ev.folder})
		}
	}
	for _, other := range e.sortedFolders() {
		e.considerAll(other) // asks have become free
	}
}

func (ev localChanged) apply(e *engine) {
	if f := e.folders[ev.folder]; f != nil {
		f.signBy(later(e.now, f.signedAt.Add(statusEvery)))
	}
}

func (ev rosterChanged) apply(e *engine) {
	for _, p := range e.peers {
		for _, pf := range p.folders {
			clear(pf.refused)
		}
	}
	for _, f := range e.sortedFolders() {
		e.considerAll(f)
	}
}

func (ev frontierCame) apply(e *engine) {
	p := e.peer(ev.peer)
	if p == nil {
		return
	}
	id, f := ev.m.folder, e.folders[ev.m.folder]
	pf := p.folders[id]
	isNew := pf == nil
	switch {
	case ev.m.scope == scopeLeft:
		delete(p.folders, id)
		if f != nil { // else anybody could fill the maps
			p.without[id] = struct{}{}
			p.untold[id] = struct{}{} // it may come back
		}
		return
	case ev.m.scope == scopeAll:
		delete(p.without, id)
		e.decline(p, id)
		if pf == nil {
			if len(p.folders) >= maxPeerFolders {
				return
			}
			pf = newPeerFolder()
			p.folders[id] = pf
		}
		clear(pf.pos)
	case pf == nil:
		return // changes of what was never told
	}
	if n := len(pf.pos) + len(ev.m.positions); n > 2*maxPositions || p.positions()+len(ev.m.positions) > maxPeerPositions {
		e.fault(ev.peer, errWire("%d positions of one folder, %d in all", n, p.positions()+len(ev.m.positions)))
		return
	}
	for _, j := range sortedJournals(ev.m.positions) {
		pf.pos[j] = ev.m.positions[j]
		if r, ok := pf.refused[j]; ok && (pf.pos[j].beats(r.at) || pf.pos[j].seq < r.at.seq) {
			delete(pf.refused, j)
		}
	}
	if f == nil {
		return
	}
	if _, untold := p.untold[id]; untold {
		delete(p.untold, id)
		e.do(tellAll{peer: p.dev, folder: id})
	}
	if isNew {
		e.greet(f, p, pf)
	}
	if _, own := ev.m.positions[f.own]; own || ev.m.scope == scopeAll {
		e.prove(f, p, pf)
	}
	for _, j := range sortedJournals(ev.m.positions) {
		e.consider(f, j)
	}
}

// prove reports what the peer shows of the own journal, while that is of interest. Once somebody shows another history of it,
// nobody's position is proof.
func (e *engine) prove(f *folder, p *peer, pf *peerFolder) {
	if f.own.Device != e.self {
		return
	}
	here := f.local[f.own]
	rivals := func(there position) bool {
		return there.seq > here.seq || there.seq == here.seq && there.head != here.head
	}
	there := pf.pos[f.own]
	if f.ownOpen {
		if rivals(there) {
			e.do(checkRival{folder: f.id, peer: p.dev, at: there})
		}
		return
	}
	same := here.seq > 0 && here.seq == there.seq && here.head == there.head
	e.talking(f.id, func(_ *peer, other *peerFolder) { same = same && !rivals(other.pos[f.own]) })
	e.do(showProof{folder: f.id, peer: p.dev, same: same})
}

func (ev sentTo) apply(e *engine) {
	if p := e.peer(ev.peer); p != nil && p.folders[ev.journal.folder] != nil {
		p.folders[ev.journal.folder].reached(ev.journal.journal, ev.at)
	}
}

func (ev misbehaved) apply(e *engine) { e.fault(ev.peer, ev.reason) }

func (ev statusNews) apply(e *engine) {
	e.talking(ev.folder, func(p *peer, pf *peerFolder) {
		if pf.wantAll && ev.dev == e.self {
			pf.wantAll = false
			e.do(sendStatuses{peer: p.dev, folder: ev.folder})
			return
		}
		if p.dev == ev.from || p.dev == ev.dev {
			return
		}
		pf.news[ev.dev] = struct{}{}
		if pf.newsDue.IsZero() {
			pf.newsDue = later(e.now, pf.newsAt.Add(statusEvery))
		}
	})
}

// dueStatuses sends and signs what is due.
func (e *engine) dueStatuses() {
	for _, f := range e.sortedFolders() {
		if !f.signDue.IsZero() && !e.now.Before(f.signDue) {
			f.signDue, f.signedAt = time.Time{}, e.now
			e.do(sign{folder: f.id})
		}
		e.talking(f.id, func(p *peer, pf *peerFolder) {
			if pf.newsDue.IsZero() || e.now.Before(pf.newsDue) {
				return
			}
			devs := make([]shoal.DeviceID, 0, len(pf.news))
			for d := range pf.news {
				devs = append(devs, d)
			}
			slices.SortFunc(devs, shoal.DeviceID.Compare)
			clear(pf.news)
			pf.newsDue, pf.newsAt = time.Time{}, e.now
			e.do(sendStatuses{peer: p.dev, folder: f.id, devs: devs})
		})
	}
}

// signBy makes the own status due at t, unless it is due sooner.
func (f *folder) signBy(t time.Time) {
	if f.signDue.IsZero() || t.Before(f.signDue) {
		f.signDue = t
	}
}

func (ev tick) apply(*engine) {}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

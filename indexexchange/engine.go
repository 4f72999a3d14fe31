package indexexchange

import (
	"maps"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// position is how much of a journal somebody has.
type position struct {
	seq  shoal.Seq
	head [32]byte // index.JournalPos.HeadHash
	time int64    // of the head
}

// beats tells whether somebody at p has something that somebody at o lacks: more records, a head signed later, or another
// history.
func (p position) beats(o position) bool {
	if p.seq != o.seq {
		return p.seq > o.seq
	}
	return p.head != o.head || p.time > o.time
}

// engine decides what is asked of whom and told to whom. It is a pure state machine: step is its only door. It knows
// positions; records pass it by. Not safe for concurrent use.
type engine struct {
	self    shoal.DeviceID
	now     time.Time
	folders map[shoal.FolderID]*folder
	peers   []*peer // in the order in which they came
	faults  map[shoal.DeviceID]*faults
	wake    time.Time
	out     []action
}

// faults are what a device did wrong. They outlive its sessions.
type faults struct {
	count int
	until time.Time // left out until then; zero: not left out
}

// folder is what is known of one folder here.
type folder struct {
	id      shoal.FolderID
	local   map[shoal.JournalID]position
	own     shoal.JournalID // the last own journal; zero: there is none yet
	ownOpen bool            // it is being written in this run
	forked  []shoal.JournalID
	chases  map[shoal.JournalID]*chase

	signedAt time.Time // when the own status was signed last
	signDue  time.Time // when it is to be signed next; zero: nothing has changed
}

// peer is one session.
type peer struct {
	dev     shoal.DeviceID
	ready   bool // the rosters are equal as far as this one needs: folders may be talked about
	folders map[shoal.FolderID]*peerFolder
	without map[shoal.FolderID]struct{} // folders kept here that it said it does not keep
	untold  map[shoal.FolderID]struct{} // folders that changed here after the frontier was told and before the peer's came
	asks    int                         // open asks
	buckets int                         // open buckets
}

// positions counts what the peer has told of all folders.
func (p *peer) positions() (n int) {
	for _, pf := range p.folders {
		n += len(pf.pos)
	}
	return n
}

// peerFolder is what is known of a peer in a folder.
type peerFolder struct {
	pos     map[shoal.JournalID]position // what it has, as it told last, or as was sent to it or came from it since
	refused map[shoal.JournalID]refusal  // what is not to be asked of it
	doubted map[shoal.JournalID]struct{} // of which it sent a batch that did not join what is here

	news    map[shoal.DeviceID]struct{}
	newsAt  time.Time // when statuses were sent last
	newsDue time.Time // when news are to be sent; zero: there are none
	wantAll bool      // every status is to be sent as soon as the own one, which is being made, is there
}

// refusal says: not this journal from this peer, until then, or until its position beats the one it had, or goes back, or the
// roster or the own position changes.
type refusal struct {
	at    position
	until time.Time
}

func newEngine(self shoal.DeviceID) *engine {
	return &engine{self: self, folders: make(map[shoal.FolderID]*folder), faults: make(map[shoal.DeviceID]*faults)}
}

// step takes in one event and returns what is to be done, in order.
func (e *engine) step(now time.Time, ev event) []action {
	e.now, e.out = now, nil
	ev.apply(e)
	e.expire()
	e.dueStatuses()
	e.setWake()
	return e.out
}

func (e *engine) do(a action) { e.out = append(e.out, a) }

func (e *engine) peer(dev shoal.DeviceID) *peer {
	for _, p := range e.peers {
		if p.dev == dev {
			return p
		}
	}
	return nil
}

// talking calls fn for every peer that takes part in the folder.
func (e *engine) talking(f shoal.FolderID, fn func(*peer, *peerFolder)) {
	for _, p := range e.peers {
		if pf := p.folders[f]; p.ready && pf != nil {
			fn(p, pf)
		}
	}
}

// leftOut tells whether a device is not to be trusted with asks now.
func (e *engine) leftOut(dev shoal.DeviceID) bool {
	f := e.faults[dev]
	return f != nil && e.now.Before(f.until)
}

// heard tells whether a device has said in this session how far it is in a folder, or that it does not keep it. Who is left out
// need not.
func (e *engine) heard(dev shoal.DeviceID, f shoal.FolderID) bool {
	p := e.peer(dev)
	if p == nil || !p.ready {
		return e.leftOut(dev)
	}
	_, without := p.without[f]
	return without || p.folders[f] != nil || e.leftOut(dev)
}

// lacks tells whether somebody who may be asked has something of a folder that is not here.
func (e *engine) lacks(id shoal.FolderID) (some bool) {
	f := e.folders[id]
	if f == nil {
		return false
	}
	e.talking(id, func(p *peer, pf *peerFolder) {
		for j, at := range pf.pos {
			if at.beats(f.local[j]) && !(f.ownOpen && j == f.own) && e.mayAsk(p, pf, j) {
				some = true
			}
		}
	})
	return some
}

// fault notes that a device sent what no honest one sends.
func (e *engine) fault(dev shoal.DeviceID, why error) {
	f := e.faults[dev]
	if f == nil {
		f = new(faults)
		e.faults[dev] = f
	}
	f.count++
	if f.count < maxFaults || e.leftOut(dev) {
		return
	}
	f.until = e.now.Add(leaveOut)
	e.do(leaveOutPeer{peer: dev, reason: why})
	if p := e.peer(dev); p != nil {
		e.release(p)
	}
}

// forgive lets those back in whose time is over. It tells whether there was one.
func (e *engine) forgive() (some bool) {
	for dev, f := range e.faults {
		if !f.until.IsZero() && !e.now.Before(f.until) {
			delete(e.faults, dev)
			some = true
		}
	}
	return some
}

func (e *engine) sortedFolders() []*folder {
	var out []*folder
	for _, id := range sortedFolderIDs(e.folders) {
		out = append(out, e.folders[id])
	}
	return out
}

func sortedFolderIDs[V any](m map[shoal.FolderID]V) []shoal.FolderID {
	return slices.SortedFunc(maps.Keys(m), func(a, b shoal.FolderID) int { return slices.Compare(a[:], b[:]) })
}

func sortedJournals[V any](m map[shoal.JournalID]V) []shoal.JournalID {
	return slices.SortedFunc(maps.Keys(m), shoal.JournalID.Compare)
}

func newPeerFolder() *peerFolder {
	return &peerFolder{pos: make(map[shoal.JournalID]position), refused: make(map[shoal.JournalID]refusal),
		doubted: make(map[shoal.JournalID]struct{}), news: make(map[shoal.DeviceID]struct{})}
}

// reached notes that the peer has j up to at.
func (pf *peerFolder) reached(j shoal.JournalID, at position) {
	if at.beats(pf.pos[j]) {
		pf.pos[j] = at
	}
}

// setWake asks for a tick when the next thing is due.
func (e *engine) setWake() {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, f := range e.faults {
		sooner(f.until)
	}
	for _, f := range e.folders {
		sooner(f.signDue)
		for _, c := range f.chases {
			sooner(c.deadline())
		}
	}
	for _, p := range e.peers {
		for _, pf := range p.folders {
			sooner(pf.newsDue)
			for _, r := range pf.refused {
				sooner(r.until)
			}
		}
	}
	if !at.Equal(e.wake) {
		e.wake = at
		e.do(wakeAt{at: at})
	}
}

package blockexchange

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Exchange runs a Planner over the network, and answers the requests of others. Its methods are safe for concurrent use.
type Exchange struct {
	cfg Config // set once

	received, sent atomic.Int64 // bytes of sealed blocks

	mu       sync.Mutex // guards all below; held for moments, never while anything blocks
	planner  *Planner
	links    map[shoal.DeviceID]*link
	fetches  map[GroupID]*fetch
	lastID   GroupID
	held     map[Key]*held
	arriving *held // the block that a Got, being stepped now, is about
	serving  map[*server]struct{}
	progress map[shoal.FolderID]*Progress
	wake     time.Time // when the Planner wants a Tick
	running  bool
	stopped  bool

	streams sync.WaitGroup // incoming streams; added to only while running, with mu held
	stop    chan struct{}  // closed when Run ends
	slots   chan struct{}  // depth = how many blocks are read and sealed at once, over all peers

	changed chan struct{} // depth 1: links or wake have changed; sent by all, received by Run, never closed
}

// held is the plaintext of a block, at a keeper the sealed block, on its way to those who want it.
type held struct {
	key   Key
	data  []byte
	from  shoal.DeviceID
	users int // fetches that have not consumed it
}

// Progress says how far the fetching of a folder is.
type Progress struct {
	Blocks  int   // still wanted, counted per Fetch
	Bytes   int64 // of plaintext, still wanted
	Fetched int64 // bytes of plaintext delivered since the Exchange was made
}

// New returns an Exchange that refuses streams, and does nothing else, until Run. It registers with the Host, so call it before
// the Host runs. It panics when the Config does not pass Validate.
func New(c Config) *Exchange {
	if err := c.Validate(); err != nil {
		panic("blockexchange: " + err.Error())
	}
	x := &Exchange{
		cfg: c.withDefaults(), planner: NewPlanner(c.Limits),
		links: make(map[shoal.DeviceID]*link), fetches: make(map[GroupID]*fetch), held: make(map[Key]*held),
		serving: make(map[*server]struct{}), progress: make(map[shoal.FolderID]*Progress),
		stop: make(chan struct{}), slots: make(chan struct{}, max(2*workersPerPeer, 4*runtime.GOMAXPROCS(0))), changed: make(chan struct{}, 1),
	}
	c.Host.Handle(Protocol, x.incoming)
	return x
}

// Run serves and fetches until ctx ends, and returns nil then. When it returns, every goroutine and stream of the Exchange
// has ended and every Fetch fails with ErrStopped. It may be called once.
func (x *Exchange) Run(ctx context.Context) error {
	x.mu.Lock()
	x.running = true
	x.mu.Unlock()
	var links sync.WaitGroup
	x.runLinks(ctx, &links)
	x.endAll()
	close(x.stop)
	links.Wait()
	x.streams.Wait()
	return nil
}

// runLinks starts links and ticks the planner until ctx ends.
func (x *Exchange) runLinks(ctx context.Context, wg *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		x.mu.Lock()
		for _, l := range x.links {
			if !l.started {
				l.start(ctx, wg, x)
			}
		}
		wake := x.wake
		x.mu.Unlock()
		timer.Stop()
		if !wake.IsZero() {
			timer.Reset(max(wake.Sub(x.cfg.Clock()), 0))
		}
		select {
		case <-ctx.Done():
			return
		case <-x.changed:
		case <-timer.C:
			x.step(Tick{})
		}
	}
}

// endAll ends every Fetch and link.
func (x *Exchange) endAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running, x.stopped = false, true
	for _, f := range x.fetches {
		f.poke()
	}
	for _, l := range x.links {
		l.end()
	}
}

// PeerUp says that a device is connected, over a link of that cost. Called again with another cost, it changes the cost.
func (x *Exchange) PeerUp(dev shoal.DeviceID, c Cost) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.links[dev]; l != nil {
		if l.cost == c {
			return
		}
		l.end()
	}
	x.links[dev] = &link{peer: dev, cost: c}
	x.nudge()
}

// PeerDown says that a device is not connected any more.
func (x *Exchange) PeerDown(dev shoal.DeviceID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.links[dev]; l != nil {
		l.end()
		delete(x.links, dev)
	}
}

// NowHave says that blocks of a folder are here which may not have been before. Peers that were told "absent" are told.
// Call it for what was fetched and for what was recorded; unknown ones cost little.
func (x *Exchange) NowHave(f shoal.FolderID, ids []block.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.serving {
		s.nowHave(f, ids)
	}
}

// Progress returns how far the fetching of a folder is.
func (x *Exchange) Progress(f shoal.FolderID) Progress {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.progress[f]; p != nil {
		return *p
	}
	return Progress{}
}

// Traffic returns how many bytes of sealed blocks came in and went out since the Exchange was made.
func (x *Exchange) Traffic() (in, out int64) { return x.received.Load(), x.sent.Load() }

func (x *Exchange) nudge() {
	select {
	case x.changed <- struct{}{}:
	default:
	}
}

// step takes the planner one step and carries out what it says.
func (x *Exchange) step(ev Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stepLocked(ev)
}

// stepLocked is step with x.mu held. Every action only moves something from one queue in memory to another.
func (x *Exchange) stepLocked(ev Event) {
	for _, a := range x.planner.Step(x.cfg.Clock(), ev) {
		switch a := a.(type) {
		case Request:
			if l := x.links[a.Peer]; l != nil && l.conn != nil {
				l.conn.request(a.Wants, x.cfg.Keeper == nil && x.cfg.IsKeeper(a.Peer))
			}
		case Cancel:
			if l := x.links[a.Peer]; l != nil && l.conn != nil {
				l.conn.cancel(a.Keys)
			}
		case Deliver:
			x.deliver(a)
		case WakeAt:
			x.wake = a.At
			x.nudge()
		case Drop:
			x.cfg.Log.Warn("stop fetching from device", "device", a.Peer, "reason", a.Reason.String())
			if l := x.links[a.Peer]; l != nil {
				l.drop(a.Reason, x.planner.limits.Ban)
			}
		}
	}
}

package indexexchange

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// Exchange runs a Core over the network: one stream per peer, opened by the device with the lower ID. Its methods are safe
// for concurrent use.
type Exchange struct {
	core *Core // set once

	mu      sync.Mutex // guards what follows; held for moments
	links   map[shoal.DeviceID]*link
	dirty   map[shoal.FolderID]struct{} // folders to refresh
	running bool
	stop    chan struct{}  // closed when Run ends
	streams sync.WaitGroup // incoming streams; added to only while running, with mu held

	// Sent on by the methods, received by Run's services, depth 1, never closed.
	linksChanged, folderChanged, rosterChanged chan struct{}
}

// New returns an Exchange that refuses streams and does nothing else until Run. It registers with the Host, so call it before
// the Host runs. It panics when the Config does not pass Validate or has no Host.
func New(c Config) *Exchange {
	if c.Host == nil {
		panic("indexexchange: no host")
	}
	x := &Exchange{
		core: NewCore(c), links: make(map[shoal.DeviceID]*link), dirty: make(map[shoal.FolderID]struct{}), stop: make(chan struct{}),
		linksChanged: make(chan struct{}, 1), folderChanged: make(chan struct{}, 1), rosterChanged: make(chan struct{}, 1),
	}
	c.Host.Handle(Protocol, x.incoming)
	return x
}

// Notify says that a folder was added, removed, or written to: own records, or bases. It returns at once; new records are
// on their way to every peer within a moment. Calls that come close together count as one.
func (x *Exchange) Notify(f shoal.FolderID) {
	x.mu.Lock()
	x.dirty[f] = struct{}{}
	x.mu.Unlock()
	nudge(x.folderChanged)
}

// NotifyRoster says that the roster has changed. It returns at once; the roster's cuts are then applied to every folder.
func (x *Exchange) NotifyRoster() { nudge(x.rosterChanged) }

// PeerUp says that a device is connected. Calling it again changes nothing.
func (x *Exchange) PeerUp(dev shoal.DeviceID) {
	x.mu.Lock()
	if x.links[dev] == nil {
		x.links[dev] = &link{peer: dev}
	}
	x.mu.Unlock()
	nudge(x.linksChanged)
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

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Heard is Core.Heard.
func (x *Exchange) Heard(dev shoal.DeviceID, f shoal.FolderID) bool { return x.core.Heard(dev, f) }

// Lacks is Core.Lacks.
func (x *Exchange) Lacks(f shoal.FolderID) bool { return x.core.Lacks(f) }

// Shown is Core.Shown.
func (x *Exchange) Shown(dev shoal.DeviceID, f shoal.FolderID) (map[shoal.JournalID]shoal.Seq, bool) {
	return x.core.Shown(dev, f)
}

// RosterOf is Core.RosterOf.
func (x *Exchange) RosterOf(dev shoal.DeviceID) ([]mesh.Hash, bool) { return x.core.RosterOf(dev) }

// Run exchanges until ctx ends, and returns nil then. All folders are looked at first. When it returns, every goroutine and
// stream of the Exchange has ended. It may be called once.
func (x *Exchange) Run(ctx context.Context) error {
	for _, id := range x.core.cfg.Folders.IDs() { // before anybody is told which folders are kept here
		x.complain(ctx, "cannot look at folder", x.core.Refresh(id))
	}
	x.setRunning(true)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return x.runLinks(gctx) })
	g.Go(func() error { return x.runFolders(gctx) })
	g.Go(func() error { return x.runRoster(gctx) })
	g.Go(func() error { return x.runTicks(gctx) })
	_ = g.Wait() // the services end with gctx's error, which is ctx's
	x.setRunning(false)
	close(x.stop)
	x.streams.Wait()
	return nil
}

func (x *Exchange) setRunning(yes bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.running = yes
}

// runLinks starts links. It returns when all have ended.
func (x *Exchange) runLinks(ctx context.Context) error {
	var links sync.WaitGroup
	defer links.Wait()
	for {
		x.mu.Lock()
		for _, l := range x.links {
			if !l.started {
				l.start(ctx, &links, x)
			}
		}
		x.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.linksChanged:
		}
	}
}

// runFolders refreshes folders that have changed. It does nothing else, so that a new commit never waits here.
func (x *Exchange) runFolders(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.folderChanged:
		}
		x.mu.Lock()
		dirty := x.dirty
		x.dirty = make(map[shoal.FolderID]struct{})
		x.mu.Unlock()
		for id := range dirty {
			x.complain(ctx, "cannot look at folder", x.core.Refresh(id))
		}
	}
}

func (x *Exchange) runRoster(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.rosterChanged:
			x.complain(ctx, "cannot apply the roster", x.core.RosterChanged(ctx))
		}
	}
}

func (x *Exchange) runTicks(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-x.core.Woken():
		case <-timer.C:
		}
		at, due := x.core.WakeAt()
		if now := x.core.cfg.Clock(); due && !at.After(now) {
			x.complain(ctx, "cannot sign a status", x.core.Tick(ctx))
			at, due = x.core.WakeAt()
		}
		if due {
			timer.Reset(max(at.Sub(x.core.cfg.Clock()), time.Millisecond))
		} else {
			timer.Stop()
		}
	}
}

// complain logs an error, unless it only says that everything ends.
func (x *Exchange) complain(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		x.core.cfg.Log.Error(what, "err", err)
	}
}

// incoming answers a stream that a peer opened.
func (x *Exchange) incoming(ctx context.Context, from shoal.DeviceID, s p2p.Stream) {
	x.mu.Lock()
	if !x.running || from.Compare(x.core.cfg.Device) > 0 {
		x.mu.Unlock()
		_ = s.Reset()
		return
	}
	x.streams.Add(1)
	x.mu.Unlock()
	defer x.streams.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := make(chan struct{})
	defer close(watch)
	x.streams.Go(func() {
		select {
		case <-x.stop:
			cancel()
		case <-watch:
		}
	})
	x.log(from, x.converse(ctx, from, s))
}

func (x *Exchange) log(dev shoal.DeviceID, err error) {
	x.core.cfg.Log.Debug("index stream ended", "device", dev, "err", err)
}

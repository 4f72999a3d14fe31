package indexexchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// Core is the exchange of one device without network, goroutines and timers: sessions, what they share, and the stores that
// they work on. An Exchange drives it with streams; a simulation can drive it by hand:
//
//	a, b := coreA.Connect(devB), coreB.Connect(devA)
//	for {
//		frames, err := a.Next(ctx)      // until there are none
//		err = b.Receive(ctx, frames[i]) // in order; and the same the other way round
//	}
//
// Its methods are safe for concurrent use.
type Core struct {
	cfg        Config // set once
	batchBytes int    // set once: maxBatchBytes; tests make it smaller

	// reading is held from before a frontier is read until the engine knows it, so that an older one never comes last.
	// Taken before mu.
	reading sync.Mutex

	mu       sync.Mutex // guards all below; held for moments, never while anything blocks
	engine   *engine
	sessions map[shoal.DeviceID]*Session
	wake     time.Time        // when the engine wants a tick
	toSign   []shoal.FolderID // statuses that are to be signed by the next Tick
	woken    chan struct{}    // depth 1: WakeAt has changed
}

// NewCore returns a Core that has no sessions and knows no folder: Refresh each. It panics when the Config does not pass Validate.
func NewCore(c Config) *Core {
	if err := c.Validate(); err != nil {
		panic("indexexchange: " + err.Error())
	}
	return &Core{cfg: c.withDefaults(), batchBytes: maxBatchBytes, engine: newEngine(c.Device), sessions: make(map[shoal.DeviceID]*Session),
		woken: make(chan struct{}, 1)}
}

// Connect begins a session with a peer. An older one with the same peer is closed.
func (c *Core) Connect(dev shoal.DeviceID) *Session {
	s := &Session{core: c, peer: dev, wakeup: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.sessions[dev]; old != nil {
		old.closeLocked()
	}
	c.sessions[dev] = s
	s.box.hello = true
	s.poke()
	c.stepLocked(peerUp{peer: dev})
	return s
}

// Refresh looks at a folder again: call it when the folder was added, removed, or written to. New records of the own
// journal are in the sessions' outboxes when it returns. It must not be called inside a transaction of the folder.
func (c *Core) Refresh(id shoal.FolderID) error {
	if err := c.refresh(id); err != nil {
		return err
	}
	c.apply(localChanged{folder: id})
	return nil
}

// refresh tells the engine the frontier of a folder.
func (c *Core) refresh(id shoal.FolderID) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	f, kept := c.cfg.Folders.Folder(id)
	if !kept {
		c.apply(localGone{folder: id})
		return nil
	}
	ev := localFrontier{folder: id, positions: make(map[shoal.JournalID]position)}
	err := f.View(func(tx *index.Tx) error {
		for j, p := range tx.Frontier() {
			if p.Seq > 0 {
				ev.positions[j] = positionOf(p)
			}
		}
		ev.own, ev.ownOpen = tx.Own()
		forks, err := tx.Forks()
		for _, fork := range forks {
			ev.forked = append(ev.forked, fork.Journal)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read frontier of folder %s: %w", id, err)
	}
	c.apply(ev)
	return nil
}

func positionOf(p index.JournalPos) position {
	return position{seq: p.Seq, head: p.HeadHash, time: p.Time}
}

// RosterChanged applies the roster's cuts to every folder and tells every peer that the roster has changed.
func (c *Core) RosterChanged(ctx context.Context) error {
	c.mu.Lock()
	for _, s := range c.sessions {
		s.box.hello = true
		s.poke()
	}
	c.mu.Unlock()
	var errs []error
	for _, id := range c.cfg.Folders.IDs() {
		errs = append(errs, c.applyCuts(ctx, id))
	}
	c.apply(rosterChanged{})
	return errors.Join(errs...)
}

func (c *Core) applyCuts(ctx context.Context, id shoal.FolderID) error {
	f, kept := c.cfg.Folders.Folder(id)
	if !kept {
		return nil
	}
	var a index.Accepted
	err := f.Update(ctx, func(tx *index.Tx) (err error) {
		a, err = tx.ApplyCuts()
		return err
	})
	if err != nil {
		return fmt.Errorf("apply cuts of the roster to folder %s: %w", id, err)
	}
	if err := c.refresh(id); err != nil {
		return err
	}
	c.changed(id, a)
	return nil
}

// Tick does what has become due, and signs statuses. Call it at the time that WakeAt names, or more often.
func (c *Core) Tick(ctx context.Context) error {
	c.apply(tick{})
	c.mu.Lock()
	folders := c.toSign
	c.toSign = nil
	c.mu.Unlock()
	var errs []error
	for _, id := range folders {
		errs = append(errs, c.sign(ctx, id))
	}
	return errors.Join(errs...)
}

// Heard tells whether a device has said in its present session how far it is in a folder, or that it does not keep it. A device
// that is left out for what it did counts as heard.
func (c *Core) Heard(dev shoal.DeviceID, f shoal.FolderID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.heard(dev, f)
}

// Shown returns how far a device's journals of a folder go by what it has told, or was sent, in its present session; false: it has told
// nothing of the folder yet.
func (c *Core) Shown(dev shoal.DeviceID, f shoal.FolderID) (map[shoal.JournalID]shoal.Seq, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.engine.peer(dev)
	if p == nil || !p.ready || p.folders[f] == nil {
		return nil, false
	}
	out := make(map[shoal.JournalID]shoal.Seq, len(p.folders[f].pos))
	for j, at := range p.folders[f].pos {
		out[j] = at.seq
	}
	return out, true
}

// RosterOf returns the heads of a device's roster, as it told them last in its present session; false: it has told none, or so many that these
// are not all.
func (c *Core) RosterOf(dev shoal.DeviceID) ([]mesh.Hash, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[dev]
	if s == nil || len(s.roster) == 0 || len(s.roster) >= maxHeads {
		return nil, false
	}
	return slices.Clone(s.roster), true
}

// Lacks tells whether a device that has a session has records of a folder that are not here, as far as it has said and may
// have them.
func (c *Core) Lacks(f shoal.FolderID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.lacks(f)
}

// WakeAt returns when Tick is due; false: never, as things are.
func (c *Core) WakeAt() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.toSign) > 0 {
		return c.cfg.Clock(), true
	}
	return c.wake, !c.wake.IsZero()
}

// Woken is sent on when WakeAt may have changed. It is never closed.
func (c *Core) Woken() <-chan struct{} { return c.woken }

// apply takes a step and reports what follows.
func (c *Core) apply(ev event) { c.effects(c.step(ev)) }

// step takes the engine one step. What is for peers goes to their outboxes; the rest is returned, in order.
func (c *Core) step(ev event) []action {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepLocked(ev)
}

func (c *Core) stepLocked(ev event) (rest []action) {
	for _, a := range c.engine.step(c.cfg.Clock(), ev) {
		switch a := a.(type) {
		case sendAsk:
			c.send(a.peer, askMessage{journal: a.journal, after: a.after})
		case sendAskBuckets:
			c.send(a.peer, askBucketsMessage{journal: a.journal, list: a.list})
		case push:
			c.box(a.peer, func(b *outbox) { b.push(a.journal) })
		case tell:
			c.box(a.peer, func(b *outbox) { b.tell(a.journal) })
		case tellAll:
			c.box(a.peer, func(b *outbox) { b.tellScope(a.folder, scopeAll) })
		case tellLeft:
			c.box(a.peer, func(b *outbox) { b.tellScope(a.folder, scopeLeft) })
		case showFork:
			c.box(a.peer, func(b *outbox) { b.show(a.journal) })
		case sendStatuses:
			c.box(a.peer, func(b *outbox) { b.status(a.folder, a.devs) })
		case wakeAt:
			c.wake = a.at
			c.rouse()
		case sign:
			c.toSign = append(c.toSign, a.folder)
			c.rouse()
		default:
			rest = append(rest, a)
		}
	}
	return rest
}

// wants tells whether a peer owes a bucket.
func (c *Core) wants(dev shoal.DeviceID, k journalKey, n uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.engine.folders[k.folder]
	if f == nil || f.chases[k.journal] == nil {
		return false
	}
	ask := f.chases[k.journal].open[n]
	return ask != nil && ask.peer.dev == dev
}

func (c *Core) rouse() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *Core) send(dev shoal.DeviceID, m message) {
	c.box(dev, func(b *outbox) { b.asks = append(b.asks, m) })
}

func (c *Core) box(dev shoal.DeviceID, fn func(*outbox)) {
	if s := c.sessions[dev]; s != nil {
		fn(&s.box)
		s.poke()
	}
}

// effects reports what is to be reported and returns the rest.
func (c *Core) effects(acts []action) (rest []action) {
	for _, a := range acts {
		switch a := a.(type) {
		case showProof:
			if c.cfg.Effects.Proof != nil {
				c.cfg.Effects.Proof(a.folder, a.peer, a.same)
			}
		case checkRival:
			c.checkRival(a)
		case leaveOutPeer:
			c.cfg.Log.Warn("leave a device out", "device", a.peer, "err", a.reason)
			if c.cfg.Effects.LeftOut != nil {
				c.cfg.Effects.LeftOut(a.peer, a.reason)
			}
		default:
			rest = append(rest, a)
		}
	}
	return rest
}

// checkRival asks for the peer's head of the own journal if it really shows something that is not here: what the engine knows
// may be a moment older than what has left already.
func (c *Core) checkRival(a checkRival) {
	f, kept := c.cfg.Folders.Folder(a.folder)
	if !kept || c.cfg.Effects.Rival == nil {
		return
	}
	var ask *askMessage
	err := f.View(func(tx *index.Tx) error {
		own, open := tx.Own()
		here := positionOf(tx.Frontier()[own])
		if open && (a.at.seq > here.seq || a.at.seq == here.seq && a.at.head != here.head) {
			ask = &askMessage{journal: journalKey{a.folder, own}, after: a.at.seq}
		}
		return nil
	})
	if err == nil && ask != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.send(a.peer, *ask)
	}
}

// rivalCame looks at a head that a peer sent of the journal that is being written here. It tells whether it was one.
func (c *Core) rivalCame(k journalKey, peer shoal.DeviceID, head []byte) bool {
	c.mu.Lock()
	f := c.engine.folders[k.folder]
	own := f != nil && f.ownOpen && f.own == k.journal
	c.mu.Unlock()
	if !own {
		return false
	}
	rival := false
	if folder, kept := c.cfg.Folders.Folder(k.folder); kept && c.cfg.Effects.Rival != nil {
		err := folder.View(func(tx *index.Tx) error {
			_, _, rival = tx.Rival(head)
			return nil
		})
		if rival = rival && err == nil; rival {
			c.cfg.Effects.Rival(k.folder, peer, head)
		}
	}
	return true
}

func (c *Core) changed(id shoal.FolderID, a index.Accepted) {
	if c.cfg.Effects.Changed != nil && (len(a.Paths) > 0 || a.More || len(a.Problems) > 0 || a.Done) {
		c.cfg.Effects.Changed(id, a)
	}
}

// sign makes and stores a new status of this device.
func (c *Core) sign(ctx context.Context, id shoal.FolderID) error {
	f, kept := c.cfg.Folders.Folder(id)
	if !kept {
		return nil
	}
	err := f.Update(ctx, func(tx *index.Tx) error {
		st, err := c.cfg.Standing(id, tx)
		if err != nil {
			return err
		}
		_, err = tx.SignStatus(st)
		return err
	})
	if errors.Is(err, index.ErrNoKey) {
		return nil // nothing can be said yet; the key comes with the roster, and a change after it
	}
	if err != nil {
		err = fmt.Errorf("sign status of folder %s: %w", id, err)
	}
	if c.cfg.Effects.Signed != nil {
		c.cfg.Effects.Signed(id, err)
	}
	if err != nil {
		return err
	}
	c.apply(statusNews{folder: id, dev: c.cfg.Device, from: c.cfg.Device})
	return nil
}

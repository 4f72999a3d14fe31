package kv

import (
	"sync"
	"sync/atomic"
)

// backend is what a group commits to.
type backend interface {
	begin() (batch, error)
}

// batch is one transaction of the backend, shared by the updates of a group. Exactly one of commit and rollback ends it.
type batch interface {
	source
	flush(o *overlay) error // applies one update; after an error the batch can only be rolled back
	commit() error
	rollback()
}

// maxGroup bounds the updates of one commit, so that the first of them does not wait for ever.
const maxGroup = 64

// committer runs updates one after another and lets those that wait for each other share one commit: each runs on its own
// goroutine, holding the lock, and who finds nobody waiting behind commits for all.
type committer struct {
	waiting atomic.Int64 // updates that want mu

	mu   sync.Mutex
	open *group // guarded by mu; nil: no transaction is open
}

// group is the updates that share one commit.
type group struct {
	batch   batch
	members int           // that succeeded
	done    chan struct{} // closed after err is set
	err     error
}

func (c *committer) update(be backend, fn func(Tx) error) error {
	g, err := c.join(be, fn)
	if err != nil {
		return err
	}
	<-g.done
	return g.err
}

// join runs fn in the open group, or begins one. It returns the group to wait for.
func (c *committer) join(be backend, fn func(Tx) error) (*group, error) {
	c.waiting.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting.Add(-1)
	g := c.open
	if g == nil {
		b, err := be.begin()
		if err != nil {
			return nil, err
		}
		g = &group{batch: b, done: make(chan struct{})}
		c.open = g
	}
	finished := false
	defer func() {
		if !finished { // fn panicked: the others still get their commit
			c.finish(g)
		}
	}()
	o := newOverlay(g.batch)
	err := fn(o)
	if err == nil {
		err = g.batch.flush(o)
		if err != nil {
			finished = true
			c.fail(g, err)
			return nil, err
		}
		g.members++
	}
	finished = true
	c.finish(g)
	return g, err
}

// finish ends the group unless somebody waits who can join it. mu is held.
func (c *committer) finish(g *group) {
	if c.waiting.Load() > 0 && g.members < maxGroup {
		return
	}
	c.end(g)
}

// drain ends the open group, if there is one, without waiting for who could still join it. mu is held.
func (c *committer) drain() {
	if c.open != nil {
		c.end(c.open)
	}
}

// end commits what a group has. mu is held.
func (c *committer) end(g *group) {
	c.open = nil
	if g.members == 0 {
		g.batch.rollback()
	} else {
		g.err = g.batch.commit()
	}
	close(g.done)
}

// fail ends the group without a commit. mu is held.
func (c *committer) fail(g *group, err error) {
	c.open = nil
	g.batch.rollback()
	g.err = err
	close(g.done)
}

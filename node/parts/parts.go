// Package parts runs the long-lived parts of one process together, and ends them together. Whoever makes a Group owns its goroutines and
// waits for them.
package parts

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Group runs long-lived parts. When one ends with an error, all are told to end.
type Group struct {
	ctx    context.Context // of all parts
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	errs []error // guarded by mu
}

// New makes a group whose parts end when ctx ends.
func New(ctx context.Context) *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// Context ends when the parts are to end.
func (g *Group) Context() context.Context { return g.ctx }

// Run runs one part. A part that ends because the group's context ended has no error; one that returns nil earlier just has no more to do.
func (g *Group) Run(name string, fn func(ctx context.Context) error) {
	g.wg.Go(func() {
		err := fn(g.ctx)
		if err == nil || errors.Is(err, context.Canceled) && g.ctx.Err() != nil {
			return
		}
		g.mu.Lock()
		g.errs = append(g.errs, fmt.Errorf("%s: %w", name, err))
		g.mu.Unlock()
		g.cancel()
	})
}

// ErrEndedEarly: a part that had to last ended before it was told to, and said no reason.
var ErrEndedEarly = errors.New("it ended before it was told to")

// Keep is Run for a part without which the rest is good for nothing: when it ends before the group's context does, that is an error, whatever it returns.
func (g *Group) Keep(name string, fn func(ctx context.Context) error) {
	g.Run(name, func(ctx context.Context) error {
		err := fn(ctx)
		if err == nil && ctx.Err() == nil {
			return ErrEndedEarly
		}
		return err
	})
}

// Wait returns when all parts have ended, with their errors; each names its part.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel()
	return errors.Join(g.errs...)
}

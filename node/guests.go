package node

import (
	"context"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/p2p"
)

// guestDesk keeps the guests that wait for a person to say yes. Safe for concurrent use.
type guestDesk struct {
	mu    sync.Mutex
	queue []*waitingGuest // guarded by mu; oldest first, bounded by the open invites
}

type waitingGuest struct {
	guest    p2p.Guest
	since    time.Time
	decision chan bool     // depth 1: the first answer counts
	outcome  chan struct{} // closed when the guest was admitted or sent away
	err      error         // set before outcome is closed
}

// arrive adds a guest; leave must follow.
func (d *guestDesk) arrive(g p2p.Guest, now time.Time) *waitingGuest {
	w := &waitingGuest{guest: g, since: now, decision: make(chan bool, 1), outcome: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, w)
	return w
}

// leave takes a guest from the desk and says how it ended.
func (d *guestDesk) leave(w *waitingGuest, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, x := range d.queue {
		if x == w {
			d.queue = append(d.queue[:i:i], d.queue[i+1:]...)
			break
		}
	}
	w.err = err
	close(w.outcome)
}

func (d *guestDesk) list() []*waitingGuest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*waitingGuest(nil), d.queue...)
}

func (d *guestDesk) find(dev shoal.DeviceID) *waitingGuest {
	for _, w := range d.list() {
		if w.guest.Device == dev {
			return w
		}
	}
	return nil
}

func (w *waitingGuest) decide(yes bool) {
	select {
	case w.decision <- yes:
	default:
	}
}

func (w *waitingGuest) request() control.Request {
	return control.Request{
		Device: w.guest.Device.String(), Name: w.guest.Name, Role: w.guest.Role.String(), Via: w.guest.Via, Address: w.guest.Address, Since: w.since,
	}
}

// ask waits until a person decided, here or through the control API, or the guest has gone.
func (w *waitingGuest) ask(ctx context.Context, terminal func(context.Context, control.Request) (bool, error)) (bool, error) {
	if terminal != nil {
		ctx, cancel := context.WithCancel(ctx)
		var asked sync.WaitGroup
		defer asked.Wait()
		defer cancel()
		asked.Go(func() {
			if yes, err := terminal(ctx, w.request()); err == nil {
				w.decide(yes)
			}
		})
		select {
		case yes := <-w.decision:
			return yes, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	select {
	case yes := <-w.decision:
		return yes, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

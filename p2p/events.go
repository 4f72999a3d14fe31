package p2p

import (
	"context"
	"sync"
)

// eventQueue carries Up and Down events to one reader. It never blocks the sender and never grows beyond two events per
// device: a Down that follows an Up which nobody has read yet takes that Up away.
type eventQueue struct {
	out  chan Event    // unbuffered; sent on and closed by run
	wake chan struct{} // depth 1; a full one means run is awake already

	mu      sync.Mutex // guards pending
	pending []Event
}

func newEventQueue() *eventQueue {
	return &eventQueue{out: make(chan Event), wake: make(chan struct{}, 1)}
}

// push adds an event. For each device the caller alternates Up and Down.
func (q *eventQueue) push(e Event) {
	q.mu.Lock()
	last := -1
	for i, p := range q.pending {
		if p.Device == e.Device {
			last = i
		}
	}
	if last >= 0 && q.pending[last].Up && !e.Up {
		q.pending = append(q.pending[:last], q.pending[last+1:]...)
	} else {
		q.pending = append(q.pending, e)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) pop() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		return Event{}, false
	}
	e := q.pending[0]
	q.pending = q.pending[1:]
	return e, true
}

// run hands events out until ctx ends, then closes the channel. An event that is being offered is no longer
// coalesced, so that what the reader sees alternates.
func (q *eventQueue) run(ctx context.Context) {
	defer close(q.out)
	for {
		e, ok := q.pop()
		if !ok {
			select {
			case <-q.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case q.out <- e:
		case <-ctx.Done():
			return
		}
	}
}

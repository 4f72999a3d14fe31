package p2p

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoalmesh/shoal"
)

// linkTable holds the one link of each device, and every connection's link while it is being made. Of two connections
// with one device the device with the lower ID decides which stays: it claims a place before it says yes, the other side
// follows. A direct connection takes the place of a circuit: that link retires, which ends nothing on it. Safe for
// concurrent use.
type linkTable struct {
	// onUp and onDown are called under mu, so that their order is that of the links; they must not block or call back.
	onUp, onDown func(*link)

	mu       sync.Mutex // guards all below
	byDevice map[shoal.DeviceID]*link
	byConn   map[network.Conn]*link
	making   map[network.Conn]bool    // this side is opening the link's stream
	next     map[shoal.DeviceID]*link // direct, claimed, and not up yet while a circuit still has the place
}

func newLinkTable(onUp, onDown func(*link)) *linkTable {
	return &linkTable{
		onUp: onUp, onDown: onDown,
		byDevice: make(map[shoal.DeviceID]*link), byConn: make(map[network.Conn]*link),
		making: make(map[network.Conn]bool), next: make(map[shoal.DeviceID]*link),
	}
}

// begin lets the caller alone make a link over conn until the returned function is called; false if somebody does already
// or has. Of two streams for one link each side could choose another.
func (t *linkTable) begin(conn network.Conn) (done func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.making[conn] || t.byConn[conn] != nil {
		return nil, false
	}
	t.making[conn] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.making, conn)
	}, true
}

// add notes that l is being made on its connection; false if that has a link already.
func (t *linkTable) add(l *link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byConn[l.conn] != nil {
		return false
	}
	t.byConn[l.conn] = l
	return true
}

// claim takes the device's place for l, for the side that decides. An older link keeps the place if it belongs to the
// same run of the other side, answers, and is no circuit that l does without; then claim returns false.
func (t *linkTable) claim(ctx context.Context, l *link) bool {
	for {
		claimed, next, old := t.tryClaim(l)
		if claimed {
			return true
		}
		if next != nil {
			t.settled(ctx, next)
			if ctx.Err() != nil {
				return false
			}
			continue
		}
		if old.run == l.run && t.settled(ctx, old) && old.probe(ctx, probeWait) {
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		t.remove(old)
	}
}

// tryClaim takes the place of l's device if it is free, or held by a circuit that l improves. Else it returns what is in
// the way: a link that is about to take the place, or the one that has it.
func (t *linkTable) tryClaim(l *link) (claimed bool, next, old *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, old = t.next[l.dev], t.byDevice[l.dev]
	switch {
	case next != nil:
		return false, next, nil
	case old == nil:
		t.byDevice[l.dev] = l
	case l.improves(old):
		t.next[l.dev] = l
	default:
		return false, nil, old
	}
	return true, nil, nil
}

// settled waits until a link that has claimed its place is up, and says whether it came to that.
func (t *linkTable) settled(ctx context.Context, l *link) bool {
	select {
	case <-l.up:
		return l.isUp()
	case <-l.gone:
	case <-ctx.Done():
	}
	return false
}

// raise makes l the link of its device. On the side that follows it may take the place of an older one, which ends.
// False if l has ended meanwhile, or lost the place it had claimed.
func (t *linkTable) raise(l *link, claimed bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.byDevice[l.dev]
	if t.byConn[l.conn] != l || claimed && old != l && t.next[l.dev] != l {
		return false
	}
	switch {
	case old == nil || old == l:
	case l.improves(old):
		t.onDown(old) // whoever keeps streams begins anew on the better connection
		old.retire()
	default:
		t.drop(old)
	}
	delete(t.next, l.dev)
	t.byDevice[l.dev] = l
	l.since = now
	close(l.up)
	t.onUp(l)
	return true
}

// remove ends l.
func (t *linkTable) remove(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(l)
}

// drop ends l; the caller holds mu. The connection is closed by whoever serves l, who sees it gone.
func (t *linkTable) drop(l *link) {
	if t.byConn[l.conn] == l {
		delete(t.byConn, l.conn)
	}
	if t.next[l.dev] == l {
		delete(t.next, l.dev)
	}
	if t.byDevice[l.dev] == l {
		delete(t.byDevice, l.dev)
		if l.isUp() {
			t.onDown(l)
		}
	}
	l.end()
}

// of returns the link of dev that is up, or nil.
func (t *linkTable) of(dev shoal.DeviceID) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.byDevice[dev]; l != nil && l.isUp() {
		return l
	}
	return nil
}

// on returns the link that is up, or being made, on conn; nil if none.
func (t *linkTable) on(conn network.Conn) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byConn[conn]
}

// all lists the links that are up, by device.
func (t *linkTable) all() []*link {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*link
	for _, l := range t.byDevice {
		if l.isUp() {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b *link) int { return a.dev.Compare(b.dev) })
	return out
}

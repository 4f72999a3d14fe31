// Package p2ptest has what tests of streams need: a line with a rate and a delay. It keeps to the clock of its caller, so that in a bubble of
// testing/synctest a far line takes no time and always behaves the same.
package p2ptest

import (
	"net"
	"slices"
	"sync"
	"time"
)

// Line is what lies between two ends: as a TCP connection on it shows, an end takes in what fits its buffer, which leaves at the rate and arrives after
// the delay.
type Line struct {
	Rate   float64       // bytes/s, in each direction
	Delay  time.Duration // one way
	Buffer int           // bytes that an end takes in before the line has them
}

// Open returns the two ends of a new line. They are safe for concurrent use. Deadlines mean nothing to them.
func (l Line) Open() (a, b *End) {
	there, back := newLane(l), newLane(l)
	return &End{in: back, out: there}, &End{in: there, out: back}
}

// End is one end of a line. Closing it closes both; what was not read by then is lost.
type End struct{ in, out *lane }

// Sent returns how many bytes this end has taken in.
func (e *End) Sent() int64 {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	return e.out.sent
}

// Read implements net.Conn.
func (e *End) Read(p []byte) (int, error) { return e.in.read(p) }

// Write implements net.Conn.
func (e *End) Write(p []byte) (int, error) { return e.out.write(p) }

// Close implements net.Conn.
func (e *End) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

// LocalAddr implements net.Conn.
func (e *End) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (e *End) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn.
func (e *End) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (e *End) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (e *End) SetWriteDeadline(time.Time) error { return nil }

// packet is the most that travels as one.
const packet = 16 << 10

// lane is one direction.
type lane struct {
	Line
	mu     sync.Mutex
	more   *sync.Cond // of mu: something is on its way, or the lane was closed
	free   time.Time  // guarded by mu; when the line has sent all that it has
	queue  []arrival  // guarded by mu
	sent   int64      // guarded by mu
	closed bool       // guarded by mu
}

type arrival struct {
	at    time.Time
	bytes []byte
}

func newLane(l Line) *lane {
	d := &lane{Line: l}
	d.more = sync.NewCond(&d.mu)
	return d
}

// lasts is how long the line takes to send n bytes.
func (d *lane) lasts(n int) time.Duration {
	return time.Duration(float64(n) / d.Rate * float64(time.Second))
}

func (d *lane) write(p []byte) (n int, err error) {
	for part := range slices.Chunk(p, packet) {
		wait, err := d.put(part)
		if err != nil {
			return n, err
		}
		n += len(part)
		time.Sleep(wait)
	}
	return n, nil
}

// put puts bytes on the line, and returns after what time there is room for more.
func (d *lane) put(p []byte) (wait time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, net.ErrClosed
	}
	now := time.Now()
	if d.free.Before(now) {
		d.free = now
	}
	d.free = d.free.Add(d.lasts(len(p)))
	d.queue = append(d.queue, arrival{d.free.Add(d.Delay), slices.Clone(p)})
	d.sent += int64(len(p))
	d.more.Broadcast()
	return max(0, d.free.Sub(now)-d.lasts(d.Buffer)), nil
}

func (d *lane) read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed {
		if len(d.queue) == 0 {
			d.more.Wait()
			continue
		}
		first := &d.queue[0]
		if wait := time.Until(first.at); wait > 0 {
			d.mu.Unlock()
			time.Sleep(wait)
			d.mu.Lock()
			continue
		}
		n := copy(p, first.bytes)
		if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
			d.queue = d.queue[1:]
		}
		return n, nil
	}
	return 0, net.ErrClosed
}

func (d *lane) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.more.Broadcast()
}

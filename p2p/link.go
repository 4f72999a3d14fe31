package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	linkProtocol = "/shoal/link/1"
	// handshakeWait bounds the handshake of a link, the judging of a second connection included.
	handshakeWait = 10 * time.Second
	// probeWait is how long an older link may take to show that it lives when a second connection asks for its place.
	probeWait = 3 * time.Second
	// silentBeats is the number of heartbeats without a sign of life after which a link is given up.
	silentBeats = 3
)

var (
	errDuplicate   = errors.New("another connection with this device is in use")
	errNotAdmitted = errors.New("the device is not admitted")
	errSilent      = errors.New("the device is silent")
)

// link is the connection with one device that is in use, and its control stream. States:
//
//	new --handshake: yes--> up --end--> gone
//	up --a direct connection takes the place of this circuit--> retired --its streams ended, or drainWait--> gone
//	new --anything else--> gone
type link struct {
	// set once, before the link is shared
	dev      shoal.DeviceID
	conn     network.Conn
	stream   *stream
	in       *bufio.Reader // over stream; used by one goroutine at a time
	outbound bool          // this side opened the stream: who dialed, or who adopted the connection

	// set before up is closed
	run   uint64 // the other side's number of its run
	since time.Time

	up   chan struct{}   // closed by linkTable.raise
	gone chan struct{}   // closed by end
	end  func()          // closes gone, once
	live context.Context // ends with gone; handlers of streams over this link run in it

	heardAt atomic.Int64 // unix nanoseconds of the last byte from the other side
	outbox  outbox

	retired chan struct{} // closed by retire
	retire  func()        // closes retired, once
	streams streamCount
}

// streamCount counts the streams of a link but its own. Safe for concurrent use.
type streamCount struct {
	mu   sync.Mutex // guards n, zero
	n    int
	zero chan struct{} // closed when n falls to 0; nil: nobody waits
}

func (c *streamCount) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *streamCount) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

// none returns a channel that is closed when there are no streams: now, or the next time. For one waiter.
func (c *streamCount) none() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	zero := make(chan struct{})
	if c.n == 0 {
		close(zero)
	} else {
		c.zero = zero
	}
	return zero
}

// improves tells whether l, of the same run of the other side, is direct and old is a circuit.
func (l *link) improves(old *link) bool {
	return old.isUp() && old.run == l.run && old.relayed() && !l.relayed()
}

// relayed tells whether the link is a circuit.
func (l *link) relayed() bool { return address.IsRelayed(l.conn.RemoteMultiaddr()) }

// outbox is what the writer of a link is to send. It is bounded by what it holds: at most one record per device, one
// entry, one ping and one pong at a time.
type outbox struct {
	wake chan struct{} // depth 1; full means the writer is awake already

	mu      sync.Mutex // guards all below
	records map[shoal.DeviceID]*address.Record
	entry   *wire.Entry // nil: none to tell
	ping    uint64      // number to ask for; 0: none
	pong    uint64      // number to answer; 0: none
	pings   uint64      // the last number that was used
	waiting map[uint64]chan struct{}
}

func newLink(parent context.Context, s *stream, dev shoal.DeviceID, outbound bool) *link {
	ctx, cancel := context.WithCancel(parent)
	l := &link{
		dev: dev, conn: s.Conn(), stream: s, outbound: outbound,
		in: bufio.NewReaderSize(s, 4<<10),
		up: make(chan struct{}), gone: make(chan struct{}), live: ctx, retired: make(chan struct{}),
		outbox: outbox{
			wake:    make(chan struct{}, 1),
			records: make(map[shoal.DeviceID]*address.Record),
			waiting: make(map[uint64]chan struct{}),
		},
	}
	l.retire = sync.OnceFunc(func() { close(l.retired) })
	l.end = sync.OnceFunc(func() {
		cancel()
		close(l.gone)
	})
	s.heard = l.heard
	l.heard()
	return l
}

// heard notes a sign of life. Real time, not Config.Clock: it measures a pause, it does not date anything.
func (l *link) heard() { l.heardAt.Store(time.Now().UnixNano()) }

// silence is how long nothing was heard.
func (l *link) silence() time.Duration { return time.Since(time.Unix(0, l.heardAt.Load())) }

// isUp tells whether the handshake is over and the link has not ended.
func (l *link) isUp() bool {
	select {
	case <-l.gone:
		return false
	default:
	}
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

func (l *link) send(m *wire.Link) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode link message: %w", err)
	}
	return WriteFrame(l.stream, raw)
}

// greet exchanges hellos: the side that opened the stream speaks first.
func (l *link) greet(ownRun uint64) error {
	hello := &wire.Link{Kind: &wire.Link_Hello{Hello: &wire.Hello{Run: ownRun}}}
	if l.outbound {
		if err := l.send(hello); err != nil {
			return err
		}
	}
	m, err := receiveLink(l.in)
	if err != nil {
		return err
	}
	if l.run = m.GetHello().GetRun(); l.run == 0 {
		return fmt.Errorf("hello: %w", ErrMalformed)
	}
	if !l.outbound {
		return l.send(hello)
	}
	return nil
}

// hearVerdict waits for the word of the device that decides.
func (l *link) hearVerdict() error {
	m, err := receiveLink(l.in)
	if err != nil {
		return err
	}
	switch m.GetVerdict().GetAnswer() {
	case wire.Answer_ANSWER_YES:
		return nil
	case wire.Answer_ANSWER_DUPLICATE:
		return errDuplicate
	case wire.Answer_ANSWER_NOT_ADMITTED:
		return errNotAdmitted
	default:
		return fmt.Errorf("verdict: %w", ErrMalformed)
	}
}

func (l *link) tellVerdict(a wire.Answer) error {
	return l.send(&wire.Link{Kind: &wire.Link_Verdict{Verdict: &wire.Verdict{Answer: a}}})
}

// farewell says no and gives the other side a moment to hear it before the connection is closed: it hangs up by itself.
func (l *link) farewell(a wire.Answer) {
	if l.tellVerdict(a) != nil {
		return
	}
	_ = l.stream.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = l.in.ReadByte()
}

// poke wakes the writer.
func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// tell queues records for the other side; of one device only the last given is sent.
func (l *link) tell(records ...*address.Record) {
	l.outbox.mu.Lock()
	for _, r := range records {
		l.outbox.records[r.Device] = r
	}
	l.outbox.mu.Unlock()
	l.outbox.poke()
}

// tellEntry queues where this side's second host can be entered; nil is nothing to tell.
func (l *link) tellEntry(e *wire.Entry) {
	if e == nil {
		return
	}
	l.outbox.mu.Lock()
	l.outbox.entry = e
	l.outbox.mu.Unlock()
	l.outbox.poke()
}

// probe asks for a sign of life and says whether it came within wait.
func (l *link) probe(ctx context.Context, wait time.Duration) bool {
	o := &l.outbox
	answered := make(chan struct{})
	o.mu.Lock()
	o.pings++
	n := o.pings
	o.ping = n
	o.waiting[n] = answered
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.waiting, n)
		o.mu.Unlock()
	}()
	o.poke()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-answered:
		return true
	case <-timer.C:
	case <-l.gone:
	case <-ctx.Done():
	}
	return false
}

// answered notes a pong. An answer to a later ping counts for all before it: pings may be merged in the outbox.
func (o *outbox) answered(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for asked, ch := range o.waiting {
		if asked <= n {
			close(ch)
			delete(o.waiting, asked)
		}
	}
}

// take empties the outbox into messages.
func (o *outbox) take() []*wire.Link {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*wire.Link
	if o.pong != 0 {
		out = append(out, &wire.Link{Kind: &wire.Link_Pong{Pong: &wire.Ping{Number: o.pong}}})
	}
	if o.ping != 0 {
		out = append(out, &wire.Link{Kind: &wire.Link_Ping{Ping: &wire.Ping{Number: o.ping}}})
	}
	for _, r := range o.records {
		out = append(out, &wire.Link{Kind: &wire.Link_Addresses{Addresses: r.Raw}})
	}
	if o.entry != nil {
		out = append(out, &wire.Link{Kind: &wire.Link_Entry{Entry: o.entry}})
	}
	o.ping, o.pong, o.entry = 0, 0, nil
	clear(o.records)
	return out
}

// write sends what the outbox holds and a heartbeat now and then, until the link or the host ends, or the other side is
// silent for too long. A heartbeat is a ping with number 0; nobody answers it. beat is called before each.
func (l *link) write(heartbeat time.Duration, beat func()) error {
	patience := silentBeats * heartbeat
	beatAt := time.Now().Add(heartbeat)
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	for {
		var msgs []*wire.Link
		select {
		case <-l.live.Done():
			return nil
		case <-l.outbox.wake:
			msgs = l.outbox.take()
		case <-timer.C:
		}
		silence := l.silence()
		if silence >= patience {
			return errSilent
		}
		if !time.Now().Before(beatAt) {
			beat()
			msgs = append(msgs, &wire.Link{Kind: &wire.Link_Ping{Ping: &wire.Ping{}}})
			beatAt = time.Now().Add(heartbeat)
		}
		timer.Reset(min(time.Until(beatAt), patience-silence))
		for _, m := range msgs {
			_ = l.stream.SetWriteDeadline(time.Now().Add(patience))
			if err := l.send(m); err != nil {
				return err
			}
		}
	}
}

// read takes in what the other side says until the link breaks. accept gets each address record that verifies, enter each
// entry.
func (l *link) read(accept func(*address.Record), enter func(*wire.Entry)) error {
	for {
		m, err := receiveLink(l.in)
		if err != nil {
			return err
		}
		switch k := m.Kind.(type) {
		case *wire.Link_Ping:
			if n := k.Ping.GetNumber(); n != 0 {
				l.outbox.mu.Lock()
				l.outbox.pong = n
				l.outbox.mu.Unlock()
				l.outbox.poke()
			}
		case *wire.Link_Pong:
			l.outbox.answered(k.Pong.GetNumber())
		case *wire.Link_Addresses:
			r, err := address.Open(k.Addresses)
			if err != nil {
				return err
			}
			accept(r)
		case *wire.Link_Entry:
			enter(k.Entry)
		case nil: // a kind that a later version added
		default:
			return fmt.Errorf("link message out of turn: %w", ErrMalformed)
		}
	}
}

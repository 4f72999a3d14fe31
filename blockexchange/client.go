package blockexchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/p2p"
)

// Pauses before a stream is opened again.
const (
	firstReopen = 100 * time.Millisecond
	lastReopen  = time.Minute
)

// link keeps one stream open to one peer that is connected.
type link struct {
	peer shoal.DeviceID
	cost Cost

	// guarded by Exchange.mu
	started bool
	cancel  context.CancelFunc // nil until started
	conn    *conn              // nil while no stream is open
	pause   time.Duration      // at least so long before the next stream
	lied    bool               // the last stream ended because what came did not open
}

// conn is one open stream. Its fields but stream are guarded by Exchange.mu.
type conn struct {
	stream p2p.Stream
	last   uint64
	open   map[uint64]Want
	byKey  map[Key]uint64
	outbox fetcherMessage
	bad    map[Key]int   // copies of open wants that this peer, a keeper, sent and that did not open
	wakeup chan struct{} // depth 1
}

func (l *link) start(ctx context.Context, wg *sync.WaitGroup, x *Exchange) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.started = true
	wg.Go(func() { x.keepOpen(ctx, l) })
}

// end stops the link for good. Called with Exchange.mu held.
func (l *link) end() {
	l.started = true // or it would be started yet
	if l.cancel != nil {
		l.cancel()
	}
}

// drop closes the stream; a new one is tried later. Called with Exchange.mu held.
func (l *link) drop(why DropReason, ban time.Duration) {
	l.pause = lastReopen
	if why == Lying {
		l.pause, l.lied = ban, true
	}
	if l.conn != nil {
		// Reset does not block.
		l.conn.stream.Reset()
	}
}

// keepOpen opens a stream again and again until ctx ends.
func (x *Exchange) keepOpen(ctx context.Context, l *link) {
	pause := firstReopen
	for ctx.Err() == nil {
		began := x.cfg.Clock()
		s, err := x.cfg.Host.Open(ctx, l.peer, Protocol)
		if err == nil {
			err = x.converse(ctx, l, s)
		}
		if ctx.Err() != nil {
			return
		}
		x.cfg.Log.Debug("block stream ended", "device", l.peer, "err", err)
		pause = min(2*pause, lastReopen)
		if x.cfg.Clock().Sub(began) > lastReopen {
			pause = firstReopen
		}
		x.mu.Lock()
		wait, lied := max(pause, l.pause), l.lied
		l.pause, l.lied = 0, false
		x.mu.Unlock()
		if lied {
			x.cfg.Effects.LeftOut(l.peer)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// converse runs one stream until it breaks or ctx ends.
func (x *Exchange) converse(ctx context.Context, l *link, s p2p.Stream) error {
	c := &conn{stream: s, open: make(map[uint64]Want), byKey: make(map[Key]uint64), bad: make(map[Key]int), wakeup: make(chan struct{}, 1)}
	x.mu.Lock()
	l.conn = c
	x.stepLocked(PeerUp{Peer: l.peer, Cost: l.cost})
	x.mu.Unlock()

	g, gctx := errgroup.WithContext(ctx)
	unblock := context.AfterFunc(gctx, func() { s.Reset() })
	g.Go(func() error { return x.writeRequests(gctx, c) })
	opening := make(chan sealedBlock)
	g.Go(func() error {
		defer close(opening)
		return x.readAnswers(l.peer, c, opening)
	})
	for range openersPerPeer {
		g.Go(func() error {
			for b := range opening {
				x.open(l.peer, b.want, b.sealed)
				sealedBuffers.put(b.sealed)
			}
			return nil
		})
	}
	err := g.Wait()
	unblock()

	x.mu.Lock()
	if l.conn == c {
		l.conn = nil
	}
	// A new link to the peer, of another cost, may have said PeerUp already.
	if current := x.links[l.peer]; current == nil || current.conn == nil {
		x.stepLocked(PeerDown{Peer: l.peer})
	}
	x.mu.Unlock()
	return errors.Join(err, s.Reset())
}

// request puts wants in the outbox; with bare set, of bareOf them. Called with Exchange.mu held, as are the next three.
func (c *conn) request(wants []Want, bare bool) {
	for _, w := range wants {
		c.last++
		c.open[c.last] = w
		c.byKey[w.Key()] = c.last
		if bare {
			w = bareOf(w)
		}
		c.outbox.questions = append(c.outbox.questions, question{number: c.last, want: w})
	}
	c.poke()
}

// bareOf is what a vault is told of a want: it has no use for more, and must not learn how big a block is without its padding, nor where it is in a file.
func bareOf(w Want) Want { return Want{Folder: w.Folder, Block: w.Block, Epoch: w.Epoch} }

func (c *conn) cancel(keys []Key) {
	for _, k := range keys {
		if n, ok := c.byKey[k]; ok {
			c.outbox.cancel = append(c.outbox.cancel, n)
		}
	}
	c.poke()
}

func (c *conn) poke() {
	select {
	case c.wakeup <- struct{}{}:
	default:
	}
}

// takeOutbox returns what is to be sent, in pieces that a message may hold.
func (c *conn) takeOutbox() (m fetcherMessage, some bool) {
	q, n := &c.outbox.questions, &c.outbox.cancel
	m.questions, *q = split(*q)
	m.cancel, *n = split(*n)
	m.reports, c.outbox.reports = split(c.outbox.reports)
	return m, len(m.questions)+len(m.cancel)+len(m.reports) > 0
}

func split[T any](s []T) (head, rest []T) {
	if len(s) <= maxRequests {
		return s, nil
	}
	return s[:maxRequests], s[maxRequests:]
}

func (x *Exchange) writeRequests(ctx context.Context, c *conn) error {
	for {
		x.mu.Lock()
		m, some := c.takeOutbox()
		x.mu.Unlock()
		if some {
			if err := p2p.WriteFrame(c.stream, encodeFetcher(m)); err != nil {
				return fmt.Errorf("send block requests: %w", err)
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.wakeup:
		}
	}
}

// Opening a big block takes longer than reading it: others do that while the reader goes on. Each holds one.
const (
	openersPerPeer = 2
	openedBeside   = 64 << 10 // a plaintext of more bytes is; smaller ones are opened sooner than handed over
)

// sealedBlock is a block that was read, in a buffer of sealedBuffers.
type sealedBlock struct {
	want   Want
	sealed []byte
}

func (x *Exchange) readAnswers(dev shoal.DeviceID, c *conn, opening chan<- sealedBlock) error {
	r := bufio.NewReaderSize(c.stream, 64<<10)
	var small []byte
	for {
		raw, err := p2p.ReadFrame(r, maxSourceFrame)
		if err != nil {
			return fmt.Errorf("read block answer: %w", err)
		}
		m, err := decodeSource(raw)
		if err != nil {
			return err
		}
		if len(m.have) > 0 {
			x.step(Have{Peer: dev, Keys: m.have})
		}
		if m.answer == nil {
			continue
		}
		w, ok, err := x.takeAnswer(dev, c, m.answer)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if w.Size > openedBeside {
			sealed := slices.Grow(sealedBuffers.get(w.Size), m.answer.size)[:m.answer.size]
			if err := x.readSealed(dev, r, sealed); err != nil {
				sealedBuffers.put(sealed)
				return fmt.Errorf("read sealed block: %w", err)
			}
			opening <- sealedBlock{w, sealed} // they take it as long as this goroutine runs
			continue
		}
		small = slices.Grow(small[:0], m.answer.size)[:m.answer.size]
		if err := x.readSealed(dev, r, small); err != nil {
			return fmt.Errorf("read sealed block: %w", err)
		}
		x.open(dev, w, small)
	}
}

// takeAnswer closes the request that an answer belongs to. It tells whether a sealed block follows.
func (x *Exchange) takeAnswer(dev shoal.DeviceID, c *conn, a *answer) (w Want, follows bool, err error) {
	x.mu.Lock()
	w, asked := c.open[a.number]
	if asked {
		delete(c.open, a.number)
		delete(c.byKey, w.Key())
	}
	x.mu.Unlock()
	if !asked {
		return w, false, fmt.Errorf("answer to request %d, which is not open: %w", a.number, errProtocol)
	}
	switch a.status {
	case statusAbsent:
		x.step(Absent{Peer: dev, Key: w.Key()})
		return w, false, nil
	case statusCancelled:
		x.step(Ended{Peer: dev, Key: w.Key()})
		return w, false, nil
	}
	if a.size > x.answerRoom(dev, &w) {
		return w, false, fmt.Errorf("sealed block of %d bytes for %d: %w", a.size, w.Size, errProtocol)
	}
	return w, true, nil
}

// answerRoom is the most that an answer to w may have. A vault can't tell that what somebody gave it is too big: that is a copy that does
// not open, and no fault of its own.
func (x *Exchange) answerRoom(dev shoal.DeviceID, w *Want) int {
	if x.cfg.Keeper == nil && x.cfg.IsKeeper(dev) {
		return block.MaxSealed
	}
	return w.sealedRoom()
}

// readSealed fills buf. On a slow link it tells the planner now and then that something moves.
func (x *Exchange) readSealed(dev shoal.DeviceID, r io.Reader, buf []byte) error {
	told := x.cfg.Clock()
	for len(buf) > 0 {
		n, err := io.ReadFull(r, buf[:min(len(buf), 64<<10)])
		x.received.Add(int64(n))
		if err != nil {
			return err
		}
		buf = buf[n:]
		if now := x.cfg.Clock(); now.Sub(told) > time.Second {
			told = now
			x.step(Moving{Peer: dev})
		}
	}
	return nil
}

// open opens a sealed block and tells the planner.
func (x *Exchange) open(dev shoal.DeviceID, w Want, sealed []byte) {
	if x.cfg.Keeper != nil {
		x.keep(dev, w, sealed)
		return
	}
	plaintext, err := x.openBlock(w, sealed)
	switch {
	case errors.Is(err, ErrNoKey):
		x.step(Absent{Peer: dev, Key: w.Key()}) // the folder was left meanwhile
	case err != nil:
		x.cfg.Log.Warn("block does not open", "device", dev, "block", w.Block.Short(), "err", err)
		x.cfg.Effects.Spoiled(dev, w)
		x.doesNotOpen(dev, w, sealed)
	case len(plaintext) != int(w.Size):
		// The recipe that the want comes from is wrong, not the source.
		x.cfg.Log.Warn("block has another size", "block", w.Block.Short(), "wanted", w.Size, "got", len(plaintext))
		x.step(Absent{Peer: dev, Key: w.Key()})
	default:
		if x.cfg.IsKeeper(dev) {
			x.cfg.Effects.Proved(dev, w)
		}
		x.arrived(dev, w.Key(), plaintext)
	}
}

// openBlock opens a sealed block into a plainBuffer. Errors: ErrNoKey, *block.CorruptError.
func (x *Exchange) openBlock(w Want, sealed []byte) ([]byte, error) {
	keys := x.cfg.Keys(w.Folder)
	if keys == nil {
		return nil, ErrNoKey
	}
	epoch, ok := keys.Epoch(w.Epoch)
	if !ok {
		return nil, ErrNoKey
	}
	names := &block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}
	return block.Open(plainBuffers.get(w.Size), block.SealKey(epoch.Seal), w.Epoch, names, w.Block, sealed)
}

package blockexchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/p2p"
)

// What serving one peer takes: each worker holds a block and its sealed form, and as many sealed blocks may wait for the
// line: 3 × workers × 1.1 MiB in all, which stays below 16 MiB.
const (
	workersPerPeer = 4
	// maxAbsents is how many "absent" answers a source remembers per peer; the oldest are forgotten. Fetchers ask again by
	// themselves, later.
	maxAbsents = 4096
	// maxStreams is how many streams of one peer are served at once: one, and some that are just ending.
	maxStreams = 3
)

// server answers one stream of one peer.
type server struct {
	x    *Exchange
	peer shoal.DeviceID
	jobs chan question // depth maxOpen: sent by the reader, received by the workers, closed by the reader
	done chan answer   // depth workersPerPeer: sent by the workers, received by the writer, closed when they have ended

	given []Want // the writer's: blocks that a vault is given by what was not flushed yet

	// guarded by Exchange.mu
	open    map[uint64]bool // requests that are not answered; true: cancelled
	looking map[Key]bool    // blocks being looked up or answered; true: NowHave named it meanwhile
	absents absents
	refused refused       // copies that did not open at the peer
	have    []Key         // to be sent
	wakeup  chan struct{} // depth 1: have is not empty
}

// incoming answers a stream that a peer opened.
func (x *Exchange) incoming(ctx context.Context, from shoal.DeviceID, stream p2p.Stream) {
	x.mu.Lock()
	if !x.running || x.streamsOf(from) >= maxStreams {
		x.mu.Unlock()
		_ = stream.Reset()
		return
	}
	x.streams.Add(1)
	x.mu.Unlock()
	defer x.streams.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	x.streams.Go(func() {
		select {
		case <-x.stop:
			cancel()
		case <-over:
		}
	})
	err := x.serve(ctx, from, stream)
	x.cfg.Log.Debug("block stream from peer ended", "device", from, "err", err)
}

// streamsOf counts the streams that a peer is served on. Called with x.mu held.
func (x *Exchange) streamsOf(dev shoal.DeviceID) (n int) {
	for s := range x.serving {
		if s.peer == dev {
			n++
		}
	}
	return n
}

func (x *Exchange) serve(ctx context.Context, from shoal.DeviceID, s p2p.Stream) error {
	srv := &server{
		x: x, peer: from, jobs: make(chan question, maxOpen), done: make(chan answer, workersPerPeer),
		open: make(map[uint64]bool), looking: make(map[Key]bool), wakeup: make(chan struct{}, 1),
	}
	x.mu.Lock()
	x.serving[srv] = struct{}{}
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		delete(x.serving, srv)
		x.mu.Unlock()
	}()

	g, gctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(gctx, func() { s.Reset() })()
	g.Go(func() error { return srv.read(gctx, s) })
	g.Go(func() error {
		workers, wctx := errgroup.WithContext(gctx)
		for range workersPerPeer {
			workers.Go(func() error { return srv.work(wctx) })
		}
		defer close(srv.done)
		return workers.Wait()
	})
	g.Go(func() error { return srv.write(gctx, s) })
	err := g.Wait()
	return errors.Join(err, s.Close())
}

func (s *server) read(ctx context.Context, stream p2p.Stream) error {
	defer close(s.jobs)
	r := bufio.NewReader(stream)
	for {
		raw, err := p2p.ReadFrame(r, maxFetcherFrame)
		if err != nil {
			return fmt.Errorf("read block requests: %w", err)
		}
		m, err := decodeFetcher(raw)
		if err != nil {
			return err
		}
		if err := s.accept(m); err != nil {
			return err
		}
		s.reported(ctx, m.reports)
		for _, q := range m.questions {
			select {
			case s.jobs <- q:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// accept opens and cancels requests. Cancels of requests that are answered already are late, not wrong.
func (s *server) accept(m fetcherMessage) error {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	for _, q := range m.questions {
		if _, twice := s.open[q.number]; twice || len(s.open) >= maxOpen {
			return fmt.Errorf("request %d with %d open: %w", q.number, len(s.open), errProtocol)
		}
		s.open[q.number] = false
	}
	for _, n := range m.cancel {
		if _, open := s.open[n]; open {
			s.open[n] = true
		}
	}
	return nil
}

func (s *server) work(ctx context.Context) error {
	for q := range s.jobs {
		select {
		case s.x.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		a := s.answer(ctx, q)
		<-s.x.slots
		select {
		case s.done <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// answer looks a block up and seals it.
func (s *server) answer(ctx context.Context, q question) answer {
	k := q.want.Key()
	s.x.mu.Lock()
	cancelled := s.open[q.number]
	if !cancelled {
		s.looking[k] = false
	}
	s.x.mu.Unlock()
	a := answer{number: q.number, key: k}
	if cancelled {
		a.status = statusCancelled
		return a
	}
	sealed, err := s.seal(ctx, q.want)
	if err != nil {
		if !errors.Is(err, ErrAbsent) && ctx.Err() == nil {
			s.x.cfg.Log.Warn("cannot serve block", "device", s.peer, "block", k.Block.Short(), "err", err)
		}
		a.status = statusAbsent
		return a
	}
	a.status, a.size, a.sealed, a.want = statusOK, len(sealed), sealed, q.want
	return a
}

// seal looks a block up and seals it. It wraps ErrAbsent when there is none, no key, or no leave.
func (s *server) seal(ctx context.Context, w Want) ([]byte, error) {
	cfg := &s.x.cfg
	if !cfg.Allow(s.peer, w.Folder) {
		return nil, ErrAbsent
	}
	switch {
	case cfg.Keeper != nil:
		return cfg.Keeper.Sealed(ctx, w, s.refuses)
	case w.Node && cfg.Nodes == nil:
		return nil, ErrAbsent
	case w.Node:
		return cfg.Nodes.Node(ctx, w)
	}
	keys := cfg.Keys(w.Folder)
	if keys == nil {
		return nil, ErrAbsent
	}
	epoch, ok := keys.Epoch(w.Epoch)
	if !ok {
		return nil, ErrAbsent
	}
	buf, c := sealedBuffers.get(w.room()), s.compression()
	end := block.PlainOffset + w.room()
	room := buf[block.PlainOffset:end:end]
	if c != block.Off { // what is compressed goes from one place to another
		plain := plainBuffers.get(w.room())
		defer plainBuffers.put(plain)
		room = plain[:w.room():w.room()]
	}
	plaintext, err := cfg.Source.Block(ctx, w, room)
	if err != nil {
		sealedBuffers.put(buf)
		return nil, err
	}
	return block.Seal(buf[:0], block.SealKey(epoch.Seal), w.Epoch, w.Block, plaintext, c, cfg.Rand)
}

// compression of what goes to this peer. The LAN is faster than the compressor; but a vault stores what it gets as it comes, for long, and is given it once.
func (s *server) compression() block.Compression {
	if s.x.cfg.Compression == block.Auto && s.x.cfg.IsKeeper(s.peer) {
		return block.Tight
	}
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	if l := s.x.links[s.peer]; s.x.cfg.Compression == block.Auto && l != nil && l.cost == CostLAN {
		return block.Off
	}
	return s.x.cfg.Compression
}

func (s *server) write(ctx context.Context, stream p2p.Stream) error {
	w := bufio.NewWriterSize(stream, p2p.WriteSize)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wakeup:
			if err := s.writeHave(w); err != nil {
				return err
			}
		case a, ok := <-s.done:
			if !ok {
				err := w.Flush()
				if err == nil {
					s.uploaded()
				}
				return err
			}
			if err := s.writeAnswer(w, a); err != nil {
				return err
			}
		}
		if len(s.done) > 0 && len(s.given) < maxAbsents {
			continue
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("send block answers: %w", err)
		}
		s.uploaded()
	}
}

// uploaded tells which blocks a vault was given. Only now that they have left: else it may get others from somebody else.
func (s *server) uploaded() {
	for _, w := range s.given {
		s.x.cfg.Effects.Proved(s.peer, w)
	}
	s.given = s.given[:0]
}

func (s *server) writeAnswer(w *bufio.Writer, a answer) error {
	// Closed before it is sent: the fetcher may use its place as soon as it has the answer.
	s.x.mu.Lock()
	delete(s.open, a.number)
	s.x.mu.Unlock()
	if err := writeSource(w, sourceMessage{answer: &a}); err != nil {
		return fmt.Errorf("send block: %w", err)
	}
	s.x.sent.Add(int64(len(a.sealed)))
	sealedBuffers.put(a.sealed)
	if a.status == statusOK && !a.want.Node && s.x.cfg.Keeper == nil && s.x.cfg.IsKeeper(s.peer) {
		s.given = append(s.given, a.want)
	}
	s.answered(a)
	return nil
}

// answered remembers an "absent" that was written. Only now, so that a "have" never comes before it.
func (s *server) answered(a answer) {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	cameMeanwhile := s.looking[a.key]
	delete(s.looking, a.key)
	if a.status != statusAbsent {
		return
	}
	s.absents.add(a.key)
	if cameMeanwhile {
		s.nowHave(a.key.Folder, []block.ID{a.key.Block})
	}
}

func (s *server) writeHave(w *bufio.Writer) error {
	s.x.mu.Lock()
	have := s.have
	s.have = nil
	s.x.mu.Unlock()
	for keys := range slices.Chunk(have, haveBatch) {
		if err := writeSource(w, sourceMessage{have: keys}); err != nil {
			return fmt.Errorf("send have: %w", err)
		}
	}
	return nil
}

// nowHave queues notices for blocks that were answered as absent. Called with Exchange.mu held. The queue is bounded by the
// memory of absents: what is in it was taken out there.
func (s *server) nowHave(f shoal.FolderID, ids []block.ID) {
	for _, id := range ids {
		k := Key{Folder: f, Block: id}
		if _, busy := s.looking[k]; busy {
			s.looking[k] = true
		}
		if s.absents.remove(k) && len(s.have) < maxAbsents {
			s.have = append(s.have, k)
		}
	}
	if len(s.have) > 0 {
		select {
		case s.wakeup <- struct{}{}:
		default:
		}
	}
}

// absents remembers the last maxAbsents keys that were added and not removed.
type absents struct {
	keys  map[Key]uint64 // when it was added
	order []Key
	first uint64 // the count of order[0]
}

func (a *absents) add(k Key) {
	if a.keys == nil {
		a.keys = make(map[Key]uint64)
	}
	a.keys[k] = a.first + uint64(len(a.order))
	a.order = append(a.order, k)
	for len(a.order) > maxAbsents {
		if oldest := a.order[0]; a.keys[oldest] == a.first {
			delete(a.keys, oldest)
		}
		a.order = a.order[1:]
		a.first++
	}
}

func (a *absents) remove(k Key) bool {
	_, there := a.keys[k]
	delete(a.keys, k)
	return there
}

package indexexchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p"
)

// Pauses before a stream is opened again.
const (
	firstReopen = 100 * time.Millisecond
	lastReopen  = time.Minute
)

// link keeps a stream to a peer open, where it is for this device to open it. Its fields but peer are guarded by Exchange.mu.
type link struct {
	peer    shoal.DeviceID
	started bool
	cancel  context.CancelFunc // nil until started
}

// start and end are called with Exchange.mu held.
func (l *link) start(ctx context.Context, wg *sync.WaitGroup, x *Exchange) {
	l.started = true
	if x.core.cfg.Device.Compare(l.peer) > 0 {
		return // the peer opens
	}
	ctx, l.cancel = context.WithCancel(ctx)
	wg.Go(func() { x.keepOpen(ctx, l.peer) })
}

func (l *link) end() {
	l.started = true // or it would be started yet
	if l.cancel != nil {
		l.cancel()
	}
}

// keepOpen opens a stream again and again until ctx ends.
func (x *Exchange) keepOpen(ctx context.Context, dev shoal.DeviceID) {
	for pause := firstReopen; ctx.Err() == nil; pause = min(2*pause, lastReopen) {
		began := x.core.cfg.Clock()
		s, err := x.core.cfg.Host.Open(ctx, dev, Protocol)
		if err == nil {
			err = x.converse(ctx, dev, s)
		}
		if ctx.Err() != nil {
			return
		}
		x.log(dev, err)
		if x.core.cfg.Clock().Sub(began) > lastReopen {
			pause = firstReopen
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// converse runs one session over one stream, until either ends or ctx does.
func (x *Exchange) converse(ctx context.Context, dev shoal.DeviceID, stream p2p.Stream) error {
	s := x.core.Connect(dev)
	g, gctx := errgroup.WithContext(ctx)
	// A read or write that waits is ended by the reset.
	unblock := context.AfterFunc(gctx, func() { _ = stream.Reset() })
	defer unblock()
	g.Go(func() error { return readMessages(gctx, s, stream) })
	g.Go(func() error { return writeMessages(gctx, s, stream) })
	err := g.Wait()
	s.Close()
	return errors.Join(err, stream.Reset())
}

// readMessages feeds the session. A message is taken in whole before the next is read, so that a peer that sends faster than
// this device can store is held back by the stream's own flow control.
func readMessages(ctx context.Context, s *Session, stream p2p.Stream) error {
	r := bufio.NewReaderSize(stream, 64<<10)
	for {
		raw, err := p2p.ReadFrame(r, MaxMessage)
		if err != nil {
			return fmt.Errorf("read index message: %w", err)
		}
		if err := s.Receive(ctx, raw); err != nil {
			return err
		}
	}
}

func writeMessages(ctx context.Context, s *Session, stream p2p.Stream) error {
	for {
		frames, err := s.Next(ctx)
		if err != nil {
			return err
		}
		for _, f := range frames {
			if err := p2p.WriteFrame(stream, f); err != nil {
				return fmt.Errorf("send index message: %w", err)
			}
		}
		if len(frames) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.Wakeup():
		}
	}
}

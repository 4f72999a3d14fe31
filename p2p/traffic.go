package p2p

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"
)

// traffic counts the bytes that streams carried since the host was made. Frames of the link itself count, TLS and
// multiplexing do not.
type traffic struct {
	in, out atomic.Int64
	relayed atomic.Int64 // copied between others
}

// stream is a libp2p stream that counts, and tells the link that the other side lives.
type stream struct {
	network.Stream
	count *traffic
	heard func() // called after each successful Read; cheap
	over  func() // called once, at the first Close or Reset; nil: nobody asks
	ended atomic.Bool
}

var _ Stream = (*stream)(nil)

// negotiateWait bounds the agreement on a stream's protocol: one round trip.
const negotiateWait = 10 * time.Second

// openStream opens a stream on conn and agrees on proto with the other side, so that a missing protocol shows here and
// not at the first Read.
func openStream(ctx context.Context, conn network.Conn, proto protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, negotiateWait)
	defer cancel()
	s, err := conn.NewStream(network.WithAllowLimitedConn(ctx, "members use what there is"))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	err = s.SetProtocol(proto)
	if err == nil {
		err = msmux.SelectProtoOrFail(proto, s)
	}
	if !stop() || err != nil {
		_ = s.Reset()
		return nil, errors.Join(ctx.Err(), err)
	}
	return s, nil
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	if n > 0 {
		s.count.in.Add(int64(n))
		s.heard()
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.count.out.Add(int64(n))
	return n, err
}

func (s *stream) Close() error {
	defer s.end()
	return s.Stream.Close()
}

func (s *stream) Reset() error {
	defer s.end()
	return s.Stream.Reset()
}

func (s *stream) end() {
	if s.ended.CompareAndSwap(false, true) && s.over != nil {
		s.over()
	}
}

// finish resets the stream unless it was ended already: a reset after Close would throw away what is still on its way.
func (s *stream) finish() {
	if !s.ended.Load() {
		_ = s.Reset()
	}
}

package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

func TestNothingIsToldWithoutTheProof(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(b *burnt, tr *recoverTranscript) *wire.Recover{
		"another key": func(b *burnt, tr *recoverTranscript) *wire.Recover { return proofOf(tr, newRoot(b.t)) },
		"a device's key": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			return proofOf(tr, b.self.cfg.Identity)
		},
		"another label": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			m := proofOf(tr, b.root)
			m.GetProof().Signature = b.root.Sign("statement", tr.bytes())
			return m
		},
		"made for another device": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			tr.Device = shoal.DeviceID{1}
			return proofOf(tr, b.root)
		},
		"made for another peer": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			tr.Peer = shoal.DeviceID{1}
			return proofOf(tr, b.root)
		},
		"made for another challenge": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			tr.PeerNonce[0] ^= 1
			return proofOf(tr, b.root)
		},
		"made for another hello": func(b *burnt, tr *recoverTranscript) *wire.Recover {
			tr.DeviceNonce[0] ^= 1
			return proofOf(tr, b.root)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBurnt(t)
			s := b.stream(b.self)
			tr := &recoverTranscript{Device: b.self.Device(), Peer: b.peer.Device(), Root: b.root.Device()}
			challenged(t, s, tr)
			if err := s.send(forge(b, tr)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.receive(maxRecoverPart); !errors.Is(err, ErrNoProof) {
				t.Errorf("a proof by %s: %v, want %v", name, err, ErrNoProof)
			}
			if b.kept.wasAsked() != 0 {
				t.Error("the roster was looked for")
			}
		})
	}
}

// A proof is heard once: who has a recording of it, even the device that made it, is challenged anew.
func TestReplayedProofIsWorthNothing(t *testing.T) {
	t.Parallel()
	b := newBurnt(t)
	s := b.stream(b.self)
	tr := &recoverTranscript{Device: b.self.Device(), Peer: b.peer.Device(), Root: b.root.Device()}
	challenged(t, s, tr)
	recorded := proofOf(tr, b.root)
	if err := s.send(recorded); err != nil {
		t.Fatal(err)
	}
	if m, err := s.receive(maxRecoverPart); err != nil || m.GetRoster() == nil {
		t.Fatalf("a good proof: %v", err)
	}
	_ = s.Conn().Close()
	again := b.stream(b.self)
	challenged(t, again, &recoverTranscript{DeviceNonce: tr.DeviceNonce})
	if err := again.send(recorded); err != nil {
		t.Fatal(err)
	}
	if _, err := again.receive(maxRecoverPart); !errors.Is(err, ErrNoProof) {
		t.Errorf("a replayed proof: %v, want %v", err, ErrNoProof)
	}
}

// Somebody in between passes everything on, but has to use a key of its own on both sides.
func TestRelayedProofIsWorthNothing(t *testing.T) {
	t.Parallel()
	b := newBurnt(t)
	between := b.host(nil)
	outcome := make(chan error, 1)
	between.serveFirst(func(s *recoverStream) {
		onward := b.stream(between)
		m, err := s.receive(maxRecoverFrame) // hello
		if err == nil {
			err = onward.send(m)
		}
		if err == nil {
			m, err = onward.receive(maxRecoverFrame) // challenge
		}
		if err == nil {
			err = s.send(m)
		}
		if err == nil {
			m, err = s.receive(maxRecoverFrame) // proof
		}
		if err == nil {
			err = onward.send(m)
		}
		if err == nil {
			_, err = onward.receive(maxRecoverPart)
		}
		outcome <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // ends with ctx
		_, _, _ = b.self.Recover(ctx, b.recovery(between.Addrs()[0]))
	}()
	select {
	case err := <-outcome:
		if !errors.Is(err, ErrNoProof) {
			t.Errorf("a relayed proof: %v, want %v", err, ErrNoProof)
		}
	case <-time.After(patience):
		t.Fatal("nobody came")
	}
	if b.kept.wasAsked() != 0 {
		t.Error("the roster was looked for")
	}
}

// serveFirst serves the first recovery stream by hand.
func (h *testHost) serveFirst(serve func(*recoverStream)) {
	h.gate.recovering.Store(true)
	var once sync.Once
	h.Host.net.SetStreamHandler(recoverProtocol, handlerOf(h, func(s *recoverStream) { once.Do(func() { serve(s) }) }))
}

func TestBrokenRecoveriesDisturbNobody(t *testing.T) {
	t.Parallel()
	hello := framed(t, helloOf(&recoverTranscript{}))
	for name, sent := range map[string][]byte{
		"giant frame":       binary.AppendUvarint(nil, 1<<40),
		"too large a frame": binary.AppendUvarint(nil, maxRecoverFrame+1),
		"garbage":           {3, 0xff, 0xff, 0xff},
		"empty":             {0},
		"short nonce":       framed(t, &wire.Recover{Kind: &wire.Recover_Hello{Hello: &wire.RecoverNonce{Nonce: []byte("x")}}}),
		"proof first":       framed(t, proofOf(&recoverTranscript{}, newRoot(t))),
		"admission first":   framed(t, &wire.Recover{Kind: &wire.Recover_Admission{Admission: &wire.RecoverStatements{Last: true}}}),
		"giant second":      append(bytes.Clone(hello), binary.AppendUvarint(nil, 1<<40)...),
		"hello twice":       append(bytes.Clone(hello), hello...),
		"nothing":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBurnt(t)
			s := b.stream(b.self)
			if _, err := s.Write(sent); err != nil {
				t.Fatal(err)
			}
			_ = s.CloseWrite()
			_ = s.SetReadDeadline(time.Now().Add(patience))
			rest, err := io.ReadAll(s)
			if isTimeout(err) || len(rest) > 2*maxRecoverFrame {
				t.Errorf("%d bytes came back, %v", len(rest), err)
			}
			if b.kept.wasAsked() != 0 {
				t.Error("the roster was looked for")
			}
			good := b.host(nil)
			if _, _, err := good.Recover(t.Context(), b.recovery(b.peer.Addrs()[0])); err != nil {
				t.Errorf("and then somebody with the words: %v", err)
			}
		})
	}
}

func TestHostilePeerGetsNothingToHold(t *testing.T) {
	t.Parallel()
	challenge := &wire.Recover{Kind: &wire.Recover_Challenge{Challenge: &wire.RecoverNonce{Nonce: make([]byte, 32)}}}
	roster := func(last bool, statements ...[]byte) *wire.Recover {
		return &wire.Recover{Kind: &wire.Recover_Roster{Roster: &wire.RecoverStatements{Statements: statements, Last: last}}}
	}
	for name, answers := range map[string][][]byte{
		"giant challenge":        {binary.AppendUvarint(nil, 1<<40)},
		"roster at once":         {framed(t, roster(true, []byte("x")))},
		"giant roster":           {framed(t, challenge), binary.AppendUvarint(nil, 1<<40)},
		"statement too large":    {framed(t, challenge), framed(t, roster(true, make([]byte, mesh.MaxStatementBytes+1)))},
		"too many statements":    {framed(t, challenge), framed(t, roster(true, bytes.SplitAfter(make([]byte, maxRecoverCount+1), []byte{0})...))},
		"parts without end":      {framed(t, challenge), framed(t, roster(false))},
		"no admission is wanted": {framed(t, challenge), framed(t, &wire.Recover{Kind: &wire.Recover_Done{Done: &wire.RecoverDone{}}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBurnt(t)
			rogue := b.host(nil)
			rogue.gate.recovering.Store(true)
			rogue.Host.net.SetStreamHandler(recoverProtocol, handlerOf(rogue, func(s *recoverStream) {
				_, _ = s.receive(maxRecoverFrame)
				for _, a := range answers {
					_, _ = s.Write(a)
				}
				_, _ = s.receive(maxRecoverFrame)
				_, _ = s.receive(maxRecoverFrame)
			}))
			r := b.recovery(rogue.Addrs()[0])
			r.Admit = func([][]byte) ([][]byte, error) { t.Error("the roster was used"); return nil, nil }
			if _, _, err := b.self.Recover(t.Context(), r); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v, want %v", err, ErrMalformed)
			}
		})
	}
}

func TestStrangerGetsNoOtherProtocol(t *testing.T) {
	t.Parallel()
	b := newBurnt(t)
	s := b.stream(b.self)
	raw, err := openStream(t.Context(), s.Conn(), echoProtocol)
	if err != nil {
		return // refused outright
	}
	_, _ = raw.Write([]byte("hello"))
	_ = raw.SetReadDeadline(time.Now().Add(patience))
	if n, err := raw.Read(make([]byte, 5)); n > 0 || err == nil || isTimeout(err) {
		t.Errorf("a stranger talks to a handler: %d bytes, %v", n, err)
	}
}

func TestStrangersStayOutWhereNothingIsRecovered(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, stranger := n.host(nil), n.host(nil)
	stranger.LearnAddrs(a.Device(), a.Addrs())
	defer stranger.gate.join(a.Device())()
	conn, err := stranger.dial(t.Context(), a.Device())
	if err == nil {
		_, err = openStream(t.Context(), conn, recoverProtocol)
	}
	if err == nil {
		t.Error("a stranger gets a stream")
	}
}

// handlerOf serves streams of the recovery protocol by hand.
func handlerOf(h *testHost, serve func(*recoverStream)) func(network.Stream) {
	return func(raw network.Stream) {
		if !h.enter() {
			_ = raw.Reset()
			return
		}
		defer h.leave()
		s := newRecoverStream(raw, &h.count)
		defer s.finish()
		defer context.AfterFunc(h.life, func() { _ = raw.Reset() })()
		serve(s)
	}
}

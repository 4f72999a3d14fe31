package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

func newRoot(t testing.TB) *mesh.Root {
	t.Helper()
	entropy := make([]byte, 32)
	_, _ = rand.Read(entropy)
	words, err := mesh.NewPhrase(entropy)
	if err != nil {
		t.Fatal(err)
	}
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// keeper is a RecoverySource with one mesh of opaque statements.
type keeper struct {
	root   shoal.DeviceID
	roster [][]byte
	fail   error

	mu    sync.Mutex // guards all below
	asked int
	taken [][]byte
}

var _ RecoverySource = (*keeper)(nil)

func (k *keeper) Roster(root shoal.DeviceID) ([][]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return k.roster, root == k.root
}

func (k *keeper) Take(_ context.Context, _ shoal.DeviceID, statements [][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken = append(k.taken, statements...)
	return k.fail
}

func (k *keeper) wasAsked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// burnt is a mesh of which one peer is left, and somebody with the words.
type burnt struct {
	*testNet
	root *mesh.Root
	kept *keeper
	peer *testHost // the one that is left
	self *testHost // nobody knows it
}

func newBurnt(t testing.TB) *burnt {
	t.Helper()
	b := &burnt{testNet: newTestNet(t), root: newRoot(t)}
	b.kept = &keeper{root: b.root.Device(), roster: [][]byte{[]byte("genesis"), []byte("epoch")}}
	b.peer = b.host(nil, func(h *Host) { h.ServeRecovery(b.kept) }, echo)
	b.self = b.host(nil)
	return b
}

func (b *burnt) recovery(addr string) Recovery {
	return Recovery{Addr: addr, Root: b.root, Admit: func(roster [][]byte) ([][]byte, error) {
		return append([][]byte{[]byte("admission after")}, roster...), nil
	}}
}

// stream opens a recovery stream by hand, as the recovering device or somebody who plays it.
func (b *burnt) stream(from *testHost) *recoverStream {
	b.t.Helper()
	from.LearnAddrs(b.peer.Device(), b.peer.Addrs())
	b.t.Cleanup(from.gate.join(b.peer.Device()))
	conn, err := from.dial(b.t.Context(), b.peer.Device())
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := openStream(b.t.Context(), conn, recoverProtocol)
	if err != nil {
		b.t.Fatal(err)
	}
	return newRecoverStream(raw, &from.count)
}

func helloOf(t *recoverTranscript) *wire.Recover {
	return &wire.Recover{Kind: &wire.Recover_Hello{Hello: &wire.RecoverNonce{Nonce: t.DeviceNonce[:]}}}
}

func proofOf(t *recoverTranscript, root rootKey) *wire.Recover {
	return &wire.Recover{Kind: &wire.Recover_Proof{Proof: &wire.RecoverProof{Root: t.Root[:], Signature: root.Sign(recoverLabel, t.bytes())}}}
}

// challenged sends a hello and notes the challenge.
func challenged(t testing.TB, s *recoverStream, tr *recoverTranscript) {
	t.Helper()
	if err := s.send(helloOf(tr)); err != nil {
		t.Fatal(err)
	}
	m, err := s.receive(maxRecoverFrame)
	if err != nil {
		t.Fatal(err)
	}
	copy(tr.PeerNonce[:], m.GetChallenge().GetNonce())
}

func TestWordsBringTheRosterFromAPeerThatKnowsThemNot(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]func(b *burnt) string{
		"full address":   func(b *burnt) string { return b.peer.Addrs()[0] },
		"without device": func(b *burnt) string { bare, _, _ := strings.Cut(b.peer.Addrs()[0], "/p2p/"); return bare },
		"host and port":  func(b *burnt) string { return b.peer.tcpAddr() },
		"a name":         func(b *burnt) string { return strings.Replace(b.peer.tcpAddr(), "127.0.0.1", "localhost", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBurnt(t)
			peer, addr, err := b.self.Recover(t.Context(), b.recovery(address(b)))
			if err != nil || peer != b.peer.Device() || !strings.Contains(addr, "/tcp/") {
				t.Fatalf("%s at %s, %v", peer, addr, err)
			}
			if got := fmt.Sprintf("%s", b.kept.taken); got != "[admission after genesis epoch]" {
				t.Errorf("the peer was given %s", got)
			}
		})
	}
}

func TestRosterOfAnySizeComesWhole(t *testing.T) {
	t.Parallel()
	b := newBurnt(t)
	b.kept.roster = nil
	for i := range 3000 {
		b.kept.roster = append(b.kept.roster, binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	for range 40 {
		b.kept.roster = append(b.kept.roster, make([]byte, mesh.MaxStatementBytes))
	}
	var got [][]byte
	r := b.recovery(b.peer.Addrs()[0])
	r.Admit = func(roster [][]byte) ([][]byte, error) { got = roster; return nil, nil }
	if _, _, err := b.self.Recover(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.Join(got, nil), bytes.Join(b.kept.roster, nil)) || len(got) != len(b.kept.roster) {
		t.Errorf("%d statements came, %d were sent", len(got), len(b.kept.roster))
	}
}

func TestRecoverSaysWhyItEnded(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		spoil func(b *burnt, r *Recovery)
		want  error
	}{
		"other words":      {func(b *burnt, r *Recovery) { r.Root = newRoot(b.t) }, ErrUnknownMesh},
		"not taken":        {func(b *burnt, r *Recovery) { b.kept.fail = errors.New("full") }, ErrNotTaken},
		"no address":       {func(b *burnt, r *Recovery) { r.Addr = "home" }, ErrAddress},
		"QUIC, no device":  {func(b *burnt, r *Recovery) { r.Addr = "/ip4/127.0.0.1/udp/4001/quic-v1" }, ErrAddress},
		"own error":        {func(b *burnt, r *Recovery) { r.Admit = func([][]byte) ([][]byte, error) { return nil, mine } }, mine},
		"own error, lying": {func(b *burnt, r *Recovery) { r.Admit = func([][]byte) ([][]byte, error) { return nil, io.EOF } }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBurnt(t)
			r := b.recovery(b.peer.Addrs()[0])
			c.spoil(b, &r)
			if _, _, err := b.self.Recover(t.Context(), r); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

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

func TestRecoveriesArePaced(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := pace{left: recoverBurst, at: now}
	taken := 0
	for p.take(now) {
		taken++
	}
	if taken != recoverBurst {
		t.Errorf("%d at once, want %d", taken, recoverBurst)
	}
	if now = now.Add(recoverPause); !p.take(now) || p.take(now) {
		t.Error("not one more after the pause")
	}
	if now = now.Add(-time.Hour); p.take(now) {
		t.Error("a clock that was set back gives more")
	}
	if now = now.Add(recoverPause); !p.take(now) {
		t.Error("a clock that was set back stops everything")
	}
	now = now.Add(1000 * time.Hour)
	for taken = 0; p.take(now); taken++ {
	}
	if taken != recoverBurst {
		t.Errorf("%d at once after a long pause, want %d", taken, recoverBurst)
	}
}

// Golden vectors: transcript, signature.
func TestGoldenRecoverProof(t *testing.T) {
	t.Parallel()
	entropy := make([]byte, 32)
	words, _ := mesh.NewPhrase(entropy)
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		t.Fatal(err)
	}
	tr := &recoverTranscript{Device: shoal.DeviceID{1}, Peer: shoal.DeviceID{2}, Root: root.Device(), DeviceNonce: [32]byte{3}, PeerNonce: [32]byte{4}}
	raw, err := os.ReadFile("testdata/recover.txt")
	if err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var transcript, signature []byte
		if _, err := fmt.Sscanf(f[1]+" "+f[2], "%x %x", &transcript, &signature); err != nil {
			t.Fatal(err)
		}
		holds := mesh.Verify(root.Device(), recoverLabel, transcript, signature)
		if f[0] == "valid" {
			valid++
			if !holds || !bytes.Equal(transcript, tr.bytes()) || !bytes.Equal(signature, root.Sign(recoverLabel, transcript)) {
				t.Errorf("the transcript is %x, signed %x", tr.bytes(), root.Sign(recoverLabel, tr.bytes()))
			}
			continue
		}
		invalid++
		if holds {
			t.Errorf("a bad signature holds: %s", line)
		}
	}
	if valid != 1 || invalid < 2 {
		t.Errorf("%d valid vectors, %d invalid ones; by this code: %x %x", valid, invalid, tr.bytes(), root.Sign(recoverLabel, tr.bytes()))
	}
}

func FuzzReceiveRecover(f *testing.F) {
	for _, m := range []*wire.Recover{
		helloOf(&recoverTranscript{}), proofOf(&recoverTranscript{}, newRoot(f)),
		{Kind: &wire.Recover_Roster{Roster: &wire.RecoverStatements{Statements: [][]byte{[]byte("x")}, Last: true}}},
		{Kind: &wire.Recover_Refusal{Refusal: &wire.RecoverRefusal{Reason: 9}}},
	} {
		f.Add(framed(f, m))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := receiveRecover(bytes.NewReader(raw), maxRecoverPart)
		if err != nil {
			return
		}
		if validateRecover(m) != nil || m.Kind == nil {
			t.Fatalf("accepted %v", m)
		}
		again, err := proto.Marshal(m)
		if err != nil || len(again) > maxRecoverPart {
			t.Fatalf("encodes to %d bytes, %v", len(again), err)
		}
	})
}

func FuzzParsePeer(f *testing.F) {
	for _, s := range []string{"192.0.2.7:4001", "[::1]:4001", "nas.example:4001", "/ip4/192.0.2.7/tcp/4001", "/ip4/192.0.2.7/udp/4001/quic-v1/p2p/x", "x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dev, bare, err := parsePeer(s)
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Fatalf("%v is not ErrAddress", err)
			}
			return
		}
		if again, same, err := parsePeer(bare.String()); dev == (shoal.DeviceID{}) && (err != nil || again != dev || !same.Equal(bare)) {
			t.Fatalf("%q becomes %s, and that %s, %v", s, bare, same, err)
		}
	})
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

package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

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

package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// RecoverySource keeps the meshes that can be recovered from a host: a device its own, a vault those of its tenants. Its methods are called
// from several goroutines.
type RecoverySource interface {
	// Roster returns all statements of the mesh of a root, each after what it names; false when it is not kept here. The caller does
	// not change the slices. It is called only for who has proved to hold the root.
	Roster(root shoal.DeviceID) (statements [][]byte, known bool)
	// Take adds statements that the holder of a root gave. When it returns nil they are durable, and the gate answers by them.
	Take(ctx context.Context, root shoal.DeviceID, statements [][]byte) error
}

const (
	// maxRecoveries is how many recoveries may be served at once.
	maxRecoveries = 4
	// Challenges are given out this often, and so many at once after a pause: each may cost the check of a signature.
	recoverPause = 250 * time.Millisecond
	recoverBurst = 16
)

// ServeRecovery lets the holder of a mesh's root, whom the gate does not know, get its roster from source and put itself in. Strangers may connect
// from then on, a few at a time and for seconds, and are told nothing without the proof. Call it once, before Run.
func (h *Host) ServeRecovery(source RecoverySource) {
	d := &recoveryDesk{h: h, source: source, turns: make(chan struct{}, maxRecoveries), pace: pace{left: recoverBurst, at: h.cfg.Clock()}}
	h.gate.recovering.Store(true)
	h.net.SetStreamHandler(recoverProtocol, d.accept)
}

// recoveryDesk serves those who recover. Safe for concurrent use.
type recoveryDesk struct {
	h      *Host
	source RecoverySource
	turns  chan struct{} // holds a token for each that is served
	pace   pace
}

// pace says how often something may begin.
type pace struct {
	mu   sync.Mutex // guards all below
	left int        // how many may begin at once
	at   time.Time  // when left was last counted
}

// take tells whether one more may begin.
func (p *pace) take(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if more := now.Sub(p.at) / recoverPause; more > 0 {
		p.left, p.at = min(recoverBurst, p.left+int(min(more, recoverBurst))), now
	} else if more < 0 {
		p.at = now // the clock was set back
	}
	if p.left == 0 {
		return false
	}
	p.left--
	return true
}

// accept serves one stream and then ends the connection: it is good for nothing else.
func (d *recoveryDesk) accept(raw network.Stream) {
	if !d.h.enter() {
		_ = raw.Reset()
		return
	}
	defer d.h.leave()
	s := newRecoverStream(raw, &d.h.count)
	defer s.finish()
	dev, ok := address.FromPeer(raw.Conn().RemotePeer())
	if !ok {
		return
	}
	defer d.h.idle.use(raw.Conn())()
	defer context.AfterFunc(d.h.life, func() { _ = raw.Reset() })()
	reason, err := d.serve(s, dev)
	if err != nil {
		d.h.log.Info("recovery ended", "device", dev.String(), "err", err)
	}
	if reason != 0 {
		_ = s.send(&wire.Recover{Kind: &wire.Recover_Refusal{Refusal: &wire.RecoverRefusal{Reason: reason}}})
	}
	if reason != 0 || err == nil {
		s.parting()
	}
	if d.h.links.on(raw.Conn()) == nil {
		_ = raw.Conn().Close()
	}
}

// parting waits until the other side hangs up, so that the last word is not overtaken by the end of the connection.
func (s *recoverStream) parting() {
	_ = s.CloseWrite()
	_ = s.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = s.in.ReadByte()
	_ = s.Close()
}

// serve runs the peer's side of the protocol: hello, challenge, proof, roster, admission, done. A reason other than 0 is to be told.
func (d *recoveryDesk) serve(s *recoverStream, dev shoal.DeviceID) (wire.RecoverReason, error) {
	select {
	case d.turns <- struct{}{}:
		defer func() { <-d.turns }()
	default:
		return wire.RecoverReason_RECOVER_REASON_BUSY, errRecoverBusy
	}
	if !d.pace.take(d.h.cfg.Clock()) {
		return wire.RecoverReason_RECOVER_REASON_BUSY, errRecoverBusy
	}
	root, err := d.checkProof(s, dev)
	switch {
	case errors.Is(err, ErrNoProof):
		return wire.RecoverReason_RECOVER_REASON_NO_PROOF, err
	case errors.Is(err, ErrMalformed):
		return wire.RecoverReason_RECOVER_REASON_MALFORMED, err
	case err != nil:
		return 0, err
	}
	roster, known := d.source.Roster(root)
	if !known {
		return wire.RecoverReason_RECOVER_REASON_UNKNOWN_MESH, ErrUnknownMesh
	}
	d.h.log.Warn("the holder of the recovery phrase takes the roster", "device", dev.String(), "address", s.Conn().RemoteMultiaddr().String())
	if err := s.sendStatements(roster, func(p *wire.RecoverStatements) *wire.Recover {
		return &wire.Recover{Kind: &wire.Recover_Roster{Roster: p}}
	}); err != nil {
		return 0, err
	}
	admission, err := s.receiveStatements((*wire.Recover).GetAdmission, maxRecoverAdmission)
	if errors.Is(err, ErrMalformed) {
		return wire.RecoverReason_RECOVER_REASON_MALFORMED, err
	}
	if err != nil {
		return 0, err
	}
	if err := d.source.Take(d.h.life, root, admission); err != nil {
		return wire.RecoverReason_RECOVER_REASON_NOT_TAKEN, fmt.Errorf("take the admission: %w", err)
	}
	return 0, s.send(&wire.Recover{Kind: &wire.Recover_Done{Done: &wire.RecoverDone{}}})
}

// checkProof challenges the other side and returns the root whose key it holds.
func (d *recoveryDesk) checkProof(s *recoverStream, dev shoal.DeviceID) (root shoal.DeviceID, err error) {
	t := recoverTranscript{Device: dev, Peer: d.h.self}
	m, err := s.receiveSoon()
	if err != nil {
		return root, err
	}
	if m.GetHello() == nil {
		return root, fmt.Errorf("hello: %w", ErrMalformed)
	}
	copy(t.DeviceNonce[:], m.GetHello().Nonce)
	if err := freshNonce(d.h.cfg.Rand, &t.PeerNonce); err != nil {
		return root, err
	}
	if err := s.send(&wire.Recover{Kind: &wire.Recover_Challenge{Challenge: &wire.RecoverNonce{Nonce: t.PeerNonce[:]}}}); err != nil {
		return root, err
	}
	if m, err = s.receiveSoon(); err != nil {
		return root, err
	}
	proof := m.GetProof()
	if proof == nil {
		return root, fmt.Errorf("proof: %w", ErrMalformed)
	}
	copy(t.Root[:], proof.Root)
	if !mesh.Verify(t.Root, recoverLabel, t.bytes(), proof.Signature) {
		return root, ErrNoProof
	}
	return t.Root, nil
}

// receiveSoon waits for a message that needs no work: whoever has proved nothing yet must be quick.
func (s *recoverStream) receiveSoon() (*wire.Recover, error) {
	_ = s.SetReadDeadline(time.Now().Add(recoverHurry))
	return receiveRecover(s.in, maxRecoverFrame)
}

// recoverHurry bounds the wait for a message of somebody who has proved nothing yet.
const recoverHurry = 10 * time.Second

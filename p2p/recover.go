package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/redial"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Errors of Recover: answers of the peer.
var (
	// ErrUnknownMesh: the peer keeps no mesh of that root: the words or the address are those of another one.
	ErrUnknownMesh = errors.New("the peer knows no mesh of these words")
	// ErrNoProof: the peer did not accept the proof.
	ErrNoProof = errors.New("the peer did not accept the proof of the words")
	// ErrNotTaken: the peer could not take in what was signed with the root's key.
	ErrNotTaken = errors.New("the peer could not admit this device")
	// ErrAddress: this is no address to recover from.
	ErrAddress = errors.New("not an address of a device")
)

// rootKey is what Recover needs of a mesh's root.
type rootKey interface {
	// Device returns the root's public key.
	Device() shoal.DeviceID
	// Sign signs msg under a label.
	Sign(label string, msg []byte) []byte
}

// Recovery says how Recover gets a mesh back.
type Recovery struct {
	// Addr is a device or vault of the mesh: a multiaddr, with or without /p2p/, or host:port for TCP. Without /p2p/ whoever
	// answers there is taken for it: it gets nothing but a proof that is good for itself, and what it gives proves itself.
	Addr string
	// Root is the root of the mesh.
	Root rootKey
	// Admit gets the mesh's statements, each after what it names, and returns those, by the root, with which this device is in. Its error ends
	// Recover. It may be called again when the connection broke, then with a roster that may hold what it made the first time.
	Admit func(roster [][]byte) (admission [][]byte, err error)
	// Progress is told in plain words what is going on, from the goroutine of Recover; nil for nobody.
	Progress func(string)
}

// Recover gets the roster of a mesh from one of its devices or vaults, which knows this device not, by the proof that this
// device holds the mesh's root, and gives it the statements that let this device in. The host need not Run yet. It returns who the peer was,
// and its address.
//
// Errors: ErrAddress; ErrUnknownMesh, ErrNoProof, ErrNotTaken, ErrMalformed; ErrUnreachable (nobody answered for 30 s); ErrClosed; what
// Admit or ctx say.
func (h *Host) Recover(ctx context.Context, r Recovery) (peer shoal.DeviceID, addr string, err error) {
	if !h.enter() {
		return peer, "", ErrClosed
	}
	defer h.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	peer, a, err := parsePeer(r.Addr)
	if err != nil {
		return peer, "", err
	}
	if err := h.recoverFrom(ctx, &r, &peer, a); err != nil {
		return peer, "", h.closedErr(err)
	}
	return peer, a.String(), nil
}

// recoverFrom tries until there is an answer, or nobody was there for reachWait. It finds out who the peer is when that is not known.
func (h *Host) recoverFrom(ctx context.Context, r *Recovery, peer *shoal.DeviceID, a ma.Multiaddr) error {
	lastSeen, told := time.Now(), false
	for failures := 1; ; failures++ {
		if !told {
			r.Progress("connecting to " + a.String())
		}
		told = true
		reached, err := h.tryRecover(ctx, r, peer, a)
		var mine *admitError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &mine):
			return mine.err
		case isRecoverAnswer(err):
			return err
		}
		h.log.Debug("recover", "device", peer.String(), "err", err)
		if reached {
			lastSeen, failures = time.Now(), 1
		}
		if time.Since(lastSeen) >= reachWait {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if err := sleep(ctx, min(redial.Pause(failures, 0), 3*time.Second)); err != nil {
			return err
		}
	}
}

// isRecoverAnswer tells whether an error is an answer that trying again would not change.
func isRecoverAnswer(err error) bool {
	for _, answer := range []error{ErrUnknownMesh, ErrNoProof, ErrNotTaken, ErrMalformed, ErrAddress} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// admitError is an error of Recovery.Admit, whatever that wraps.
type admitError struct{ err error }

func (e *admitError) Error() string { return e.err.Error() }

// tryRecover connects once and runs the protocol; reached says whether the peer spoke it.
func (h *Host) tryRecover(ctx context.Context, r *Recovery, peer *shoal.DeviceID, a ma.Multiaddr) (reached bool, err error) {
	if *peer == (shoal.DeviceID{}) {
		if *peer, err = whoIs(ctx, a); err != nil {
			return false, err
		}
	}
	h.book.Learn(*peer, []ma.Multiaddr{a})
	defer h.gate.join(*peer)()
	conn, err := h.dial(ctx, *peer)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // links are made over connections that both gates have let through
	raw, err := openStream(ctx, conn, recoverProtocol)
	if err != nil {
		return false, err
	}
	s := newRecoverStream(raw, &h.count)
	defer context.AfterFunc(ctx, func() { _ = raw.Reset() })()
	defer s.finish()
	if err := h.proveRoot(s, *peer, r); err != nil {
		return true, err
	}
	return true, s.Close()
}

// proveRoot runs the recovering device's side of the protocol.
func (h *Host) proveRoot(s *recoverStream, peer shoal.DeviceID, r *Recovery) error {
	t := recoverTranscript{Device: h.self, Peer: peer, Root: r.Root.Device()}
	if err := freshNonce(h.cfg.Rand, &t.DeviceNonce); err != nil {
		return err
	}
	if err := s.send(&wire.Recover{Kind: &wire.Recover_Hello{Hello: &wire.RecoverNonce{Nonce: t.DeviceNonce[:]}}}); err != nil {
		return err
	}
	m, err := s.receive(maxRecoverFrame)
	if err != nil {
		return err
	}
	if m.GetChallenge() == nil {
		return fmt.Errorf("challenge: %w", ErrMalformed)
	}
	copy(t.PeerNonce[:], m.GetChallenge().Nonce)
	proof := &wire.RecoverProof{Root: t.Root[:], Signature: r.Root.Sign(recoverLabel, t.bytes())}
	if err := s.send(&wire.Recover{Kind: &wire.Recover_Proof{Proof: proof}}); err != nil {
		return err
	}
	roster, err := s.receiveStatements((*wire.Recover).GetRoster, maxRecoverRoster)
	if err != nil {
		return err
	}
	r.Progress("the peer has accepted the words")
	admission, err := r.Admit(roster)
	if err != nil {
		return &admitError{err}
	}
	if err := s.sendStatements(admission, func(p *wire.RecoverStatements) *wire.Recover {
		return &wire.Recover{Kind: &wire.Recover_Admission{Admission: p}}
	}); err != nil {
		return err
	}
	m, err = s.receive(maxRecoverFrame)
	if err == nil && m.GetDone() == nil {
		err = fmt.Errorf("done: %w", ErrMalformed)
	}
	return err
}

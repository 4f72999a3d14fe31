package p2p

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	recoverProtocol = "/shoal/recover/1"
	recoverLabel    = "recover"
	// recoverStep bounds the wait for one message.
	recoverStep = 20 * time.Second
	// recoverAdmitStep is how long the device may take to make its admission, and the peer to take it in.
	recoverAdmitStep = 2 * time.Minute
	// maxRecoverFrame bounds every frame without statements.
	maxRecoverFrame = 256
	// maxRecoverPart bounds a frame with statements, and maxRecoverCount their number.
	maxRecoverPart  = 1 << 20
	maxRecoverCount = 1024
	// fullPart is how many bytes of statements a sender puts in a frame before it begins another one.
	fullPart = maxRecoverPart - mesh.MaxStatementBytes - 8<<10
	// maxRecoverRoster and maxRecoverAdmission bound the statements in each direction, in bytes.
	maxRecoverRoster    = mesh.MaxRosterBytes + 64<<20
	maxRecoverAdmission = 64 << 20

	recoverNonceBytes     = 32
	recoverRootBytes      = 32
	recoverSignatureBytes = 64
)

// recoverTranscript is what the root signs: who asks whom for which mesh, in this very exchange. The device IDs are those of the TLS
// handshake, so a proof is worth nothing on another connection, and nothing to somebody in between.
type recoverTranscript struct {
	Device, Peer, Root     shoal.DeviceID
	DeviceNonce, PeerNonce [recoverNonceBytes]byte
}

// bytes are the fields in order; each has a fixed length.
func (t *recoverTranscript) bytes() []byte {
	b := make([]byte, 0, 5*32)
	b = append(b, t.Device[:]...)
	b = append(b, t.Peer[:]...)
	b = append(b, t.Root[:]...)
	b = append(b, t.DeviceNonce[:]...)
	return append(b, t.PeerNonce[:]...)
}

func freshNonce(rand io.Reader, nonce *[recoverNonceBytes]byte) error {
	if _, err := io.ReadFull(rand, nonce[:]); err != nil {
		return fmt.Errorf("read randomness for nonce: %w", err)
	}
	return nil
}

// errRecoverBusy: too many recover at once, or too often. Trying again helps.
var errRecoverBusy = errors.New("the peer is busy with other recoveries")

// recoverRefusals maps the reasons on the wire to errors, one to one.
var recoverRefusals = map[wire.RecoverReason]error{
	wire.RecoverReason_RECOVER_REASON_NO_PROOF:     ErrNoProof,
	wire.RecoverReason_RECOVER_REASON_UNKNOWN_MESH: ErrUnknownMesh,
	wire.RecoverReason_RECOVER_REASON_NOT_TAKEN:    ErrNotTaken,
	wire.RecoverReason_RECOVER_REASON_MALFORMED:    ErrMalformed,
	wire.RecoverReason_RECOVER_REASON_BUSY:         errRecoverBusy,
}

// recoverStream carries the frames of one recovery with a deadline for each.
type recoverStream struct {
	*stream
	in *bufio.Reader
}

func newRecoverStream(raw network.Stream, count *traffic) *recoverStream {
	s := &stream{Stream: raw, count: count, heard: func() {}}
	return &recoverStream{stream: s, in: bufio.NewReaderSize(s, 4<<10)}
}

func (s *recoverStream) send(m *wire.Recover) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode recovery message: %w", err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(recoverStep)) // an error shows at the Write
	return WriteFrame(s, raw)
}

func (s *recoverStream) receive(max int) (*wire.Recover, error) {
	_ = s.SetReadDeadline(time.Now().Add(recoverAdmitStep))
	return receiveRecover(s.in, max)
}

// sendStatements sends statements in frames of bounded size, the last of which says so.
func (s *recoverStream) sendStatements(list [][]byte, frame func(*wire.RecoverStatements) *wire.Recover) error {
	for {
		n, size := 0, 0
		for n < len(list) && n < maxRecoverCount && size+len(list[n]) <= fullPart {
			size += len(list[n])
			n++
		}
		if n == 0 && len(list) > 0 {
			return fmt.Errorf("statement of %d bytes: %w", len(list[0]), ErrMalformed)
		}
		part := &wire.RecoverStatements{Statements: list[:n], Last: n == len(list)}
		if err := s.send(frame(part)); err != nil || part.Last {
			return err
		}
		list = list[n:]
	}
}

// receiveStatements is the other end of sendStatements; max bounds the bytes of all.
func (s *recoverStream) receiveStatements(kind func(*wire.Recover) *wire.RecoverStatements, max int) ([][]byte, error) {
	var all [][]byte
	size := 0
	for {
		m, err := s.receive(maxRecoverPart)
		if err != nil {
			return nil, err
		}
		part := kind(m)
		if part == nil || len(part.Statements) == 0 && !part.Last {
			return nil, fmt.Errorf("statements: %w", ErrMalformed)
		}
		for _, st := range part.Statements {
			size += len(st)
		}
		if size > max {
			return nil, fmt.Errorf("statements of more than %d bytes: %w", max, ErrMalformed)
		}
		all = append(all, part.Statements...)
		if part.Last {
			return all, nil
		}
	}
}

// receiveRecover reads and validates one message of at most max bytes; a refusal comes back as its error.
func receiveRecover(r io.Reader, max int) (*wire.Recover, error) {
	raw, err := ReadFrame(r, max)
	if errors.Is(err, ErrFrameTooLarge) || errors.Is(err, ErrMalformedFrame) {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err != nil {
		return nil, err
	}
	m := new(wire.Recover)
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("recovery message: %w", ErrMalformed)
	}
	if r := m.GetRefusal(); r != nil {
		if err, ok := recoverRefusals[r.Reason]; ok {
			return nil, err
		}
		return nil, fmt.Errorf("refused for reason %d: %w", r.Reason, ErrNotTaken)
	}
	return m, validateRecover(m)
}

// validateRecover states the lengths.
func validateRecover(m *wire.Recover) error {
	ok := true
	switch k := m.Kind.(type) {
	case *wire.Recover_Hello:
		ok = len(k.Hello.GetNonce()) == recoverNonceBytes
	case *wire.Recover_Challenge:
		ok = len(k.Challenge.GetNonce()) == recoverNonceBytes
	case *wire.Recover_Proof:
		ok = len(k.Proof.GetRoot()) == recoverRootBytes && len(k.Proof.GetSignature()) == recoverSignatureBytes
	case *wire.Recover_Roster:
		ok = validStatements(k.Roster)
	case *wire.Recover_Admission:
		ok = validStatements(k.Admission)
	case *wire.Recover_Done:
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("recovery message %T: %w", m.Kind, ErrMalformed)
	}
	return nil
}

func validStatements(p *wire.RecoverStatements) bool {
	if len(p.GetStatements()) > maxRecoverCount {
		return false
	}
	for _, st := range p.GetStatements() {
		if len(st) == 0 || len(st) > mesh.MaxStatementBytes {
			return false
		}
	}
	return true
}

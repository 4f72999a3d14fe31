package p2p

import (
	"bufio"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	pairProtocol = "/shoal/pair/1"
	// pairStep bounds the wait for one message that needs no person.
	pairStep = 20 * time.Second
	// maxGuestName and maxGuestHPKE bound what a guest says of itself.
	maxGuestName = 64
	maxGuestHPKE = 4 << 10
)

// Guest is a device that asks for admission. Name and HPKE are its own words, covered by the proof of the secret.
type Guest struct {
	Device  shoal.DeviceID
	HPKE    []byte    // its HPKE public key, 1 to 4,096 bytes
	Name    string    // 1 to 64 bytes of printable UTF-8
	Role    mesh.Role // what the invite gives
	Via     string    // "ticket" or "code"
	Address string    // where it came from
}

// The ways to prove an invite's secret: Guest.Via.
const (
	ViaTicket = "ticket"
	ViaCode   = "code"
)

// validateSelf checks what a guest says of itself.
func (g Guest) validateSelf() error {
	if len(g.HPKE) == 0 || len(g.HPKE) > maxGuestHPKE {
		return fmt.Errorf("guest with an HPKE key of %d bytes: %w", len(g.HPKE), ErrMalformed)
	}
	if g.Name == "" || len(g.Name) > maxGuestName || !utf8.ValidString(g.Name) {
		return fmt.Errorf("guest with a name of %d bytes: %w", len(g.Name), ErrMalformed)
	}
	for _, r := range g.Name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("guest name %q: %w", g.Name, ErrMalformed)
		}
	}
	return nil
}

// pairStream carries pairing frames with a deadline for each.
type pairStream struct {
	*stream
	in *bufio.Reader
}

func newPairStream(raw network.Stream, count *traffic) *pairStream {
	s := &stream{Stream: raw, count: count, heard: func() {}}
	return &pairStream{stream: s, in: bufio.NewReaderSize(s, 4<<10)}
}

func (s *pairStream) send(m *wire.Pair, wait time.Duration) error {
	raw, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode pairing message: %w", err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(wait)) // an error shows at the Write
	return WriteFrame(s, raw)
}

// receive waits for one message; wait 0 means for as long as the connection holds. A refusal of the other side comes
// back as its error.
func (s *pairStream) receive(max int, wait time.Duration) (*wire.Pair, error) {
	var until time.Time
	if wait > 0 {
		until = time.Now().Add(wait)
	}
	_ = s.SetReadDeadline(until)
	return receivePair(s.in, max)
}

// errBusy: this guest is being served on another of its connections, perhaps a dead one. Trying again helps.
var errBusy = errors.New("the inviter is still busy with an earlier try of this device")

// refusals maps the reasons on the wire to errors, one to one.
var refusals = map[wire.Reason]error{
	wire.Reason_REASON_WRONG_CODE:   ErrWrongCode,
	wire.Reason_REASON_EXPIRED:      ErrExpired,
	wire.Reason_REASON_USED:         ErrUsed,
	wire.Reason_REASON_DENIED:       ErrDenied,
	wire.Reason_REASON_NOT_ADMITTED: ErrNotAdmitted,
	wire.Reason_REASON_MALFORMED:    ErrMalformed,
	wire.Reason_REASON_BUSY:         errBusy,
}

func refusalError(r wire.Reason) error {
	if err, ok := refusals[r]; ok {
		return err
	}
	return fmt.Errorf("refused for reason %d: %w", r, ErrNotAdmitted)
}

func (s *pairStream) refuse(r wire.Reason) {
	// The guest may be gone; it learns the reason when it asks again.
	_ = s.send(&wire.Pair{Kind: &wire.Pair_Refusal{Refusal: &wire.Refusal{Reason: r}}}, pairStep)
	_ = s.CloseWrite()
	// Wait until the guest hangs up, so that the reason is not overtaken by the end of the connection.
	_, _ = s.receive(maxPairFrame, pairStep)
}

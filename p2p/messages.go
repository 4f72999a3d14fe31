package p2p

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// maxLinkFrame bounds a frame on a link: the biggest is an address record.
	maxLinkFrame = address.MaxRecordBytes + 256
	// maxPairFrame bounds every pairing frame but the welcome.
	maxPairFrame = 32 << 10
	// maxWelcome bounds what an admitter gives the guest: a roster of a large mesh.
	maxWelcome = 64 << 20
	// confirmationBytes is the length of a proof.
	confirmationBytes = 32
)

// receiveLink reads and validates one link message. A kind that a later version added comes back with Kind nil.
func receiveLink(r io.Reader) (*wire.Link, error) {
	raw, err := ReadFrame(r, maxLinkFrame)
	if err != nil {
		return nil, err
	}
	m := new(wire.Link)
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("link message: %w", ErrMalformed)
	}
	return m, validateLink(m)
}

// validateLink states the ranges. Address records are checked by address.Open.
func validateLink(m *wire.Link) error {
	switch k := m.Kind.(type) {
	case *wire.Link_Hello:
		if k.Hello.GetRun() == 0 {
			return fmt.Errorf("hello without run: %w", ErrMalformed)
		}
	case *wire.Link_Verdict:
		if a := k.Verdict.GetAnswer(); a < wire.Answer_ANSWER_YES || a > wire.Answer_ANSWER_NOT_ADMITTED {
			return fmt.Errorf("verdict %d: %w", a, ErrMalformed)
		}
	}
	return nil
}

// receivePair reads and validates one pairing message of at most max bytes; a refusal comes back as its error.
func receivePair(r io.Reader, max int) (*wire.Pair, error) {
	raw, err := ReadFrame(r, max)
	if err != nil {
		return nil, err
	}
	m := new(wire.Pair)
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("pairing message: %w", ErrMalformed)
	}
	if r := m.GetRefusal(); r != nil {
		return nil, refusalError(r.Reason)
	}
	return m, validatePair(m)
}

// validatePair states the lengths and ranges.
func validatePair(m *wire.Pair) error {
	ok := true
	switch k := m.Kind.(type) {
	case *wire.Pair_Begin:
		ok = validBegin(k.Begin)
	case *wire.Pair_Offer:
		o := k.Offer
		ok = len(o.GetMesh()) == 32 && o.GetRole() <= 255 && mesh.Role(o.GetRole()).Validate() == nil && len(o.GetPake()) <= invite.MaxPake
	case *wire.Pair_Proof:
		ok = len(k.Proof.GetConfirmation()) == confirmationBytes
	case *wire.Pair_Accept:
		ok = len(k.Accept.GetConfirmation()) == confirmationBytes
	}
	if !ok {
		return fmt.Errorf("pairing message %T: %w", m.Kind, ErrMalformed)
	}
	return nil
}

// validBegin holds the two shapes of a Begin.
func validBegin(b *wire.Begin) bool {
	ticket := len(b.GetInvite()) == 16 && b.GetNameplate() == 0 && len(b.GetPake()) == 0
	code := len(b.GetInvite()) == 0 && b.GetNameplate() >= 1 && b.GetNameplate() <= invite.MaxPlate &&
		len(b.GetPake()) > 0 && len(b.GetPake()) <= invite.MaxPake
	return ticket || code
}

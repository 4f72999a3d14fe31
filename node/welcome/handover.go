package welcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// Protocol is the one on which an owner's device hands its mesh to a vault that waits for one.
const Protocol = "/shoal/handover/1"

// Bounds of what travels, in bytes.
const (
	MaxOffer  = 8 << 10
	maxAnswer = 4 << 10
	maxHPKE   = 4 << 10
)

var errMalformed = errors.New("malformed")

// Offer is what a vault without a mesh tells who has proved the secret of its ticket: what is needed to admit it.
type Offer struct {
	Name string `json:"name"`
	HPKE []byte `json:"hpke"`
}

// Validate refuses what no vault says of itself.
func (o *Offer) Validate() error {
	if err := mesh.ValidateName(o.Name); err != nil {
		return err
	}
	if len(o.HPKE) == 0 || len(o.HPKE) > maxHPKE {
		return fmt.Errorf("HPKE key of %d bytes: %w", len(o.HPKE), errMalformed)
	}
	return nil
}

// ParseOffer reads an offer. Errors: it makes no sense.
func ParseOffer(raw []byte) (Offer, error) {
	var o Offer
	if len(raw) > MaxOffer {
		return o, fmt.Errorf("offer of %d bytes: %w", len(raw), errMalformed)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return o, fmt.Errorf("read the vault's offer: %w", err)
	}
	if _, more := dec.Token(); !errors.Is(more, io.EOF) {
		return o, fmt.Errorf("something follows the offer: %w", errMalformed)
	}
	return o, o.Validate()
}

// answer is the vault's last word.
type answer struct {
	Refused string `json:"refused"` // empty: it keeps the mesh from now on
}

// RefusedError is a vault's no, in its own words.
type RefusedError struct{ Reason string }

// Error returns the reason.
func (e *RefusedError) Error() string { return "the vault says: " + e.Reason }

// Give hands an encoded welcome over and waits until the vault has made it durable. The caller sets the deadline, and closes s. Errors: *RefusedError;
// the stream's.
func Give(s p2p.Stream, welcome []byte) error {
	if err := p2p.WriteFrame(s, welcome); err != nil {
		return err
	}
	raw, err := p2p.ReadFrame(s, maxAnswer)
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("read the vault's answer: %w", err)
	}
	if a.Refused != "" {
		return &RefusedError{Reason: printable(a.Refused)}
	}
	return nil
}

// printable keeps what may be shown on a terminal.
func printable(text string) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, []byte(text)))
}

// Take reads a welcome from the device that gives it, has keep make it durable, and answers. An error of keep is told to the other side, too.
func Take(s p2p.Stream, keep func(Welcome, *mesh.Roster) error) error {
	raw, err := p2p.ReadFrame(s, MaxSize)
	if err != nil {
		return err
	}
	w, r, err := Parse(raw)
	if err == nil {
		err = keep(w, r)
	}
	var a answer
	if err != nil {
		if a.Refused = err.Error(); len(a.Refused) > maxAnswer/2 {
			a.Refused = a.Refused[:maxAnswer/2]
		}
	}
	reply, encoded := json.Marshal(&a)
	if encoded != nil {
		return errors.Join(err, encoded)
	}
	return errors.Join(err, p2p.WriteFrame(s, reply))
}

// ForVault checks that a roster makes the device self a vault of a mesh, and was given by an owner of it.
func ForVault(r *mesh.Roster, self, giver shoal.DeviceID) error {
	state := r.State()
	if d, known := state.Device(giver); !known || d.Revoked || d.Role != mesh.RoleOwner {
		return errors.New("the roster was not given by an owner of the mesh")
	}
	if d, known := state.Device(self); !known || d.Revoked || d.Role != mesh.RoleVault {
		return errors.New("the roster does not admit this vault")
	}
	return nil
}

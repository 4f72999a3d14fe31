package address

import (
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// label is the signing label of address records.
	label = "addresses"
	// MaxRecordBytes bounds an encoded, signed address record.
	MaxRecordBytes = 8 << 10
)

// Record is what one device says about where it listens. Immutable.
type Record struct {
	// covered by the signature
	Device shoal.DeviceID
	TimeMS int64 // unix milliseconds by the device's clock; newest wins
	Addrs  []ma.Multiaddr

	Raw *wire.Signed // the bytes as they travelled: these are passed on
}

// Validate states the limits: a device, a time, at most MaxAddrs addresses of the dialed shape without names.
func (r *Record) Validate() error {
	if err := r.Device.Validate(); err != nil {
		return fmt.Errorf("address record: %w", ErrMalformed)
	}
	if r.TimeMS <= 0 {
		return fmt.Errorf("address record without time: %w", ErrMalformed)
	}
	if len(r.Addrs) > MaxAddrs {
		return fmt.Errorf("address record with %d addresses: %w", len(r.Addrs), ErrMalformed)
	}
	for _, a := range r.Addrs {
		if err := Check(a, false); err != nil {
			return err
		}
	}
	return nil
}

// Sign makes this device's own record.
func Sign(id *mesh.Identity, timeMS int64, addrs []ma.Multiaddr) (*Record, error) {
	r := &Record{Device: id.Device(), TimeMS: timeMS, Addrs: addrs}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	body := &wire.Addresses{Device: r.Device[:], TimeMs: timeMS}
	for _, a := range addrs {
		body.Addrs = append(body.Addrs, a.Bytes())
	}
	raw, err := proto.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode address record: %w", err)
	}
	r.Raw = &wire.Signed{Body: raw, Signature: id.Sign(label, raw)}
	return r, nil
}

// Open checks form and signature of a record that came from anywhere. Errors: ErrMalformed, ErrForged.
func Open(s *wire.Signed) (*Record, error) {
	if len(s.GetBody()) > MaxRecordBytes || len(s.GetSignature()) != 64 {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	var body wire.Addresses
	if err := proto.Unmarshal(s.Body, &body); err != nil {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	r := &Record{TimeMS: body.TimeMs, Raw: &wire.Signed{Body: s.Body, Signature: s.Signature}}
	if len(body.Device) != len(r.Device) || len(body.Addrs) > MaxAddrs {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	copy(r.Device[:], body.Device)
	for _, raw := range body.Addrs {
		a, err := Decode(raw)
		if err != nil {
			return nil, err
		}
		r.Addrs = append(r.Addrs, a)
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if !mesh.Verify(r.Device, label, s.Body, s.Signature) {
		return nil, fmt.Errorf("address record of %s: %w", r.Device.Short(), ErrForged)
	}
	return r, nil
}

// Encode is the form in which a record stands alone, in a file.
func Encode(r *Record) ([]byte, error) { return proto.Marshal(r.Raw) }

// DecodeRecord is the inverse of Encode; it verifies.
func DecodeRecord(raw []byte) (*Record, error) {
	if len(raw) > MaxRecordBytes+128 {
		return nil, fmt.Errorf("address record of %d bytes: %w", len(raw), ErrMalformed)
	}
	var s wire.Signed
	if err := proto.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	return Open(&s)
}

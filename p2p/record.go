package p2p

import (
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// addressLabel is the signing label of address records.
	addressLabel = "addresses"
	// maxRecordBytes bounds an encoded, signed address record.
	maxRecordBytes = 8 << 10
)

// addressRecord is what one device says about where it listens. Immutable.
type addressRecord struct {
	// covered by the signature
	device shoal.DeviceID
	timeMS int64 // unix milliseconds by the device's clock; newest wins
	addrs  []ma.Multiaddr

	raw *wire.Signed // the bytes as they travelled: these are passed on
}

// Validate states the limits: a device, a time, at most maxAddrs addresses of the dialed shape without names.
func (r *addressRecord) Validate() error {
	if err := r.device.Validate(); err != nil {
		return fmt.Errorf("address record: %w", ErrMalformed)
	}
	if r.timeMS <= 0 {
		return fmt.Errorf("address record without time: %w", ErrMalformed)
	}
	if len(r.addrs) > maxAddrs {
		return fmt.Errorf("address record with %d addresses: %w", len(r.addrs), ErrMalformed)
	}
	for _, a := range r.addrs {
		if err := checkAddr(a, false); err != nil {
			return err
		}
	}
	return nil
}

// signRecord makes this device's own record.
func signRecord(id *mesh.Identity, timeMS int64, addrs []ma.Multiaddr) (*addressRecord, error) {
	r := &addressRecord{device: id.Device(), timeMS: timeMS, addrs: addrs}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	body := &wire.Addresses{Device: r.device[:], TimeMs: timeMS}
	for _, a := range addrs {
		body.Addrs = append(body.Addrs, a.Bytes())
	}
	raw, err := proto.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode address record: %w", err)
	}
	r.raw = &wire.Signed{Body: raw, Signature: id.Sign(addressLabel, raw)}
	return r, nil
}

// openRecord checks form and signature of a record that came from anywhere. Errors: ErrMalformed, ErrForged.
func openRecord(s *wire.Signed) (*addressRecord, error) {
	if len(s.GetBody()) > maxRecordBytes || len(s.GetSignature()) != 64 {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	var body wire.Addresses
	if err := proto.Unmarshal(s.Body, &body); err != nil {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	r := &addressRecord{timeMS: body.TimeMs, raw: &wire.Signed{Body: s.Body, Signature: s.Signature}}
	if len(body.Device) != len(r.device) || len(body.Addrs) > maxAddrs {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	copy(r.device[:], body.Device)
	for _, raw := range body.Addrs {
		a, err := decodeAddr(raw)
		if err != nil {
			return nil, err
		}
		r.addrs = append(r.addrs, a)
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if !mesh.Verify(r.device, addressLabel, s.Body, s.Signature) {
		return nil, fmt.Errorf("address record of %s: %w", r.device.Short(), ErrForged)
	}
	return r, nil
}

// encodeRecord is the form in which a record stands alone, in a file.
func encodeRecord(r *addressRecord) ([]byte, error) { return proto.Marshal(r.raw) }

// decodeRecord is the inverse of encodeRecord; it verifies.
func decodeRecord(raw []byte) (*addressRecord, error) {
	if len(raw) > maxRecordBytes+128 {
		return nil, fmt.Errorf("address record of %d bytes: %w", len(raw), ErrMalformed)
	}
	var s wire.Signed
	if err := proto.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("address record: %w", ErrMalformed)
	}
	return openRecord(&s)
}

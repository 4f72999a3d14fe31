package rendezvous

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/crypto/chacha20poly1305"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// The layout of a record: version, day, time, nonce, sealed sighting, signature.
const (
	// RecordBytes is the length of every record.
	RecordBytes = 2048
	version     = 1
	atDay       = 1
	atTime      = atDay + 4
	atNonce     = atTime + 8
	atSealed    = atNonce + chacha20poly1305.NonceSizeX
	atSignature = RecordBytes - ed25519.SignatureSize
	plainBytes  = atSignature - atSealed - chacha20poly1305.Overhead
	// maxSighting bounds the encoded, signed sighting: what is left after its length.
	maxSighting = plainBytes - 2

	// MaxNote bounds the note of the layer above.
	MaxNote = 1024
	// MaxAddrs bounds the addresses in a sighting; the last are left out when it grows too long.
	MaxAddrs = 12

	// recordPrefix is signed before the record by its own key, sightingLabel names the device's signature.
	recordPrefix  = "shoal/rendezvous/v1\x00"
	sightingLabel = "sighting"
)

// Sighting is what a record tells those who have the secret.
type Sighting struct {
	Device shoal.DeviceID
	TimeMS int64 // unix milliseconds by the device's clock; newest wins
	Addrs  []ma.Multiaddr
	Note   []byte // at most MaxNote bytes
}

// Validate states the limits.
func (s *Sighting) Validate() error {
	if s.Device.Validate() != nil || s.TimeMS <= 0 || len(s.Addrs) > MaxAddrs || len(s.Note) > MaxNote {
		return fmt.Errorf("sighting: %w", ErrMalformed)
	}
	for _, a := range s.Addrs {
		if address.Check(a, false) != nil {
			return fmt.Errorf("sighting: address %s: %w", a, ErrMalformed)
		}
	}
	return nil
}

// Seal makes the record of this device. Addresses that do not fit are left out, the last first.
func Seal(id *mesh.Identity, k Key, s Sighting, rand io.Reader) ([]byte, error) {
	s.Device = id.Device()
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if k.Device != s.Device || !timeFits(k.Day, s.TimeMS) {
		return nil, fmt.Errorf("sighting for another key: %w", ErrMalformed)
	}
	signed, err := sign(id, k, s)
	for err == nil && len(signed) > maxSighting && len(s.Addrs) > 0 {
		s.Addrs = s.Addrs[:len(s.Addrs)-1]
		signed, err = sign(id, k, s)
	}
	if err != nil || len(signed) > maxSighting {
		return nil, fmt.Errorf("sighting of %d bytes: %w", len(signed), errOr(err, ErrMalformed))
	}
	plain := make([]byte, plainBytes)
	binary.BigEndian.PutUint16(plain, uint16(len(signed)))
	copy(plain[2:], signed)
	out := make([]byte, atSealed, RecordBytes)
	out[0] = version
	binary.BigEndian.PutUint32(out[atDay:], uint32(k.Day))
	binary.BigEndian.PutUint64(out[atTime:], uint64(s.TimeMS))
	if _, err := io.ReadFull(rand, out[atNonce:atSealed]); err != nil {
		return nil, fmt.Errorf("nonce of rendezvous record: %w", err)
	}
	box, err := chacha20poly1305.NewX(k.seal[:])
	if err != nil {
		return nil, fmt.Errorf("seal rendezvous record: %w", err)
	}
	out = box.Seal(out, out[atNonce:atSealed], plain, bound(out, k.Name))
	return append(out, ed25519.Sign(k.sign, append([]byte(recordPrefix), out...))...), nil
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// bound is what the seal is bound to: the clear part, and where the record is.
func bound(record []byte, n Name) []byte {
	return append(append([]byte(recordPrefix), record[:atNonce]...), n[:]...)
}

func sign(id *mesh.Identity, k Key, s Sighting) ([]byte, error) {
	body := &wire.Sighting{Device: s.Device[:], Name: k.Name[:], Day: uint32(k.Day), TimeMs: s.TimeMS, Note: s.Note}
	for _, a := range s.Addrs {
		body.Addrs = append(body.Addrs, a.Bytes())
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode sighting: %w", err)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&wire.Signed{Body: raw, Signature: id.Sign(sightingLabel, raw)})
}

// timeFits tells whether a record of that day may have been made at that time: on the day, the one before, or the one
// after, because clocks differ.
func timeFits(day Day, timeMS int64) bool {
	at := time.UnixMilli(timeMS)
	return timeMS > 0 && at.After(day.start().Add(-24*time.Hour)) && at.Before(day.start().Add(48*time.Hour))
}

// Open reads a record. Errors: ErrMalformed, ErrForged.
func Open(k Key, record []byte) (*Sighting, error) {
	if err := check(k.Name, record); err != nil {
		return nil, err
	}
	if Day(binary.BigEndian.Uint32(record[atDay:])) != k.Day {
		return nil, fmt.Errorf("rendezvous record: %w", ErrStale)
	}
	box, err := chacha20poly1305.NewX(k.seal[:])
	if err != nil {
		return nil, fmt.Errorf("open rendezvous record: %w", err)
	}
	plain, err := box.Open(nil, record[atNonce:atSealed], record[atSealed:atSignature], bound(record, k.Name))
	if err != nil {
		return nil, fmt.Errorf("rendezvous record: %w", ErrForged)
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n > maxSighting {
		return nil, fmt.Errorf("sighting of %d bytes: %w", n, ErrMalformed)
	}
	for _, b := range plain[2+n:] {
		if b != 0 {
			return nil, fmt.Errorf("padding of rendezvous record: %w", ErrMalformed)
		}
	}
	s, err := openSighting(k, plain[2:2+n])
	if err == nil && uint64(s.TimeMS) != binary.BigEndian.Uint64(record[atTime:]) {
		return nil, fmt.Errorf("sighting of another time: %w", ErrMalformed)
	}
	return s, err
}

func openSighting(k Key, raw []byte) (*Sighting, error) {
	var signed wire.Signed
	var body wire.Sighting
	if proto.Unmarshal(raw, &signed) != nil || proto.Unmarshal(signed.GetBody(), &body) != nil {
		return nil, fmt.Errorf("sighting: %w", ErrMalformed)
	}
	// The secret is common to all devices: without this signature each could speak for the others.
	if !mesh.Verify(k.Device, sightingLabel, signed.GetBody(), signed.GetSignature()) {
		return nil, fmt.Errorf("sighting of %s: %w", k.Device.Short(), ErrForged)
	}
	if string(body.GetDevice()) != string(k.Device[:]) || string(body.GetName()) != string(k.Name[:]) || body.GetDay() != uint32(k.Day) {
		return nil, fmt.Errorf("sighting for another record: %w", ErrForged)
	}
	s := &Sighting{Device: k.Device, TimeMS: body.GetTimeMs(), Note: body.GetNote()}
	if len(body.GetAddrs()) > MaxAddrs {
		return nil, fmt.Errorf("sighting with %d addresses: %w", len(body.GetAddrs()), ErrMalformed)
	}
	for _, b := range body.GetAddrs() {
		a, err := address.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("sighting: %w", ErrMalformed)
		}
		s.Addrs = append(s.Addrs, a)
	}
	return s, s.Validate()
}

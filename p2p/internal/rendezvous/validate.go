package rendezvous

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	record "github.com/libp2p/go-libp2p-record"
)

// check is what everybody can tell of a record without any secret, the day by the clock apart.
func check(n Name, raw []byte) error {
	if len(raw) != RecordBytes || raw[0] != version {
		return fmt.Errorf("rendezvous record of %d bytes: %w", len(raw), ErrMalformed)
	}
	day, at := Day(binary.BigEndian.Uint32(raw[atDay:])), binary.BigEndian.Uint64(raw[atTime:])
	if at > 1<<62 || !timeFits(day, int64(at)) {
		return fmt.Errorf("time of rendezvous record: %w", ErrMalformed)
	}
	if !ed25519.Verify(n[:], append([]byte(recordPrefix), raw[:atSignature]...), raw[atSignature:]) {
		return fmt.Errorf("rendezvous record: %w", ErrForged)
	}
	return nil
}

// validator is what members of the hash table ask of records that they keep, pass on or are given.
type validator struct{ clock func() time.Time }

var _ record.Validator = validator{}

// Validate implements record.Validator: a record of today, or of the day before or after, because clocks differ.
func (v validator) Validate(path string, raw []byte) error {
	n, err := ParsePath(path)
	if err != nil {
		return err
	}
	if len(raw) != RecordBytes {
		return fmt.Errorf("rendezvous record of %d bytes: %w", len(raw), ErrMalformed)
	}
	day, today := int64(binary.BigEndian.Uint32(raw[atDay:])), int64(DayOf(v.clock()))
	if day < today-1 || day > today+1 {
		return fmt.Errorf("rendezvous record of day %d on day %d: %w", day, today, ErrStale)
	}
	return check(n, raw) // last: it is what costs
}

// Select implements record.Validator: the newest; of two of one time the one whose bytes are higher.
func (validator) Select(_ string, records [][]byte) (int, error) {
	best := -1
	for i, r := range records {
		if len(r) == RecordBytes && (best < 0 || newer(r, records[best])) {
			best = i
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("no rendezvous record: %w", ErrMalformed)
	}
	return best, nil
}

func newer(a, b []byte) bool {
	x, y := binary.BigEndian.Uint64(a[atTime:]), binary.BigEndian.Uint64(b[atTime:])
	return x > y || x == y && bytes.Compare(a, b) > 0
}

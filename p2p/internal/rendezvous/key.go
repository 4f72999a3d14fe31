package rendezvous

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// The BLAKE3 derive-key contexts of records. Each is used for one purpose and never changes.
const (
	contextSign     = "shoal 2026-11-22 p2p rendezvous record key v1" // secret ‖ device ‖ day → Ed25519 seed
	contextSeal     = "shoal 2026-11-22 p2p rendezvous seal key v1"   // secret ‖ device ‖ day → XChaCha20-Poly1305 key
	contextProvider = "shoal 2026-11-22 p2p provider key v1"          // root → what is announced for it
)

// Secret is the rendezvous key of an epoch of the mesh.
type Secret [32]byte

// Day counts days since 1970-01-01, UTC.
type Day uint32

// DayOf is the day of a time; times before 1970 count as day 0.
func DayOf(t time.Time) Day { return Day(max(0, t.Unix()) / 86400) }

func (d Day) start() time.Time { return time.Unix(int64(d)*86400, 0) }

// Name is the public key under which a record is kept.
type Name [32]byte

// namePrefix begins the keys of records in the hash table.
const namePrefix = "/shoal/"

// Path is the key in the hash table.
func (n Name) Path() string { return namePrefix + string(n[:]) }

// ParsePath is the inverse of Path.
func ParsePath(path string) (n Name, err error) {
	raw, ok := strings.CutPrefix(path, namePrefix)
	if !ok || len(raw) != len(n) {
		return n, fmt.Errorf("name of %d bytes: %w", len(path), ErrMalformed)
	}
	copy(n[:], raw)
	return n, nil
}

// Key is what is needed to make and read the record of one device on one day under one secret.
type Key struct {
	Device shoal.DeviceID
	Day    Day
	Name   Name

	sign ed25519.PrivateKey
	seal [32]byte
}

// NewKey derives the key of a record.
func NewKey(s Secret, dev shoal.DeviceID, day Day) Key {
	material := make([]byte, 0, len(s)+len(dev)+4)
	material = append(material, s[:]...)
	material = append(material, dev[:]...)
	material = binary.BigEndian.AppendUint32(material, uint32(day))
	k := Key{Device: dev, Day: day}
	var seed [32]byte
	blake3.DeriveKey(contextSign, material, seed[:])
	blake3.DeriveKey(contextSeal, material, k.seal[:])
	k.sign = ed25519.NewKeyFromSeed(seed[:])
	copy(k.Name[:], k.sign[32:]) // the second half of a private key is the public one (RFC 8032, 5.1.5)
	return k
}

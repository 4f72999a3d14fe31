// Package shoal is the front door of Shoal: the words that every package shares.
//
// Shoal keeps the files of one person, a family or a team the same on all their devices, keeps old versions, and
// has no company in the middle. The whole system in one page:
//
//   - A device is one installation with an Ed25519 identity; the devices that trust each other form a mesh, written
//     down in a roster of signed statements (package mesh).
//   - A folder is what is synced as one unit. What a device does to a path becomes a record in its journal; a signed
//     head says how far the journal reaches and what its live records hash to (package index).
//   - The content of files is cut into blocks, named by a keyed hash and sealed before it leaves a device (package block).
//   - Every entry carries a version vector. The entries of one path of which none descends from another are siblings;
//     a pure function picks the winner and names the conflict copies (package conflict).
//   - Devices compare frontiers and send each other what is missing: records in package indexexchange, blocks in
//     package blockexchange, both over the libp2p host of package p2p.
//   - Package folder sees what changed on one disk and brings the disk to what the index wants.
//   - Package node is one running device; cmd/shoal is the program.
//
// Lower packages know nothing of higher ones; a test holds that. This package imports nothing of ours.
package shoal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mr-tron/base58"
)

// ErrInvalid is wrapped by every Parse and Validate error of this package.
var ErrInvalid = errors.New("invalid")

// DeviceID is a device's Ed25519 public key. It compares with == and works as a map key; the zero value is invalid.
// Its text form is the libp2p peer ID of that key ("12D3Koo…").
type DeviceID [32]byte

// peerIDPrefix is an identity multihash of 36 bytes (0x00 0x24) that holds libp2p's protobuf form of an Ed25519
// public key: field 1, type 1; field 2, 32 bytes (libp2p peer ID specification, "Keys").
var peerIDPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

// String returns the libp2p peer ID in base58.
func (d DeviceID) String() string {
	return base58.Encode(append(bytes.Clone(peerIDPrefix), d[:]...))
}

// Short returns the last 6 characters of String, for messages to people.
func (d DeviceID) Short() string {
	s := d.String()
	return s[len(s)-6:]
}

// Validate refuses the zero value.
func (d DeviceID) Validate() error {
	if d == (DeviceID{}) {
		return fmt.Errorf("device ID is empty: %w", ErrInvalid)
	}
	return nil
}

// Compare orders device IDs by their bytes.
func (d DeviceID) Compare(o DeviceID) int { return bytes.Compare(d[:], o[:]) }

// ParseDeviceID is the inverse of DeviceID.String.
func ParseDeviceID(s string) (DeviceID, error) {
	var d DeviceID
	if len(s) > 64 {
		return d, fmt.Errorf("device ID of %d characters: %w", len(s), ErrInvalid)
	}
	raw, err := base58.Decode(s)
	if err != nil || len(raw) != len(peerIDPrefix)+len(d) || !bytes.HasPrefix(raw, peerIDPrefix) {
		return d, fmt.Errorf("device ID %q: %w", s, ErrInvalid)
	}
	copy(d[:], raw[len(peerIDPrefix):])
	return d, d.Validate()
}

// MeshID is the hash of a mesh's genesis statement. Text form: 64 hex digits. The zero value is invalid.
type MeshID [32]byte

// String returns the 64 hex digits.
func (m MeshID) String() string { return hex.EncodeToString(m[:]) }

// EpochID is the hash of the statement that began an epoch: a generation of a folder's keys.
type EpochID [32]byte

// String returns the 64 hex digits.
func (e EpochID) String() string { return hex.EncodeToString(e[:]) }

// FolderID is a folder's random name, 128 bits. Text form: 32 hex digits. The zero value is invalid.
type FolderID [16]byte

// String returns the 32 hex digits.
func (f FolderID) String() string { return hex.EncodeToString(f[:]) }

// Validate refuses the zero value.
func (f FolderID) Validate() error {
	if f == (FolderID{}) {
		return fmt.Errorf("zero folder ID: %w", ErrInvalid)
	}
	return nil
}

// ParseFolderID is the inverse of FolderID.String: each ID has one text form, in lower case.
func ParseFolderID(s string) (FolderID, error) {
	var f FolderID
	if len(s) != 2*len(f) {
		return f, fmt.Errorf("folder ID of %d characters: %w", len(s), ErrInvalid)
	}
	if _, err := hex.Decode(f[:], []byte(s)); err != nil || f.String() != s {
		return FolderID{}, fmt.Errorf("folder ID %q: %w", s, ErrInvalid)
	}
	return f, f.Validate()
}

// JournalID names one journal: a device and a random number of its choosing. A device writes to one journal at a time
// and begins another when it cannot prove that it may go on in the old one. It compares with == and works as a map key.
type JournalID struct {
	Device DeviceID
	Nonce  uint64
}

// String returns "<device>.<16 hex digits>".
func (j JournalID) String() string { return fmt.Sprintf("%s.%016x", j.Device, j.Nonce) }

// Compare orders journal IDs by device, then nonce.
func (j JournalID) Compare(o JournalID) int {
	if c := j.Device.Compare(o.Device); c != 0 {
		return c
	}
	return cmp.Compare(j.Nonce, o.Nonce)
}

// Bytes returns the 40-byte form: device, then nonce big-endian. It sorts as Compare does.
func (j JournalID) Bytes() []byte {
	return binary.BigEndian.AppendUint64(bytes.Clone(j.Device[:]), j.Nonce)
}

// Validate refuses a zero device.
func (j JournalID) Validate() error { return j.Device.Validate() }

// ParseJournalID is the inverse of JournalID.String: each ID has one text form, with lower-case digits.
func ParseJournalID(s string) (JournalID, error) {
	dev, nonce, ok := strings.Cut(s, ".")
	if !ok || len(nonce) != 16 {
		return JournalID{}, fmt.Errorf("journal ID %q: %w", s, ErrInvalid)
	}
	d, err := ParseDeviceID(dev)
	if err != nil {
		return JournalID{}, err
	}
	n, err := strconv.ParseUint(nonce, 16, 64)
	j := JournalID{Device: d, Nonce: n}
	if err != nil || j.String() != s {
		return JournalID{}, fmt.Errorf("journal ID %q: %w", s, ErrInvalid)
	}
	return j, nil
}

// JournalIDFromBytes is the inverse of JournalID.Bytes.
func JournalIDFromBytes(b []byte) (JournalID, error) {
	var j JournalID
	if len(b) != 40 {
		return j, fmt.Errorf("journal ID of %d bytes: %w", len(b), ErrInvalid)
	}
	copy(j.Device[:], b)
	j.Nonce = binary.BigEndian.Uint64(b[32:])
	return j, j.Validate()
}

// Seq is a record's position in its journal. The first record has 1; 0 means "nothing yet".
type Seq uint64

// Slot is the Seq of the first record that a journal has for a path. It lets a reader without keys see that one record
// takes another's place.
type Slot uint64

// Dot names one record: journal and seq. The zero value means "none".
type Dot struct {
	Journal JournalID
	Seq     Seq
}

// IsZero tells whether d names no record.
func (d Dot) IsZero() bool { return d.Seq == 0 }

// Compare orders dots by journal, then seq.
func (d Dot) Compare(o Dot) int {
	if c := d.Journal.Compare(o.Journal); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, o.Seq)
}

// String returns "<journal>:<seq>".
func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Journal, d.Seq) }

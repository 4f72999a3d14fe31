// Package beacon is the note that a device leaves in the hash table for the other devices of its mesh: how far its
// journals go. Who finds nobody online still learns that something newer exists, and who has it.
//
// Layout and limits: docs/formats/rendezvous.md, "Note".
package beacon

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// PositionBytes is the length of one encoded position.
const PositionBytes = 16 + 32 + 8 + 8

// ErrMalformed: a note breaks its format.
var ErrMalformed = errors.New("malformed note of positions")

// Position says how far one journal of a folder goes.
type Position struct {
	Folder  shoal.FolderID
	Journal shoal.JournalID
	Seq     shoal.Seq
}

// Encode writes as many positions as fit into max bytes: those of self first, then the others, each in the order of
// folder and journal.
func Encode(self shoal.DeviceID, positions []Position, max int) []byte {
	sorted := slices.Clone(positions)
	slices.SortFunc(sorted, func(a, b Position) int {
		return cmp.Or(foreign(a, self)-foreign(b, self), slices.Compare(a.Folder[:], b.Folder[:]),
			a.Journal.Device.Compare(b.Journal.Device), cmp.Compare(a.Journal.Nonce, b.Journal.Nonce))
	})
	var out []byte
	for _, p := range sorted {
		if len(out)+PositionBytes > max {
			break
		}
		out = append(append(out, p.Folder[:]...), p.Journal.Device[:]...)
		out = binary.BigEndian.AppendUint64(out, p.Journal.Nonce)
		out = binary.BigEndian.AppendUint64(out, uint64(p.Seq))
	}
	return out
}

func foreign(p Position, self shoal.DeviceID) int {
	if p.Journal.Device == self {
		return 0
	}
	return 1
}

// Decode is the inverse of Encode. What comes out was said by another device and is true only if that device is honest.
func Decode(raw []byte) ([]Position, error) {
	if len(raw)%PositionBytes != 0 {
		return nil, fmt.Errorf("note of %d bytes: %w", len(raw), ErrMalformed)
	}
	out := make([]Position, 0, len(raw)/PositionBytes)
	for ; len(raw) > 0; raw = raw[PositionBytes:] {
		var p Position
		copy(p.Folder[:], raw)
		copy(p.Journal.Device[:], raw[16:])
		p.Journal.Nonce = binary.BigEndian.Uint64(raw[48:])
		p.Seq = shoal.Seq(binary.BigEndian.Uint64(raw[56:]))
		out = append(out, p)
	}
	return out, nil
}

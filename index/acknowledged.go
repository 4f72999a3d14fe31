package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// What a vault has signed as applied it has promised to keep. Of each vault the highest such statement is kept, and whoever shows less
// afterwards has lost or hides something: two of its own signatures say so.

// Acknowledged is what a vault has once signed that it has, durably.
type Acknowledged struct {
	At      int64 // nanoseconds since 1970: when this device learned of it
	Applied map[shoal.JournalID]shoal.Seq
	Signed  []byte // the status that says so
}

// Lapse is a journal of which a vault shows less than it acknowledged.
type Lapse struct {
	Journal      shoal.JournalID
	Acknowledged shoal.Seq
	Shown        shoal.Seq
}

// LapseProof is the evidence of a lapse: what the vault acknowledged, and what it signed afterwards. Shown is empty when it signed nothing
// less and only showed less in a session: that is this device's word against the vault's.
type LapseProof struct {
	Device       shoal.DeviceID
	At           int64 // nanoseconds since 1970: when it was noted
	Acknowledged []byte
	Shown        []byte
}

// isVault tells whether a device is in the mesh to keep.
func (tx *Tx) isVault(dev shoal.DeviceID) bool {
	d, known := tx.config.Roster().Device(dev)
	return known && d.Role == mesh.RoleVault
}

// Acknowledged returns the highest statement of a vault that is known here, without what the roster or the journals' authors took back
// since. false: there is none.
func (tx *Tx) Acknowledged(dev shoal.DeviceID) (Acknowledged, bool, error) {
	v := tx.bucket(bAcks).Get(dev[:])
	if v == nil {
		return Acknowledged{}, false, nil
	}
	d := decoder{data: v}
	a := Acknowledged{At: d.varint(), Signed: bytes.Clone(d.data)}
	s, _, _, err := parseStatus(a.Signed)
	if d.err != nil || err != nil {
		return Acknowledged{}, false, tx.damaged("acknowledged", dev[:], errors.Join(d.err, err))
	}
	a.Applied = tx.stillCounting(s.Applied)
	return a, true, nil
}

// stillCounting is a frontier without what nobody need have any more: what a revocation cut off, and histories that their author left
// or that were seen in two forms, of which a vault may have the other.
func (tx *Tx) stillCounting(frontier map[shoal.JournalID]shoal.Seq) map[shoal.JournalID]shoal.Seq {
	out := maps.Clone(frontier)
	limit := func(j shoal.JournalID, seq shoal.Seq) {
		if at, ok := out[j]; ok && at > seq {
			out[j] = seq
		}
	}
	for j := range frontier {
		if seq, _, cut := tx.config.Roster().Cut(tx.folder.id, j); cut {
			limit(j, seq)
		}
		if tx.bucket(bForks).Get(j.Bytes()) != nil {
			limit(j, 0)
		}
	}
	for _, j := range tx.mustJournals().list {
		if len(j.abandons) > 0 {
			limit(j.continues.Journal, j.continues.Seq)
		}
	}
	maps.DeleteFunc(out, func(_ shoal.JournalID, seq shoal.Seq) bool { return seq == 0 })
	return out
}

// acknowledges tells whether a vault's statement says that it has something which the highest one does not.
func (tx *Tx) acknowledges(s *Status) (bool, error) {
	if len(s.Applied) == 0 || !tx.isVault(s.Device) {
		return false, nil
	}
	have, known, err := tx.Acknowledged(s.Device)
	if err != nil || !known {
		return err == nil, err
	}
	for j, seq := range tx.stillCounting(s.Applied) {
		if seq > have.Applied[j] {
			return true, nil
		}
	}
	return false, nil
}

// acknowledge keeps a vault's statement, whose signature was checked and which acknowledges more, if it takes nothing back. It tells whether it did.
func (tx *Tx) acknowledge(raw []byte, s *Status) (kept bool, err error) {
	have, _, err := tx.Acknowledged(s.Device)
	if err != nil {
		return false, err
	}
	for j, seq := range have.Applied {
		if s.Applied[j] < seq {
			return false, nil // that is the lapse
		}
	}
	tx.bucket(bAcks).Put(s.Device[:], append(binary.AppendVarint(nil, tx.now()), raw...))
	return true, nil
}

// TakenBack returns the highest statement of a vault if its newest one takes something of it back: others must hear of both. nil: there is none.
func (tx *Tx) TakenBack(dev shoal.DeviceID) ([]byte, error) {
	if !tx.isVault(dev) {
		return nil, nil
	}
	lapses, err := tx.Lapses(dev, nil)
	if err != nil || len(lapses) == 0 {
		return nil, err
	}
	ack, _, err := tx.Acknowledged(dev)
	return ack.Signed, err
}

// Lapses lists the journals of which a vault shows less than it acknowledged, by its newest statement and by what it shows in a session
// (nil: there is none), sorted by journal.
func (tx *Tx) Lapses(dev shoal.DeviceID, session map[shoal.JournalID]shoal.Seq) ([]Lapse, error) {
	if !tx.isVault(dev) {
		return nil, nil
	}
	ack, known, err := tx.Acknowledged(dev)
	if err != nil || !known {
		return nil, err
	}
	newest, said, err := tx.Status(dev)
	if err != nil {
		return nil, err
	}
	var out []Lapse
	for j, seq := range ack.Applied {
		shown := seq
		if said {
			shown = min(shown, newest.Received[j])
		}
		if session != nil {
			shown = min(shown, session[j])
		}
		if shown < seq {
			out = append(out, Lapse{Journal: j, Acknowledged: seq, Shown: shown})
		}
	}
	slices.SortFunc(out, func(a, b Lapse) int { return a.Journal.Compare(b.Journal) })
	return out, nil
}

// KeepLapse keeps the evidence of a vault's present lapse; the last one counts. There must be one.
func (tx *Tx) KeepLapse(dev shoal.DeviceID) error {
	if !tx.writable {
		return ErrReadOnly
	}
	ack, known, err := tx.Acknowledged(dev)
	if err != nil || !known {
		return errIf(err, fmt.Errorf("acknowledged by %s: %w", dev, ErrNotFound))
	}
	var shown []byte
	if newest, said, err := tx.Status(dev); err != nil {
		return err
	} else if said {
		for j, seq := range ack.Applied {
			if newest.Received[j] < seq {
				shown = tx.bucket(bStatuses).Get(dev[:])
			}
		}
	}
	v := appendBytes(binary.AppendVarint(nil, tx.now()), ack.Signed)
	tx.bucket(bLapses).Put(dev[:], append(v, shown...))
	return nil
}

// LapseProofs returns the evidence that was kept, by device.
func (tx *Tx) LapseProofs() ([]LapseProof, error) {
	var out []LapseProof
	c := tx.bucket(bLapses).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		d := decoder{data: v}
		p := LapseProof{At: d.varint(), Acknowledged: bytes.Clone(d.bytes())}
		p.Shown = bytes.Clone(d.data)
		if d.err != nil || len(k) != len(p.Device) {
			return nil, tx.damaged("lapse", k, errors.Join(d.err, errShort))
		}
		p.Device = shoal.DeviceID(k)
		out = append(out, p)
	}
	return out, nil
}

// ForgetLapse lets the evidence against a vault go.
func (tx *Tx) ForgetLapse(dev shoal.DeviceID) error {
	if !tx.writable {
		return ErrReadOnly
	}
	tx.bucket(bLapses).Delete(dev[:])
	return nil
}

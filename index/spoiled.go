package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// maxSpoiled bounds the spoiled copies that are remembered, of all vaults together.
const maxSpoiled = 10_000

// SpoiledCopy is a block of which a vault gave a copy that did not open, and of which it has not shown a good one since.
type SpoiledCopy struct {
	Vault  shoal.DeviceID
	Block  block.EpochRef
	Size   uint32 // of the plaintext
	Record shoal.Dot
	Index  uint32 // where in the recipe of the record
	Part   bool   // of the recipe itself
	Since  int64  // nanoseconds since 1970
}

func spoiledKey(vault shoal.DeviceID, b block.EpochRef) []byte {
	return append(append(bytes.Clone(vault[:]), b.ID[:]...), b.Epoch[:]...)
}

// Spoil notes a copy that did not open; what was proved of it is not any more. It tells whether that is news.
func (tx *Tx) Spoil(c SpoiledCopy) (news bool, err error) {
	if !tx.writable {
		return false, ErrReadOnly
	}
	if err := tx.unprove(c.Vault, c.Block); err != nil {
		return false, err
	}
	key, b := spoiledKey(c.Vault, c.Block), tx.bucket(bSpoiled)
	if b.Get(key) != nil {
		return false, nil
	}
	if all, err := tx.SpoiledCopies(maxSpoiled); err != nil || len(all) == maxSpoiled {
		return false, err
	}
	v := binary.AppendVarint(nil, tx.now())
	v = binary.AppendUvarint(binary.AppendUvarint(v, uint64(c.Size)), uint64(c.Index))
	v = append(v, bit(c.Part, 1))
	v = append(v, c.Record.Journal.Bytes()...)
	b.Put(key, binary.AppendUvarint(v, uint64(c.Record.Seq)))
	// Which records have the block is not known: look at all again.
	return true, tx.takeBack(func(p *proof) {
		if p.vault == c.Vault {
			p.own, p.all = 0, 0
		}
	})
}

// Mend notes that a vault has given a copy that opens of what Spoil was told of. It tells whether that is news.
func (tx *Tx) Mend(vault shoal.DeviceID, b block.EpochRef) (news bool, err error) {
	if !tx.writable {
		return false, ErrReadOnly
	}
	key := spoiledKey(vault, b)
	if tx.bucket(bSpoiled).Get(key) == nil {
		return false, nil
	}
	tx.bucket(bSpoiled).Delete(key)
	return true, tx.Prove(vault, []block.EpochRef{b})
}

// ForgetSpoiled lets go of what Spoil was told of, since nobody needs the block any more.
func (tx *Tx) ForgetSpoiled(vault shoal.DeviceID, b block.EpochRef) error {
	if !tx.writable {
		return ErrReadOnly
	}
	tx.bucket(bSpoiled).Delete(spoiledKey(vault, b))
	return nil
}

// SpoiledCopies lists up to max of them, by vault.
func (tx *Tx) SpoiledCopies(max int) ([]SpoiledCopy, error) {
	var out []SpoiledCopy
	c := tx.bucket(bSpoiled).Cursor()
	for k, v := c.Seek(nil); k != nil && len(out) < max; k, v = c.Next() {
		if len(k) != 96 {
			return nil, tx.damaged("spoiled copy", k, errShort)
		}
		s := SpoiledCopy{Vault: shoal.DeviceID(k[:32]), Block: block.EpochRef{ID: block.ID(k[32:64]), Epoch: shoal.EpochID(k[64:])}}
		d := decoder{data: v}
		s.Since, s.Size, s.Index, s.Part = d.varint(), uint32(d.uvarint()), uint32(d.uvarint()), d.byte() == 1
		s.Record.Journal, s.Record.Seq = d.journalID(), shoal.Seq(d.uvarint())
		if err := d.end(); err != nil {
			return nil, tx.damaged("spoiled copy", k, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// spoiledAt tells whether a vault has a spoiled copy.
func (tx *Tx) spoiledAt(vault shoal.DeviceID) (bool, error) {
	k, _ := tx.bucket(bSpoiled).Cursor().Seek(vault[:])
	return bytes.HasPrefix(k, vault[:]) && k != nil, nil
}

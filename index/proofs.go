package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index/internal/pb"
	"github.com/shoalmesh/shoal/mesh"
)

// "Have" is a claim of a vault. A copy of it is proved when this device gave it those bytes, or got them from it and opened them, or when another
// device of the mesh has signed that it did. Which block is proved to be where is noted among the places of blocks, 21 bytes each.
// What everybody asks, whether all blocks are, is kept as a seq for each vault and journal: of the live records up to there which no other
// journal's record replaces, all blocks are proved. It moves on by what is new, never over everything again.

// MaxProofs bounds the proofs in a status.
const MaxProofs = 10_000

// Proof says how far all blocks of a journal's records are proved to be at a vault.
type Proof struct {
	Vault   shoal.DeviceID
	Journal shoal.JournalID
	Seq     shoal.Seq
}

// vaultPrefix is how much of a vault's ID stands beside a block.
const vaultPrefix = 8

// isProof tells whether a key of the blocks bucket says that a block is at a vault.
func isProof(k []byte) bool {
	return len(k) == idPrefix+1+vaultPrefix+4 && k[idPrefix] == placeVault
}

// proofKey is the place of a block, sealed under an epoch, at a vault.
func (tx *Tx) proofKey(vault shoal.DeviceID, b block.EpochRef) ([]byte, error) {
	n, err := tx.epochNumber(b.Epoch)
	if err != nil {
		return nil, err
	}
	k := append(append(make([]byte, 0, idPrefix+1+vaultPrefix+4), b.ID[:idPrefix]...), placeVault)
	return binary.BigEndian.AppendUint32(append(k, vault[:vaultPrefix]...), n), nil
}

// Prove notes that a vault has these very blocks: this device gave them to it, or opened what came from it.
func (tx *Tx) Prove(vault shoal.DeviceID, blocks []block.EpochRef) error {
	if !tx.writable {
		return ErrReadOnly
	}
	for _, b := range blocks {
		k, err := tx.proofKey(vault, b)
		if err != nil {
			return err
		}
		if tx.bucket(bBlocks).Get(k) == nil {
			tx.bucket(bBlocks).Put(k, []byte{1})
		}
	}
	return nil
}

// ProvedAt tells whether this device itself knows that a vault has a block, sealed under an epoch.
func (tx *Tx) ProvedAt(vault shoal.DeviceID, b block.EpochRef) bool {
	if t, err := tx.epochTable(); err != nil || t.numbers[b.Epoch] == 0 {
		return false
	}
	k, err := tx.proofKey(vault, b)
	return err == nil && tx.bucket(bBlocks).Get(k) != nil
}

// unprove takes back what Prove noted.
func (tx *Tx) unprove(vault shoal.DeviceID, b block.EpochRef) error {
	k, err := tx.proofKey(vault, b)
	if err == nil {
		tx.bucket(bBlocks).Delete(k)
	}
	return err
}

// SweepProofs takes out the proofs of blocks that stand in no file here, looking at up to max places from a key on (nil: the first). It
// returns where to go on; nil: that was the end.
func (tx *Tx) SweepProofs(from []byte, max int) (next []byte, err error) {
	if !tx.writable {
		return nil, ErrReadOnly
	}
	var lone [][]byte
	var block []byte // whose places are being looked at
	used := false    // it stands in a file; those places come before the proofs
	c := tx.bucket(bBlocks).Cursor()
	for k, _ := c.Seek(from); k != nil; k, _ = c.Next() {
		if block == nil || !bytes.HasPrefix(k, block) {
			if max <= 0 {
				next = bytes.Clone(k[:idPrefix])
				break
			}
			block, used = bytes.Clone(k[:idPrefix]), false
		}
		max--
		if used = used || !isProof(k); !used {
			lone = append(lone, bytes.Clone(k))
		}
	}
	for _, k := range lone {
		tx.bucket(bBlocks).Delete(k)
	}
	return next, nil
}

// proof is how far the blocks of a journal are proved to be at a vault.
type proof struct {
	vault  shoal.DeviceID
	number uint32    // of the journal
	own    shoal.Seq // by this device alone: what it signs
	all    shoal.Seq // with what others signed; never less
}

func proofPointer(vault shoal.DeviceID, journal uint32) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(vault[:]), journal)
}

func decodeProof(k, v []byte) (proof, error) {
	if len(k) != len(shoal.DeviceID{})+4 {
		return proof{}, errShort
	}
	d := decoder{data: v}
	p := proof{vault: shoal.DeviceID(k[:32]), number: binary.BigEndian.Uint32(k[32:]), own: shoal.Seq(d.uvarint()), all: shoal.Seq(d.uvarint())}
	if err := d.end(); err != nil || p.all < p.own {
		return proof{}, errIf(err, errShort)
	}
	return p, nil
}

func (tx *Tx) proof(vault shoal.DeviceID, journal uint32) (proof, error) {
	k := proofPointer(vault, journal)
	v := tx.bucket(bProofs).Get(k)
	if v == nil {
		return proof{vault: vault, number: journal}, nil
	}
	p, err := decodeProof(k, v)
	if err != nil {
		err = tx.damaged("proof", k, err)
	}
	return p, err
}

func (tx *Tx) putProof(p proof) {
	tx.bucket(bProofs).Put(proofPointer(p.vault, p.number), binary.AppendUvarint(binary.AppendUvarint(nil, uint64(p.own)), uint64(p.all)))
}

// eachProof calls fn for all proofs; fn must not change them.
func (tx *Tx) eachProof(fn func(proof)) error {
	c := tx.bucket(bProofs).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		p, err := decodeProof(k, v)
		if err != nil {
			return tx.damaged("proof", k, err)
		}
		fn(p)
	}
	return nil
}

// forgetProofs lets go of how far a journal is proved: other records may come under its seqs.
func (tx *Tx) forgetProofs(j *journal) {
	var keys [][]byte
	c := tx.bucket(bProofs).Cursor()
	for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
		if len(k) == 36 && binary.BigEndian.Uint32(k[32:]) == j.number {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		tx.bucket(bProofs).Delete(k)
	}
}

// doubtOthers forgets what is proved by others' word alone: the roster has changed, and they may be out of the mesh. What those who are
// still in it have signed is taken into account again.
func (tx *Tx) doubtOthers() error { return tx.takeBack(func(p *proof) { p.all = p.own }) }

func (tx *Tx) takeBack(change func(*proof)) error {
	var changed []proof
	err := tx.eachProof(func(p proof) {
		q := p
		if change(&q); q != p {
			changed = append(changed, q)
		}
	})
	for _, p := range changed {
		tx.putProof(p)
	}
	return err
}

// AdvanceProofs moves on how far all blocks are proved to be at a vault, looking at up to so many records. It tells whether what this device
// itself can sign has grown, and whether there is more to look at.
func (tx *Tx) AdvanceProofs(vault shoal.DeviceID, records int) (grew, more bool, err error) {
	if !tx.writable {
		return false, false, ErrReadOnly
	}
	if err := tx.requireKeys(); err != nil {
		return false, false, err
	}
	vouched, err := tx.vouched(vault)
	if err != nil {
		return false, false, err
	}
	for _, j := range tx.mustJournals().list {
		was, err := tx.proof(vault, j.number)
		if err != nil {
			return grew, more, err
		}
		now := was
		w := proofWalk{tx: tx, vault: vault, journal: j, left: records}
		if now.own, err = w.walk(was.own, 0); err != nil {
			return grew, more, err
		}
		if now.all, err = w.walk(max(was.all, now.own), vouched[j.id]); err != nil {
			return grew, more, err
		}
		records, more, grew = max(0, w.left), more || w.left <= 0, grew || now.own > was.own
		if now != was {
			tx.putProof(now)
		}
	}
	return grew, more, nil
}

// CanAdvance tells whether AdvanceProofs would change anything. Unlike that it may be called in a View.
func (tx *Tx) CanAdvance(vault shoal.DeviceID) (bool, error) {
	if err := tx.requireKeys(); err != nil {
		return false, err
	}
	vouched, err := tx.vouched(vault)
	if err != nil {
		return false, err
	}
	for _, j := range tx.mustJournals().list {
		p, err := tx.proof(vault, j.number)
		if err != nil {
			return false, err
		}
		for _, from := range []shoal.Seq{p.own, p.all} {
			word := shoal.Seq(0)
			if from == p.all {
				word = vouched[j.id]
			}
			w := proofWalk{tx: tx, vault: vault, journal: j, left: 1}
			if at, err := w.walk(from, word); err != nil || at > from {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// vouched is how far others have signed that the blocks of journals are proved to be at a vault. A record that is live here was so for whoever
// had no more of the journal, so their word covers it; the word of somebody who has more counts when it is here too.
func (tx *Tx) vouched(vault shoal.DeviceID) (map[shoal.JournalID]shoal.Seq, error) {
	statuses, err := tx.Statuses()
	if err != nil {
		return nil, err
	}
	out := make(map[shoal.JournalID]shoal.Seq)
	roster, frontier := tx.config.Roster(), tx.Frontier()
	for dev, raw := range statuses {
		d, known := roster.Device(dev)
		if !known || d.Revoked || d.Role == mesh.RoleVault || dev == tx.config.Identity.Device() {
			continue
		}
		s, _, _, err := parseStatus(raw)
		if err != nil {
			return nil, tx.damaged("status", dev[:], err)
		}
		for _, p := range s.Proofs {
			if p.Vault == vault && s.Received[p.Journal] <= frontier[p.Journal].Seq {
				out[p.Journal] = max(out[p.Journal], min(p.Seq, frontier[p.Journal].Seq))
			}
		}
	}
	return out, nil
}

// Proved tells whether all blocks of the folder are proved to be at a vault, as far as AdvanceProofs has come, and none of its copies is known to be
// spoiled.
func (tx *Tx) Proved(vault shoal.DeviceID) (bool, error) {
	if spoiled, err := tx.spoiledAt(vault); err != nil || spoiled {
		return false, err
	}
	for _, j := range tx.mustJournals().list {
		p, err := tx.proof(vault, j.number)
		if err != nil || p.all < j.seq {
			return false, err
		}
	}
	return true, nil
}

// signedProofs is what this device says of the copies of vaults.
func (tx *Tx) signedProofs() (out []*pb.Proof, err error) {
	if tx.keeping() {
		return nil, nil
	}
	roster := tx.config.Roster()
	err = tx.eachProof(func(p proof) {
		if d, known := roster.Device(p.vault); p.own == 0 || len(out) >= MaxProofs || !known || d.Revoked {
			return
		}
		if j, err := tx.journalNumber(p.number); err == nil {
			out = append(out, &pb.Proof{Vault: p.vault[:], Journal: j.id.Bytes(), Seq: uint64(p.own)})
		}
	})
	return out, err
}

func proofsOf(list []*pb.Proof) ([]Proof, error) {
	var out []Proof
	for _, p := range list {
		j, err := shoal.JournalIDFromBytes(p.Journal)
		q := Proof{Journal: j, Seq: shoal.Seq(p.Seq)}
		if err != nil || !fill(q.Vault[:], p.Vault) || p.Seq == 0 || p.Seq > maxSeq {
			return nil, malformed("proof of a journal of %d bytes at %d", len(p.Journal), p.Seq)
		}
		out = append(out, q)
	}
	return out, nil
}

package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
)

// A keeper (a vault) keeps the records of a folder without its keys: as they travelled, without rows. From the clear parts it
// knows which blocks each record needs. Every record here has a demand for its blocks:
//
//   - demandLive: it is live, or being transferred, and no other journal's record replaces it. What it needs must be here.
//   - demandKept: it was superseded, cut off or replaced, and the retention since then has not passed (LetGo). What it needs is
//     not deleted, but is not asked for either.
//   - demandNone: it is live but was replaced longer ago than that.
//
// The demands of all records for one block are counted (keepuse.go); those of long files go through the nodes of their reference
// trees (keepnode.go). Everything happens in the transaction that brings or takes the record.
type demand uint8

const (
	demandNone demand = iota
	demandLive
	demandKept
)

// keeping tells that this database keeps the folder without keys.
func (tx *Tx) keeping() bool { return tx.config.Keeper }

// requireMember is requireKeys for what a keeper can do as well.
func (tx *Tx) requireMember() error {
	if tx.keeping() {
		return nil
	}
	return tx.requireKeys()
}

// keep fills in what a keeper keeps of a record. One whose clear part is not canonical, or belongs elsewhere, counts in the
// digests as for everybody and needs nothing.
func (in *received) keep(tx *Tx, canonical bool) {
	in.s = &stored{hash: in.s.hash, slot: in.clear.slot, more: in.clear.more, raw: bytes.Clone(in.raw)}
	in.s.odd = !canonical || in.clear.mesh != tx.config.Mesh || in.clear.folder != tx.folder.id
}

// needsOf returns what a kept record names in the clear. A record that is odd names nothing.
func (tx *Tx) needsOf(key []byte, s *stored) (*clearPart, error) {
	if s.odd {
		return &clearPart{}, nil
	}
	clear, _, err := splitRecord(s.raw)
	if err != nil {
		return nil, tx.damaged("kept record", key, err)
	}
	c, _, err := decodeClear(clear)
	if err != nil {
		return nil, tx.damaged("kept record", key, err)
	}
	return c, nil
}

// claim moves what a record needs from one claim to another. at may be the record's key or a longer one that begins with it.
func (tx *Tx) claim(key []byte, s *stored, from, to demand) error {
	if from == to {
		return nil
	}
	c, err := tx.needsOf(key, s)
	if err != nil {
		return err
	}
	for i := range c.refs {
		epoch, err := tx.keptEpoch(c.refs[i].Epoch)
		if err != nil {
			return err
		}
		if err := tx.claimBlock(useKey(c.refs[i].ID, epoch), nil, from, to); err != nil {
			return err
		}
	}
	if c.root != ([32]byte{}) {
		return tx.claimNode(c.root, c.root, from, to)
	}
	return nil
}

// enter takes a record in: what it needs is claimed, and what it replaces is wanted no more.
func (tx *Tx) enter(at ref, s *stored) error {
	key := recordKey(at.journal, at.seq)
	sums, err := tx.loadKeepSums()
	if err != nil {
		return err
	}
	sums.records++
	sums.recordBytes += int64(len(s.raw))
	sums.changed = true
	to := demandLive
	if e := tx.replacedEntry(key); e.count > 0 {
		to = demandKept
		e.since, e.released = tx.now(), false
		tx.bucket(bExpiry).Put(expiryKey(e.since, key), nil)
		tx.putReplaced(key, e)
	}
	if err := tx.claim(key, s, demandNone, to); err != nil {
		return err
	}
	c, err := tx.needsOf(key, s)
	if err != nil {
		return err
	}
	if c.root != ([32]byte{}) {
		tx.bucket(bRoots).Put(append(bytes.Clone(c.root[:]), key...), nil)
	}
	if err := tx.nameReplaced(at, c, 1); err != nil {
		return err
	}
	return tx.unretire(key, s)
}

// leave is called before a record is taken out of the journal, for whatever reason: it is kept beside until the retention has passed.
func (tx *Tx) leave(at ref) error {
	key := recordKey(at.journal, at.seq)
	s, err := tx.load(at)
	if err != nil || s == nil {
		return err
	}
	sums, err := tx.loadKeepSums()
	if err != nil {
		return err
	}
	sums.records--
	sums.recordBytes -= int64(len(s.raw))
	sums.kept++
	sums.keptBytes += int64(len(s.raw))
	sums.changed = true
	from := demandLive
	if e := tx.replacedEntry(key); e.count > 0 {
		if from = demandKept; e.released {
			from = demandNone
		}
		tx.bucket(bExpiry).Delete(expiryKey(e.since, key))
		e.since, e.released = 0, false
		tx.putReplaced(key, e)
	}
	now := tx.now()
	kept := keptKey(key, s.hash)
	if tx.bucket(bKept).Get(kept) != nil { // came, went, came and went: one line is enough
		if err := tx.forgetKept(kept); err != nil {
			return err
		}
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(now))
	tx.bucket(bKept).Put(kept, append(value, s.encode(at.seq)...))
	tx.bucket(bExpiry).Put(expiryKey(now, kept), nil)
	if err := tx.claim(key, s, from, demandKept); err != nil {
		return err
	}
	c, err := tx.needsOf(key, s)
	if err != nil {
		return err
	}
	if c.root != ([32]byte{}) {
		tx.bucket(bRoots).Delete(append(bytes.Clone(c.root[:]), key...))
	}
	return tx.nameReplaced(at, c, -1)
}

// unretire ends the keeping beside of a record that is in its journal again.
func (tx *Tx) unretire(key []byte, s *stored) error {
	kept := keptKey(key, s.hash)
	if tx.bucket(bKept).Get(kept) == nil {
		return nil
	}
	return tx.forgetKept(kept)
}

// forgetKept drops a record that is kept beside, and its claim.
func (tx *Tx) forgetKept(kept []byte) error {
	since, s, err := tx.loadKept(kept)
	if err != nil {
		return err
	}
	sums, err := tx.loadKeepSums()
	if err != nil {
		return err
	}
	sums.kept--
	sums.keptBytes -= int64(len(s.raw))
	sums.changed = true
	tx.bucket(bExpiry).Delete(expiryKey(since, kept))
	tx.bucket(bKept).Delete(kept)
	return tx.claim(kept, s, demandKept, demandNone)
}

func (tx *Tx) loadKept(kept []byte) (since int64, s *stored, err error) {
	v := tx.bucket(bKept).Get(kept)
	if len(v) < 8 || len(kept) != keptKeyBytes {
		return 0, nil, tx.damaged("kept record", kept, errShort)
	}
	s, err = decodeStored(v[8:], recordKeySeq(kept[:10]))
	if err != nil {
		return 0, nil, tx.damaged("kept record", kept, err)
	}
	return int64(binary.BigEndian.Uint64(v)), s, nil
}

// replacedEntry is what is known of records of other journals that replace one record.
type replacedEntry struct {
	count    uint64 // of them
	since    int64  // when the first came while the record is here; 0: it is not here
	released bool   // the retention has passed since
}

func (tx *Tx) replacedEntry(key []byte) (e replacedEntry) {
	d := decoder{data: tx.bucket(bReplaced).Get(key)}
	if d.data == nil {
		return e
	}
	e.count, e.since, e.released = d.uvarint(), d.varint(), d.byte() != 0
	return e
}

func (tx *Tx) putReplaced(key []byte, e replacedEntry) {
	if e.count == 0 {
		tx.bucket(bReplaced).Delete(key)
		return
	}
	v := binary.AppendVarint(binary.AppendUvarint(nil, e.count), e.since)
	tx.bucket(bReplaced).Put(key, append(v, bit(e.released, 1)))
}

// nameReplaced counts the record at a place among those that replace what c names, or no more. Records of its own journal are
// superseded by slot, not replaced.
func (tx *Tx) nameReplaced(at ref, c *clearPart, by int) error {
	for _, d := range c.replaces {
		j, err := tx.namedJournal(d.Journal)
		if err != nil {
			return err
		}
		if j == nil || j.number == at.journal {
			continue
		}
		if err := tx.countReplaced(ref{j.number, d.Seq}, by); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) countReplaced(of ref, by int) error {
	if of.seq == 0 || of.seq > maxSeq {
		return nil
	}
	key := recordKey(of.journal, of.seq)
	e := tx.replacedEntry(key)
	if e.count == 0 && by < 0 {
		return nil // the journal had no number yet when the other came
	}
	before := e.count
	e.count += uint64(by)
	s, err := tx.load(of)
	if err != nil {
		return err
	}
	switch {
	case s == nil:
	case before == 0:
		e.since, e.released = tx.now(), false
		tx.bucket(bExpiry).Put(expiryKey(e.since, key), nil)
		err = tx.claim(key, s, demandLive, demandKept)
	case e.count == 0:
		from := demandKept
		if e.released {
			from = demandNone
		}
		tx.bucket(bExpiry).Delete(expiryKey(e.since, key))
		err = tx.claim(key, s, from, demandLive)
	}
	tx.putReplaced(key, e)
	return err
}

// keptKeyBytes is the length of a key in the bucket of records kept beside: the record's key and the first 8 bytes of its hash, since a cut
// journal may get another record under the same seq.
const keptKeyBytes = 18

func keptKey(key []byte, hash [32]byte) []byte { return append(bytes.Clone(key), hash[:8]...) }

// expiryKey sorts by time: 8 bytes, then the key of a kept record (18) or of a replaced one (10).
func expiryKey(since int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(since)), key...)
}

// maxKeptEpochs bounds the epochs that records name freely: the table is held in memory.
const maxKeptEpochs = 100_000

// keptEpoch is epochNumber for what a record or a node names. Beyond maxKeptEpochs all others share the number 0: their blocks
// are asked for under no epoch, and nobody has them.
func (tx *Tx) keptEpoch(id shoal.EpochID) (uint32, error) {
	t, err := tx.epochTable()
	if err != nil {
		return 0, err
	}
	if n, ok := t.numbers[id]; ok || len(t.ids) >= maxKeptEpochs {
		return n, nil
	}
	return tx.epochNumber(id)
}

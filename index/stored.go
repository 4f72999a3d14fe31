package index

import (
	"encoding/binary"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// stored is a record in the database. A good one is kept as the entry's bytes and what it takes to seal them again to the same
// bytes; one that was set aside is kept as it travelled.
type stored struct {
	hash [32]byte
	slot shoal.Slot

	// Of a good record:
	epoch    uint32
	more     bool
	replaces []ref
	root     [32]byte // of the tree of its blocks, when the recipe is long
	entry    []byte

	// Of a record that was set aside:
	raw    []byte     // not nil
	path   shoal.Path // the path that it holds; "": not known
	retry  bool       // for want of a key, which may come
	odd    bool       // at a keeper: its clear part is not canonical, or belongs elsewhere
	reason string
}

const (
	storedMore = 1 << iota
	storedSlot
	storedReplaces
	storedRoot
	storedRaw
	storedRetry
	storedOdd
)

// encode puts flags and hash first: they are read most.
func (s *stored) encode(seq shoal.Seq) []byte {
	slot := uint64(s.slot) != uint64(seq)
	flags := bit(s.more, storedMore) | bit(slot, storedSlot) | bit(len(s.replaces) > 0, storedReplaces) |
		bit(s.root != [32]byte{}, storedRoot) | bit(s.raw != nil, storedRaw) | bit(s.retry, storedRetry) | bit(s.odd, storedOdd)
	b := append(make([]byte, 0, 80+len(s.entry)+len(s.raw)), flags)
	b = append(b, s.hash[:]...)
	if slot {
		b = binary.AppendUvarint(b, uint64(s.slot))
	}
	if s.raw != nil {
		b = appendString(b, string(s.path))
		b = appendString(b, s.reason)
		return append(b, s.raw...)
	}
	b = binary.AppendUvarint(b, uint64(s.epoch))
	if len(s.replaces) > 0 {
		b = binary.AppendUvarint(b, uint64(len(s.replaces)))
		for _, r := range s.replaces {
			b = appendRef(b, r)
		}
	}
	if flags&storedRoot != 0 {
		b = append(b, s.root[:]...)
	}
	return append(b, s.entry...)
}

func decodeStored(data []byte, seq shoal.Seq) (*stored, error) {
	d := decoder{data: data}
	flags := d.byte()
	s := &stored{more: flags&storedMore != 0, retry: flags&storedRetry != 0, odd: flags&storedOdd != 0, slot: shoal.Slot(seq)}
	s.hash = d.array32()
	if flags&storedSlot != 0 {
		s.slot = shoal.Slot(d.uvarint())
	}
	if flags&storedRaw != 0 {
		s.path, s.reason = shoal.Path(d.bytes()), string(d.bytes())
		if s.raw = d.data; s.raw == nil {
			s.raw = []byte{}
		}
		return s, d.err
	}
	s.epoch = uint32(d.uvarint())
	if flags&storedReplaces != 0 {
		for n := d.count(); n > 0; n-- {
			s.replaces = append(s.replaces, d.ref())
		}
	}
	if flags&storedRoot != 0 {
		s.root = d.array32()
	}
	s.entry = d.data
	return s, d.err
}

// storedSlotOf reads only the slot.
func storedSlotOf(data []byte, seq shoal.Seq) shoal.Slot {
	if len(data) < 33 || data[0]&storedSlot == 0 {
		return shoal.Slot(seq)
	}
	v, _ := binary.Uvarint(data[33:])
	return shoal.Slot(v)
}

// load returns a stored record; nil: it is not here. Its slices are the store's.
func (tx *Tx) load(r ref) (*stored, error) {
	key := recordKey(r.journal, r.seq)
	data := tx.bucket(bRecords).Get(key)
	if data == nil {
		return nil, nil
	}
	s, err := decodeStored(data, r.seq)
	if err != nil {
		return nil, tx.damaged("record", key, err)
	}
	return s, nil
}

// loadRecord returns a good record that must be here.
func (tx *Tx) loadRecord(r ref) (*Record, error) {
	s, err := tx.load(r)
	if err != nil {
		return nil, err
	}
	if s == nil || s.raw != nil {
		return nil, tx.damaged("row's record", recordKey(r.journal, r.seq), errShort)
	}
	return tx.record(r, s)
}

func (tx *Tx) record(r ref, s *stored) (*Record, error) {
	if err := tx.requireKeys(); err != nil {
		return nil, err
	}
	j, err := tx.journalNumber(r.journal)
	if err != nil {
		return nil, err
	}
	epoch, err := tx.epochID(s.epoch)
	if err != nil {
		return nil, err
	}
	rec := &Record{Dot: j.dot(r.seq), Slot: s.slot, Epoch: epoch, Hash: s.hash}
	if err := rec.Entry.decode(s.entry, rec.Dot, &tx.names); err != nil {
		return nil, tx.damaged("entry", recordKey(r.journal, r.seq), err)
	}
	return rec, nil
}

// Record returns one record; false when it is not here, superseded or set aside.
func (tx *Tx) Record(d shoal.Dot) (Record, bool, error) {
	t, err := tx.journalTable()
	if err != nil {
		return Record{}, false, err
	}
	j := t.byID[d.Journal]
	if j == nil {
		return Record{}, false, nil
	}
	r := ref{j.number, d.Seq}
	s, err := tx.load(r)
	if err != nil || s == nil || s.raw != nil {
		return Record{}, false, err
	}
	rec, err := tx.record(r, s)
	if err != nil {
		return Record{}, false, err
	}
	return *rec, true, tx.fillRecipe(&rec.Entry)
}

// travel returns the record as it travels.
func (tx *Tx) travel(r ref, s *stored) ([]byte, error) {
	if s.raw != nil {
		return append([]byte(nil), s.raw...), nil
	}
	rec, err := tx.record(r, s)
	if err != nil {
		return nil, err
	}
	clear, err := tx.clearOf(rec, s)
	if err != nil {
		return nil, err
	}
	seal := tx.sealer(rec.Epoch)
	if seal == nil {
		return nil, fmt.Errorf("epoch %s: %w", rec.Epoch, ErrNoKey)
	}
	return seal.seal(clear.encode(), s.entry), nil
}

// clearOf returns the clear part of a stored record.
func (tx *Tx) clearOf(rec *Record, s *stored) (*clearPart, error) {
	c := &clearPart{
		mesh: tx.config.Mesh, folder: tx.folder.id, epoch: rec.Epoch, journal: rec.Dot.Journal, seq: rec.Dot.Seq, slot: s.slot,
		more: s.more, root: s.root,
	}
	if rec.Entry.Kind == shoal.KindFile && s.root == [32]byte{} {
		c.refs = rec.Entry.refSet(rec.Epoch)
	}
	for _, r := range s.replaces {
		j, err := tx.journalNumber(r.journal)
		if err != nil {
			return nil, err
		}
		c.replaces = append(c.replaces, j.dot(r.seq))
	}
	return c, nil
}

// rootOf returns the root of the tree of the blocks of a long file whose recipe is known.
func rootOf(e *Entry, epoch shoal.EpochID) [32]byte {
	root, _ := block.RefTree(e.refSet(epoch))
	return root
}

// liveInSlot returns the journal's live record of a slot, by seq; 0: none.
func (tx *Tx) liveInSlot(j *journal, slot shoal.Slot) shoal.Seq {
	key := recordKey(j.number, shoal.Seq(slot))
	if v := tx.bucket(bSlots).Get(key); v != nil {
		seq, _ := binary.Uvarint(v)
		return shoal.Seq(seq)
	}
	if data := tx.bucket(bRecords).Get(key); data != nil && storedSlotOf(data, shoal.Seq(slot)) == slot {
		return shoal.Seq(slot)
	}
	return 0
}

// putRecord keeps a record; it does not touch slots.
func (tx *Tx) putRecord(r ref, s *stored) {
	tx.bucket(bRecords).Put(recordKey(r.journal, r.seq), s.encode(r.seq))
}

// setSlot notes the live record of a slot.
func (tx *Tx) setSlot(r ref, slot shoal.Slot) {
	if uint64(slot) != uint64(r.seq) {
		tx.bucket(bSlots).Put(recordKey(r.journal, shoal.Seq(slot)), binary.AppendUvarint(nil, uint64(r.seq)))
	}
}

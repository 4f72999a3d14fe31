package index

import (
	"maps"
	"slices"

	"github.com/shoalmesh/shoal"
)

// scribe writes a journal by hand, right or wrong, and signs heads over it.
type scribe struct {
	d       *device
	id      shoal.JournalID
	head    Head              // Continues and Others are used as they are
	records map[shoal.Seq]raw // live
	slots   map[shoal.Slot]shoal.Seq
	last    shoal.Seq
}

type raw = []byte

func newScribe(d *device, nonce uint64) *scribe {
	return &scribe{d: d, id: shoal.JournalID{Device: d.id.Device(), Nonce: nonce}, records: map[shoal.Seq]raw{}, slots: map[shoal.Slot]shoal.Seq{}}
}

// clear is the clear part of the next record of an entry.
func (s *scribe) clear(e *Entry, slot shoal.Slot) *clearPart {
	epoch, _ := s.d.keys.Current()
	c := &clearPart{mesh: s.d.world.mesh, folder: s.d.world.folder, epoch: epoch.ID, journal: s.id, seq: s.last + 1, slot: slot}
	if slot == 0 {
		c.slot = shoal.Slot(c.seq)
	}
	if e.Kind == shoal.KindFile && len(e.RecipeParts) == 0 {
		c.refs = e.refSet(epoch.ID)
	}
	return c
}

// seal makes the record of a clear part and an entry's bytes.
func (s *scribe) seal(c *clearPart, entry []byte) raw {
	epoch, _ := s.d.keys.Current()
	return newSealer(&epoch).seal(c.encode(), entry)
}

// write adds a proper record; slot 0 means a slot of its own.
func (s *scribe) write(e Entry, slot shoal.Slot) raw {
	if e.Time == 0 && !e.Joined {
		e.Time = int64(s.last) + 1
	}
	c := s.clear(&e, slot)
	return s.add(c.slot, s.seal(c, encodeEntry(&e, s.id)))
}

// add puts bytes into the journal as its next record.
func (s *scribe) add(slot shoal.Slot, r raw) raw {
	s.last++
	if slot == 0 {
		slot = shoal.Slot(s.last)
	}
	delete(s.records, s.slots[slot])
	s.slots[slot] = s.last
	s.records[s.last] = r
	return r
}

func (s *scribe) list() []BucketDigest {
	hashes := map[uint64][]byte{}
	for _, seq := range slices.Sorted(maps.Keys(s.records)) {
		h := recordHash(s.records[seq])
		hashes[uint64(seq)/BucketSize] = append(hashes[uint64(seq)/BucketSize], h[:]...)
	}
	var list []BucketDigest
	for _, n := range slices.Sorted(maps.Keys(hashes)) {
		list = append(list, BucketDigest{n, bucketDigest(hashes[n])})
	}
	return list
}

// sign returns the head as it stands; change may spoil it before it is signed.
func (s *scribe) sign(change ...func(*Head)) []byte {
	h := s.head
	h.Mesh, h.Folder, h.Journal, h.Seq = s.d.world.mesh, s.d.world.folder, s.id, s.last
	h.Count, h.Buckets, h.Time = uint64(len(s.records)), bucketListHash(s.list()), s.d.world.now.UnixNano()
	for _, f := range change {
		f(&h)
	}
	return h.sign(s.d.id)
}

func (s *scribe) batch(after shoal.Seq) Batch {
	b := Batch{Journal: s.id, From: after, To: s.last, Head: s.sign()}
	for _, seq := range slices.Sorted(maps.Keys(s.records)) {
		if seq > after {
			b.Records = append(b.Records, s.records[seq])
		}
	}
	return b
}

// accept gives a batch to a device.
func (d *device) accept(b Batch) (got Accepted, err error) {
	err = d.f.Update(d.world.t.Context(), func(tx *Tx) (err error) {
		got, err = tx.Accept(b)
		return err
	})
	return got, err
}

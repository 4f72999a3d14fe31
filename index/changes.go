package index

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// journalChanges is records that come to a journal and records that they supersede, until its digests are computed again.
type journalChanges struct {
	journal *journal
	seq     shoal.Seq           // the journal will reach
	count   uint64              // live records it will have
	touched map[uint64]struct{} // buckets
}

func newJournalChanges(j *journal) *journalChanges {
	return &journalChanges{journal: j, seq: j.seq, count: j.count, touched: make(map[uint64]struct{})}
}

func (c *journalChanges) touch(seq shoal.Seq) { c.touched[uint64(seq)/BucketSize] = struct{}{} }

// supersede removes a live record. rec is nil when it was set aside.
func (c *journalChanges) supersede(rows *rowUpdate, r ref, rec *Record) error {
	if rec != nil {
		if err := rows.detach(r, rec); err != nil {
			return err
		}
	}
	if rows.tx.keeping() {
		if err := rows.tx.leave(r); err != nil {
			return err
		}
	}
	key := recordKey(r.journal, r.seq)
	rows.tx.bucket(bRecords).Delete(key)
	if rec == nil {
		rows.tx.bucket(bRetries).Delete(key)
	}
	c.touch(r.seq)
	c.count--
	return nil
}

// add keeps a record as the live one of its slot. rec is nil when it is set aside.
func (c *journalChanges) add(rows *rowUpdate, r ref, s *stored, rec *Record) error {
	rows.tx.putRecord(r, s)
	rows.tx.setSlot(r, s.slot)
	c.touch(r.seq)
	c.count++
	c.seq = max(c.seq, r.seq)
	if rec == nil {
		return nil
	}
	return rows.attach(r, rec)
}

// digests computes and keeps the digests of the buckets that changed, and returns the whole list.
func (c *journalChanges) digests(tx *Tx) ([]BucketDigest, error) {
	b := tx.bucket(bDigests)
	for n := range c.touched {
		digest, live := tx.digestBucket(c.journal.number, n, c.seq)
		if live == 0 {
			b.Delete(bucketKey(c.journal.number, n))
		} else {
			b.Put(bucketKey(c.journal.number, n), digest[:])
		}
	}
	return tx.bucketList(c.journal)
}

// digestBucket computes the digest of the records of a bucket up to a seq, and counts them.
func (tx *Tx) digestBucket(journal uint32, n uint64, upTo shoal.Seq) (digest [32]byte, live int) {
	last := min(shoal.Seq(n*BucketSize+BucketSize-1), upTo)
	hashes := make([]byte, 0, 32*64)
	c := tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(recordKey(journal, shoal.Seq(n*BucketSize))); k != nil; k, v = c.Next() {
		if keyJournal(k) != journal || recordKeySeq(k) > last || len(v) < 33 {
			break
		}
		if live == cap(hashes)/32 {
			hashes = slices.Grow(hashes, 32*BucketSize)
		}
		hashes = append(hashes, v[1:33]...)
		live++
	}
	return bucketDigest(hashes), live
}

// bucketList returns the digests of what counts of a journal.
func (tx *Tx) bucketList(j *journal) ([]BucketDigest, error) {
	var list []BucketDigest
	c := tx.bucket(bDigests).Cursor()
	for k, v := c.Seek(bucketKey(j.number, 0)); k != nil && keyJournal(k) == j.number; k, v = c.Next() {
		if len(k) != 12 || len(v) != 32 {
			return nil, tx.damaged("digest", k, errShort)
		}
		list = append(list, BucketDigest{N: bucketKeyN(k), Digest: [32]byte(v)})
	}
	return list, nil
}

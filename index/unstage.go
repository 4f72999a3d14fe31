package index

import (
	"bytes"

	"github.com/shoalmesh/shoal"
)

// unstageBucket forgets the staged records of a bucket but those with the given hashes.
func (r *receiver) unstageBucket(n uint64, keep map[shoal.Seq][]byte) error {
	first := max(shoal.Seq(n*BucketSize), r.journal.seq+1)
	return r.unstage(first, shoal.Seq(n*BucketSize+BucketSize-1), keep)
}

func (r *receiver) unstage(first, last shoal.Seq, keep map[shoal.Seq][]byte) error {
	var gone []shoal.Seq
	c := r.tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(recordKey(r.journal.number, first)); k != nil && keyJournal(k) == r.journal.number; k, v = c.Next() {
		seq := recordKeySeq(k)
		if seq > last {
			break
		}
		if len(v) < 33 || !bytes.Equal(keep[seq], v[1:33]) {
			gone = append(gone, seq)
		}
	}
	for _, seq := range gone {
		if err := r.remove(ref{r.journal.number, seq}); err != nil {
			return err
		}
	}
	return nil
}

// remove forgets a record that does not count, and shows it no more.
func (r *receiver) remove(at ref) error {
	old, err := r.live(at)
	if err != nil {
		return err
	}
	if r.tx.keeping() {
		if err := r.tx.leave(at); err != nil {
			return err
		}
	}
	if old.rec != nil {
		if err := r.rows.detach(at, old.rec); err != nil {
			return err
		}
	}
	if slot := recordKey(at.journal, shoal.Seq(old.slot)); old.slot != shoal.Slot(at.seq) && r.tx.liveInSlot(r.journal, old.slot) == at.seq {
		r.tx.bucket(bSlots).Delete(slot)
	}
	key := recordKey(at.journal, at.seq)
	r.tx.bucket(bRecords).Delete(key)
	r.tx.bucket(bDeferred).Delete(key)
	r.tx.bucket(bRetries).Delete(key)
	return nil
}

// dropStage forgets a transfer and all that it brought.
func (r *receiver) dropStage() error {
	tx, j := r.tx, r.journal
	key := journalKey(j.number)
	if k, _ := tx.bucket(bStage).Cursor().Seek(key); k == nil || keyJournal(k) != j.number {
		return nil
	}
	if err := r.unstage(j.seq+1, maxSeq, nil); err != nil {
		return err
	}
	r.clearStage()
	return nil
}

// clearStage forgets the transfer's own notes.
func (r *receiver) clearStage() {
	tx, j := r.tx, r.journal
	for _, n := range tx.stagedBuckets(j) {
		tx.bucket(bStage).Delete(bucketKey(j.number, n))
	}
	tx.bucket(bStage).Delete(journalKey(j.number))
	for _, k := range tx.keysOf(bDeferred, j) {
		tx.bucket(bDeferred).Delete(k)
	}
}

// keysOf returns the keys of a journal in a bucket.
func (tx *Tx) keysOf(bucket int, j *journal) [][]byte {
	var keys [][]byte
	c := tx.bucket(bucket).Cursor()
	for k, _ := c.Seek(journalKey(j.number)); k != nil && keyJournal(k) == j.number; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

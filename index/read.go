package index

import (
	"bytes"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// ReadAfter returns what a journal has after a seq, up to its head. Call it in View: what an Update reads is not durable yet.
// Errors: ErrNotFound; ErrTooFar when the records have more than maxBytes.
func (tx *Tx) ReadAfter(id shoal.JournalID, after shoal.Seq, maxBytes int) (Batch, error) {
	j, err := tx.readable(id)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Journal: id, From: min(after, j.seq), To: j.seq, Head: bytes.Clone(j.head)}
	size := 0
	err = tx.eachRecord(j, b.From+1, j.seq, func(raw []byte) error {
		if size += len(raw); size > maxBytes {
			return fmt.Errorf("journal %s after %d: %w", id, after, ErrTooFar)
		}
		b.Records = append(b.Records, raw)
		return nil
	})
	return b, err
}

// readable returns a journal of which something counts here.
func (tx *Tx) readable(id shoal.JournalID) (*journal, error) {
	if err := tx.requireMember(); err != nil {
		return nil, err
	}
	t, err := tx.journalTable()
	if err != nil {
		return nil, err
	}
	j := t.byID[id]
	if j == nil || j.seq == 0 {
		return nil, fmt.Errorf("journal %s: %w", id, ErrNotFound)
	}
	return j, nil
}

// eachRecord calls fn with the live records of a journal from one seq to another, as they travel.
func (tx *Tx) eachRecord(j *journal, from, to shoal.Seq, fn func(raw []byte) error) error {
	c := tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(recordKey(j.number, from)); k != nil; k, v = c.Next() {
		seq := recordKeySeq(k)
		if keyJournal(k) != j.number || seq > to {
			return nil
		}
		s, err := decodeStored(v, seq)
		if err != nil {
			return tx.damaged("record", k, err)
		}
		raw, err := tx.travel(ref{j.number, seq}, s)
		if err != nil {
			return err
		}
		if err := fn(raw); err != nil {
			return err
		}
	}
	return nil
}

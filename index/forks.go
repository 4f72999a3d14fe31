package index

import (
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// noteFork keeps the evidence when err is a fork, and returns err.
func (tx *Tx) noteFork(err error) error {
	if fork, ok := errors.AsType[*ForkError](err); ok {
		return errors.Join(err, tx.putFork(fork))
	}
	return err
}

// putFork keeps the first evidence against a journal; more would prove nothing more.
func (tx *Tx) putFork(f *ForkError) error {
	if !tx.writable {
		return ErrReadOnly
	}
	b, key := tx.bucket(bForks), f.Journal.Bytes()
	if b.Get(key) == nil {
		b.Put(key, append(appendBytes(nil, f.Ours), f.Theirs...))
	}
	return nil
}

// Forks returns the journals that were seen with two histories, with the heads that prove it.
func (tx *Tx) Forks() ([]ForkError, error) {
	var out []ForkError
	c := tx.bucket(bForks).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		j, err := shoal.JournalIDFromBytes(k)
		d := decoder{data: v}
		ours := d.bytes()
		if err != nil || d.err != nil {
			return nil, tx.damaged("fork", k, errors.Join(err, d.err))
		}
		out = append(out, ForkError{Journal: j, Ours: append([]byte(nil), ours...), Theirs: append([]byte(nil), d.data...)})
	}
	return out, nil
}

// AgreedUpTo returns a seq up to which a journal is the same here as where a list of digests comes from: the end of the last
// bucket before the first that differs. It may be lower than need be, which is safe.
func (tx *Tx) AgreedUpTo(id shoal.JournalID, list []BucketDigest) (shoal.Seq, error) {
	j, err := tx.readable(id)
	if err != nil {
		return 0, err
	}
	ours, err := tx.bucketList(j)
	if err != nil {
		return 0, err
	}
	for i := range min(len(ours), len(list)) {
		if ours[i] != list[i] {
			return endBefore(min(ours[i].N, list[i].N)), nil
		}
	}
	if len(ours) < len(list) {
		return min(j.seq, endBefore(list[len(ours)].N)), nil
	}
	if len(list) < len(ours) {
		return endBefore(ours[len(list)].N), nil
	}
	return j.seq, nil
}

// endBefore returns the last seq before a bucket.
func endBefore(n uint64) shoal.Seq {
	if n == 0 {
		return 0
	}
	return shoal.Seq(n*BucketSize - 1)
}

// DropAbove forgets what a journal has above a seq, so that it is fetched again in the form that others have. Of the own journals
// only one that is not being written can be dropped: after OpenJournalAt, and when what this device alone had is recorded again.
func (tx *Tx) DropAbove(id shoal.JournalID, seq shoal.Seq) (Accepted, error) {
	var out Accepted
	err := tx.change(func() error {
		j, err := tx.readable(id)
		switch {
		case err != nil:
			return err
		case j.number == tx.writing:
			return fmt.Errorf("journal %s: %w", id, ErrOwnJournal)
		}
		return tx.cutJournal(j, seq, &out)
	})
	return out, err
}

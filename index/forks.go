package index

import (
	"errors"

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

package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
)

const metaOwn = "own" // number of the own journal that was written last

// ownJournal returns the journal that this device wrote last; nil: none yet.
func (tx *Tx) ownJournal() (*journal, error) {
	v := tx.bucket(bMeta).Get([]byte(metaOwn))
	if v == nil {
		return nil, nil
	}
	return tx.journalNumber(keyJournal(v))
}

func (tx *Tx) mustOwn() *journal {
	j, err := tx.ownJournal()
	if err != nil {
		panic(damage{err})
	}
	return j
}

// Own returns the journal that this device wrote last, and whether it is open for writing in this run. The zero ID: there is none.
func (tx *Tx) Own() (id shoal.JournalID, open bool) {
	if j := tx.mustOwn(); j != nil {
		return j.id, j.number == tx.writing
	}
	return shoal.JournalID{}, false
}

// OpenJournal begins a new journal for writing. It continues the last one up to where this database holds it.
func (tx *Tx) OpenJournal() error {
	own, err := tx.ownJournal()
	if err != nil {
		return err
	}
	var continues shoal.Dot
	switch {
	case own == nil:
	case own.foreign:
		continues = own.dot(own.held)
	case own.seq == 0: // nothing was ever written to it
		continues = own.continues
	default:
		continues = own.dot(own.seq)
	}
	return tx.openJournal(continues, nil)
}

// nonce draws a number that is not 0.
func (tx *Tx) nonce() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(tx.folder.db.options.Rand, b[:]); err != nil {
		return 0, fmt.Errorf("read randomness: %w", err)
	}
	return max(binary.BigEndian.Uint64(b[:]), 1), nil
}

// openJournal begins a journal that continues another one and leaves lives of it behind.
func (tx *Tx) openJournal(continues shoal.Dot, abandons []uint64) error {
	return tx.change(func() error {
		nonce, err := tx.nonce()
		if err != nil {
			return err
		}
		id := shoal.JournalID{Device: tx.config.Identity.Device(), Nonce: nonce}
		t, err := tx.journalTable()
		if err != nil {
			return err
		}
		if t.byID[id] != nil {
			return errors.New("the random source repeats itself")
		}
		j, err := tx.journalOf(id)
		if err != nil {
			return err
		}
		j.known, j.continues, j.abandons = true, continues, abandons
		if older := t.byID[continues.Journal]; older != nil {
			j.lastTime = older.lastTime
		}
		t.lineage = nil
		tx.putJournal(j)
		tx.bucket(bMeta).Put([]byte(metaOwn), journalKey(j.number))
		tx.startWriting(j.number)
		tx.after = append(tx.after, func() { crashpoint.Here("journal: opened") })
		return nil
	})
}

// startWriting opens a journal in this transaction, and in the folder once it is committed.
func (tx *Tx) startWriting(number uint32) {
	tx.writing = number
	tx.after = append(tx.after, func() { tx.folder.writing.Store(number) })
}

// ContinueJournal goes on in the journal that this device wrote last. The caller has proof that this database holds its end: a
// peer showed the same head, or it never left the device (JournalShared). Heads say that this is another life of the journal.
// Errors: ErrNoJournal: there is none; ErrForeignJournal: it grew by records from elsewhere, so there is no such proof;
// ErrManyLives: it was continued MaxLives times.
func (tx *Tx) ContinueJournal() error {
	if !tx.writable {
		return ErrReadOnly
	}
	j, err := tx.ownJournal()
	if err != nil {
		return err
	}
	switch {
	case j == nil:
		return ErrNoJournal
	case j.foreign:
		return ErrForeignJournal
	case len(j.lives) >= MaxLives:
		return ErrManyLives
	}
	nonce, err := tx.nonce()
	if err != nil {
		return err
	}
	j.lives = append(j.lives, life{after: j.seq, nonce: nonce})
	tx.putJournal(j)
	tx.startWriting(j.number)
	return nil
}

// JournalShared tells whether the journal that this device wrote last has ever left it.
func (tx *Tx) JournalShared() bool {
	j := tx.mustOwn()
	return j != nil && j.shared
}

// MarkShared notes that the own journal leaves the device. It must be durable before the first record does.
func (tx *Tx) MarkShared() error {
	if !tx.writable {
		return ErrReadOnly
	}
	j, err := tx.ownJournal()
	if err != nil || j == nil || j.shared {
		return err
	}
	j.shared = true
	tx.putJournal(j)
	return nil
}

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
	return tx.openJournal(continues)
}

// OpenJournalAt is OpenJournal for a device that was told that its last journal has two histories: the new one continues it at
// seq, the last one below which both agree (AgreedUpTo), or lower. What this device alone had above is to be recorded again.
func (tx *Tx) OpenJournalAt(seq shoal.Seq) error {
	own, err := tx.ownJournal()
	switch {
	case err != nil:
		return err
	case own == nil:
		return ErrNoJournal
	case own.foreign:
		seq = min(seq, own.held)
	}
	return tx.openJournal(own.dot(min(seq, own.seq)))
}

func (tx *Tx) openJournal(continues shoal.Dot) error {
	return tx.change(func() error {
		var nonce [8]byte
		if _, err := io.ReadFull(tx.folder.db.options.Rand, nonce[:]); err != nil {
			return fmt.Errorf("read randomness: %w", err)
		}
		id := shoal.JournalID{Device: tx.config.Identity.Device(), Nonce: binary.BigEndian.Uint64(nonce[:])}
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
		j.known, j.continues = true, continues
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
// peer showed the same head, or it never left the device (JournalShared). Errors: ErrNoJournal: there is none;
// ErrForeignJournal: it grew by records from elsewhere, so there is no such proof.
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
	}
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

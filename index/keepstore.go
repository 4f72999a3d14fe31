package index

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Stored is a sealed copy of a block that has come into the block store.
type Stored struct {
	Block  block.EpochRef
	Sealed [32]byte       // hash of the copy
	Bytes  int            // of the copy
	From   shoal.DeviceID // whom it came from; zero: nobody knows
	// Found says that the block was found in the store: Bytes are those of all its copies, of which one at least is doubted by nobody.
	Found bool
}

// PutStored notes copies that are durable in the block store. Those that nothing demands are noted too: they are let go of in time.
func (tx *Tx) PutStored(copies []Stored) error {
	return tx.change(func() error {
		for i := range copies {
			if err := tx.putStored(&copies[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (tx *Tx) putStored(c *Stored) error {
	from, err := tx.uploader(c.From)
	if err != nil {
		return err
	}
	epoch, err := tx.keptEpoch(c.Block.Epoch)
	if err != nil {
		return err
	}
	key := useKey(c.Block.ID, epoch)
	if noted, err := tx.putAgain(key, c); noted || err != nil {
		return err
	}
	another := false
	err = tx.changeUse(key, func(u *use) {
		if !u.stored() && u.live == 0 && u.kept == 0 {
			u.since = tx.now()
		}
		another = u.bytes > 0 && !u.dying && !c.Found
		switch {
		case c.Found:
			u.bytes = uint64(c.Bytes)
		case another:
			u.bytes += uint64(c.Bytes)
		default:
			u.bytes, u.from = uint64(c.Bytes), from
		}
		u.held, u.dying = true, false
	})
	if err == nil && (another || tx.config.Shared && !c.Found) {
		line := heldCopy{from: from}
		tx.bucket(bCopies).Put(copyKey(key, c.Sealed), line.encode())
	}
	return err
}

// putAgain tells whether the very copy was noted before. In a store that others share it may have been gone meanwhile.
func (tx *Tx) putAgain(key []byte, c *Stored) (noted bool, err error) {
	if c.Found || tx.bucket(bCopies).Get(copyKey(key, c.Sealed)) == nil {
		return false, nil
	}
	if !tx.config.Shared {
		return true, nil
	}
	line, _, err := tx.loadCopy(key, c.Sealed)
	if err != nil || len(line.doubters) > 0 {
		return true, err
	}
	return true, tx.changeUse(key, func(u *use) {
		u.bytes = max(u.bytes, uint64(c.Bytes))
		u.held, u.dying = true, false
	})
}

// LetGo ends the keeping of what was superseded, cut off or replaced before a time, up to max records, and tells whether there
// are more.
func (tx *Tx) LetGo(before time.Time, max int) (more bool, err error) {
	err = tx.change(func() error {
		var keys [][]byte
		c := tx.bucket(bExpiry).Cursor()
		for k, _ := c.Seek(nil); len(k) > 8 && int64(binary.BigEndian.Uint64(k)) < before.UnixNano(); k, _ = c.Next() {
			if more = len(keys) == max; more {
				break
			}
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			if err := tx.letGo(k[8:]); err != nil {
				return err
			}
			tx.bucket(bExpiry).Delete(k)
		}
		return nil
	})
	return more, err
}

func (tx *Tx) letGo(key []byte) error {
	if len(key) == keptKeyBytes {
		return tx.forgetKept(key)
	}
	at := ref{keyJournal(key), recordKeySeq(key)}
	s, err := tx.load(at)
	if err != nil {
		return err
	}
	e := tx.replacedEntry(key)
	if s == nil || e.count == 0 || e.released {
		return tx.damaged("replaced record", key, errShort)
	}
	e.released = true
	tx.putReplaced(key, e)
	return tx.claim(key, s, demandKept, demandNone)
}

// BeginDrop chooses up to max blocks that no record, live or kept, has demanded since a time, and marks them: they may be deleted from the
// store, and count as not being there. EndDrop must follow when they are; if it does not, because of a crash, they are chosen
// again. Nothing may be put into the store in between.
func (tx *Tx) BeginDrop(before time.Time, max int) ([]block.EpochRef, error) {
	var out []block.EpochRef
	err := tx.change(func() error {
		var keys [][]byte
		c := tx.bucket(bIdle).Cursor()
		for k, _ := c.Seek(nil); len(k) == 8+useKeyBytes && len(keys) < max && int64(binary.BigEndian.Uint64(k)) < before.UnixNano(); k, _ = c.Next() {
			keys = append(keys, bytes.Clone(k[8:]))
		}
		for _, k := range keys {
			ref, err := tx.keyRef(k)
			if err == nil {
				err = tx.changeUse(k, func(u *use) { u.held, u.dying = false, true })
			}
			if err != nil {
				return err
			}
			out = append(out, ref)
		}
		return nil
	})
	return out, err
}

// EndDrop notes that blocks which BeginDrop chose are gone from the store.
func (tx *Tx) EndDrop(refs []block.EpochRef) error {
	return tx.change(func() error {
		for _, r := range refs {
			key, err := tx.refKey(r)
			if err != nil {
				return err
			}
			if u, err := tx.loadUse(key); err != nil || !u.dying {
				if err != nil {
					return err
				}
				continue
			}
			if err := tx.forgetCopies(key); err != nil {
				return err
			}
			if err := tx.changeUse(key, func(u *use) { u.dying, u.bytes, u.from = false, 0, 0 }); err != nil {
				return err
			}
		}
		return nil
	})
}

package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index/kv"
)

// Several keepers may have one block store, and tell each other by a ledger what they accepted (package vault/replica). Then (FolderConfig.Shared):
//
//   - A block that nothing live demanded may have been deleted by another. So one that is demanded as live again counts as lacking until it was looked for.
//   - Nothing but PutStored has a block count as here: what a doubt that is dropped, or another copy, would bring back counts as lacking, too.
//   - Of each copy that came here it is noted who gave it, since others put copies of the same block.
//   - Reference nodes are in the database only, so each that came is noted until the others were told of it.

const metaUntold = "untold" // greatest number of an untold node

// noteUntold puts a node on the list of those that others are to be told of, in the order in which they came: parents before children.
func (tx *Tx) noteUntold(hash [32]byte) {
	n, _ := binary.Uvarint(tx.bucket(bMeta).Get([]byte(metaUntold)))
	n++
	tx.bucket(bMeta).Put([]byte(metaUntold), binary.AppendUvarint(nil, n))
	tx.bucket(bUntold).Put(append(binary.BigEndian.AppendUint64(nil, n), hash[:]...), nil)
}

// UntoldNode is a reference node that others were not told of. Data is empty when nothing demands it any more.
type UntoldNode struct {
	Key  []byte // for NodesTold
	Hash [32]byte
	Data []byte
}

// UntoldNodes returns the first nodes that others were not told of, up to about max bytes of them.
func (tx *Tx) UntoldNodes(max int) ([]UntoldNode, error) {
	var out []UntoldNode
	c := tx.bucket(bUntold).Cursor()
	for k, _ := c.Seek(nil); k != nil && max > 0; k, _ = c.Next() {
		if len(k) != 40 {
			return nil, tx.damaged("untold node", k, errShort)
		}
		u := UntoldNode{Key: bytes.Clone(k), Hash: [32]byte(k[8:])}
		n, err := tx.loadNode(u.Hash)
		if err != nil {
			return nil, err
		}
		u.Data = bytes.Clone(n.data)
		out = append(out, u)
		max -= len(u.Data) + len(k)
	}
	return out, nil
}

// NodesTold ends the noting of nodes, by their keys.
func (tx *Tx) NodesTold(keys [][]byte) error {
	return tx.change(func() error {
		for _, k := range keys {
			tx.bucket(bUntold).Delete(k)
		}
		return nil
	})
}

// Transferring tells whether a transfer by buckets is under way.
func (tx *Tx) Transferring() bool {
	k, _ := tx.bucket(bStage).Cursor().Seek(nil)
	return k != nil
}

// EndTransfer forgets a transfer of a journal by buckets, and what it brought.
func (tx *Tx) EndTransfer(id shoal.JournalID) error {
	return tx.change(func() error {
		t, err := tx.journalTable()
		if err != nil || t.byID[id] == nil {
			return err
		}
		r := tx.newReceiver(t.byID[id], maxSeq)
		if err := r.dropStage(); err != nil {
			return err
		}
		_, err = r.rows.finish()
		return err
	})
}

// Retain keeps a record beside its journal as if it had just been superseded: another keeper had it, and here it never counted. One that is live here, or kept already,
// stays as it is. Errors: ErrMalformed.
func (tx *Tx) Retain(id shoal.JournalID, raw []byte) error {
	if !tx.keeping() {
		return fmt.Errorf("retain a record in a folder with keys: %w", ErrNoKey)
	}
	return tx.change(func() error {
		j, err := tx.journalOf(id)
		if err != nil {
			return err
		}
		in, err := tx.newReceiver(j, maxSeq).read(raw)
		if err != nil {
			return err
		}
		key := recordKey(j.number, in.clear.seq)
		here, err := tx.load(ref{j.number, in.clear.seq})
		kept := keptKey(key, in.s.hash)
		if err != nil || here != nil && here.hash == in.s.hash || tx.bucket(bKept).Get(kept) != nil {
			return err
		}
		sums, err := tx.loadKeepSums()
		if err != nil {
			return err
		}
		sums.kept++
		sums.keptBytes += int64(len(in.s.raw))
		sums.changed = true
		now := tx.now()
		tx.putJournal(j)
		tx.bucket(bKept).Put(kept, append(binary.BigEndian.AppendUint64(nil, uint64(now)), in.s.encode(in.clear.seq)...))
		tx.bucket(bExpiry).Put(expiryKey(now, kept), nil)
		return tx.claim(key, in.s, demandNone, demandKept)
	})
}

// Counted returns up to max blocks that live records need and that count as being in the store, and come after one, in the order of their IDs; the zero ref is before all.
func (tx *Tx) Counted(after block.EpochRef, max int) ([]block.EpochRef, error) {
	from, err := tx.refKey(after)
	if err != nil {
		return nil, err
	}
	var out []block.EpochRef
	c := tx.bucket(bUses).Cursor()
	for k, _ := c.Seek(from); k != nil && len(out) < max; k, _ = c.Next() {
		u, err := tx.loadUse(k)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(k, from) || u.live == 0 || !u.held {
			continue
		}
		ref, err := tx.keyRef(k)
		if err != nil {
			return nil, err
		}
		out = append(out, ref)
	}
	return out, nil
}

// LookAgain has a block count as lacking, where a live record needs it, until it was looked for in the store.
func (tx *Tx) LookAgain(r block.EpochRef) error {
	at, err := tx.refKey(r)
	if err != nil || len(at) == 0 || tx.bucket(bUses).Get(at) == nil {
		return err
	}
	return tx.change(func() error { return tx.changeUse(at, func(u *use) { u.held = false }) })
}

// notePrefix is before the names of notes in the bucket of the database.
const notePrefix = "note."

// Note returns what PutNote kept under a name; nil: nothing.
func (db *DB) Note(name string) (value []byte, err error) {
	err = db.store.View(func(tx kv.Tx) error {
		value = bytes.Clone(tx.Bucket(metaBucket).Get([]byte(notePrefix + name)))
		return nil
	})
	return value, db.wrap(err)
}

// PutNote keeps something of the database's owner in it, durably.
func (db *DB) PutNote(name string, value []byte) error {
	return db.wrap(db.store.Update(func(tx kv.Tx) error {
		tx.Bucket(metaBucket).Put([]byte(notePrefix+name), value)
		return nil
	}))
}

// WriteTo writes the database as it is at one moment to w. Open opens what was written; Inherit should follow. It works for databases in files.
func (db *DB) WriteTo(w io.Writer) (int64, error) {
	file, ok := db.store.(io.WriterTo)
	if !ok {
		return 0, fmt.Errorf("write a database that is in no file: %w", shoal.ErrInvalid)
	}
	n, err := file.WriteTo(w)
	return n, db.wrap(err)
}

// Inherit makes a database that another device wrote (WriteTo) this one's: it gets a number of its own, and transfers that were under way are forgotten. config is that of
// each folder.
func (db *DB) Inherit(ctx context.Context, config FolderConfig) error {
	if err := db.wrap(db.store.Update(db.initialize)); err != nil {
		return err
	}
	ids, err := db.Folders()
	if err != nil {
		return err
	}
	for _, id := range ids {
		f, err := db.Folder(id, config)
		if err != nil {
			return err
		}
		err = f.Update(ctx, func(tx *Tx) error {
			t, err := tx.journalTable()
			if err != nil {
				return err
			}
			for _, j := range slices.Clone(t.list) {
				if err := tx.EndTransfer(j.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("inherit folder %s: %w", id, err)
		}
	}
	return nil
}

package index

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Need is a block that a record of a keeper needs.
type Need struct {
	Record shoal.Dot
	Block  block.EpochRef
	// Live says that the record is live and no other replaces it, so that the block must be here before the record is acknowledged. Of the others, which are
	// kept because they were live not long ago, a block is kept if it is here; it is not asked for any more.
	Live bool
	// Node says that it is no block, but a reference node which is not here: Block has its hash.
	Node bool
}

// EachNeed calls fn with what the records need up to a frontier: those in journals, and those kept beside because they were superseded, cut off or
// replaced. Records that were let go of are left out. It stops at fn's first error, which it returns.
func (tx *Tx) EachNeed(upTo map[shoal.JournalID]shoal.Seq, fn func(Need) error) error {
	c := tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		s, err := decodeStored(v, recordKeySeq(k))
		if err != nil {
			return tx.damaged("record", k, err)
		}
		e := tx.replacedEntry(k)
		if e.count > 0 && e.released {
			continue
		}
		if err := tx.needsUpTo(k, s, upTo, Need{Live: e.count == 0}, fn); err != nil {
			return err
		}
	}
	c = tx.bucket(bKept).Cursor()
	for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
		_, s, err := tx.loadKept(k)
		if err == nil {
			err = tx.needsUpTo(k[:10], s, upTo, Need{}, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) needsUpTo(key []byte, s *stored, upTo map[shoal.JournalID]shoal.Seq, n Need, fn func(Need) error) error {
	j, err := tx.journalNumber(keyJournal(key))
	if err != nil {
		return err
	}
	n.Record = j.dot(recordKeySeq(key))
	if n.Record.Seq > upTo[n.Record.Journal] {
		return nil
	}
	needs, err := tx.needsOf(key, s)
	if err != nil {
		return err
	}
	for _, n.Block = range needs.refs {
		if err := fn(n); err != nil {
			return err
		}
	}
	if needs.root == ([32]byte{}) {
		return nil
	}
	return tx.treeNeeds(n, needs.root, map[[32]byte]bool{}, fn)
}

// treeNeeds goes through a reference tree; each node once.
func (tx *Tx) treeNeeds(n Need, hash [32]byte, seen map[[32]byte]bool, fn func(Need) error) error {
	if seen[hash] {
		return nil
	}
	seen[hash] = true
	stored, err := tx.loadNode(hash)
	if err != nil {
		return err
	}
	if len(stored.data) == 0 {
		n.Block, n.Node = block.EpochRef{ID: hash}, true
		return fn(n)
	}
	decoded, err := block.DecodeRefNode(stored.data)
	if err != nil {
		return tx.damaged("reference node", hash[:], err)
	}
	for _, n.Block = range decoded.Refs {
		if err := fn(n); err != nil {
			return err
		}
	}
	for _, child := range decoded.Children {
		if err := tx.treeNeeds(n, child, seen, fn); err != nil {
			return err
		}
	}
	return nil
}

package index

import (
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// EachNeed calls fn with each block that a record of a keeper needs, for the records up to a frontier: those in journals, and those kept beside
// because they were superseded, cut off or replaced. Records that were let go of are left out. It stops at fn's first error, which
// it returns. Errors: ErrIncomplete: a reference node is missing.
func (tx *Tx) EachNeed(upTo map[shoal.JournalID]shoal.Seq, fn func(record shoal.Dot, b block.EpochRef) error) error {
	c := tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		s, err := decodeStored(v, recordKeySeq(k))
		if err != nil {
			return tx.damaged("record", k, err)
		}
		if e := tx.replacedEntry(k); e.count > 0 && e.released {
			continue
		}
		if err := tx.needsUpTo(k, s, upTo, fn); err != nil {
			return err
		}
	}
	c = tx.bucket(bKept).Cursor()
	for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
		_, s, err := tx.loadKept(k)
		if err == nil {
			err = tx.needsUpTo(k[:10], s, upTo, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) needsUpTo(key []byte, s *stored, upTo map[shoal.JournalID]shoal.Seq, fn func(shoal.Dot, block.EpochRef) error) error {
	j, err := tx.journalNumber(keyJournal(key))
	if err != nil {
		return err
	}
	at := j.dot(recordKeySeq(key))
	if at.Seq > upTo[at.Journal] {
		return nil
	}
	needs, err := tx.needsOf(key, s)
	if err != nil {
		return err
	}
	for _, r := range needs.refs {
		if err := fn(at, r); err != nil {
			return err
		}
	}
	if needs.root == ([32]byte{}) {
		return nil
	}
	return tx.treeNeeds(at, needs.root, map[[32]byte]bool{}, fn)
}

// treeNeeds goes through a reference tree; each node once.
func (tx *Tx) treeNeeds(at shoal.Dot, hash [32]byte, seen map[[32]byte]bool, fn func(shoal.Dot, block.EpochRef) error) error {
	if seen[hash] {
		return nil
	}
	seen[hash] = true
	n, err := tx.loadNode(hash)
	if err != nil {
		return err
	}
	if len(n.data) == 0 {
		return fmt.Errorf("reference node %x of record %s: %w", hash[:4], at, ErrIncomplete)
	}
	decoded, err := block.DecodeRefNode(n.data)
	if err != nil {
		return tx.damaged("reference node", hash[:], err)
	}
	for _, r := range decoded.Refs {
		if err := fn(at, r); err != nil {
			return err
		}
	}
	for _, child := range decoded.Children {
		if err := tx.treeNeeds(at, child, seen, fn); err != nil {
			return err
		}
	}
	return nil
}

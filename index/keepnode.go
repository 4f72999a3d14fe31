package index

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal/block"
)

// The blocks of a long file stand in a tree of reference nodes, of which its record names the root. A keeper gets the nodes from
// devices (they follow from the recipe), checks each against its hash, and keeps them. A node demands its children as it is demanded
// itself. That may concern a million blocks, so it is not done in the transaction of the record: the node is put on a list of
// work, and WorkNodes passes demands on, a few nodes at a time.

// node is what is known of one reference node.
type node struct {
	live, kept uint64   // records and nodes that demand it so
	given      demand   // what its children were told
	root       [32]byte // of the tree by which it was last demanded
	data       []byte   // encoded; empty: it is not here
}

func (n *node) encode() []byte {
	b := append(make([]byte, 0, 48+len(n.data)), byte(n.given))
	b = binary.AppendUvarint(b, n.live)
	b = binary.AppendUvarint(b, n.kept)
	return append(append(b, n.root[:]...), n.data...)
}

func (tx *Tx) loadNode(hash [32]byte) (n node, err error) {
	v := tx.bucket(bNodes).Get(hash[:])
	if v == nil {
		return n, nil
	}
	d := decoder{data: v}
	n.given = demand(d.byte())
	n.live, n.kept, n.root = d.uvarint(), d.uvarint(), d.array32()
	n.data = d.data
	if d.err != nil || n.given > demandKept {
		return n, tx.damaged("reference node", hash[:], errShort)
	}
	return n, nil
}

// demands is what the node's children should know.
func (n *node) demands() demand {
	switch {
	case n.live > 0:
		return demandLive
	case n.kept > 0:
		return demandKept
	}
	return demandNone
}

func (n *node) lacking() bool { return n.live > 0 && len(n.data) == 0 }
func (n *node) toDo() bool    { return len(n.data) > 0 && n.given != n.demands() }

// changeNode lets fn change what is known of a node, and keeps the lists and sums that follow from it.
func (tx *Tx) changeNode(hash [32]byte, fn func(*node)) error {
	old, err := tx.loadNode(hash)
	if err != nil {
		return err
	}
	sums, err := tx.loadKeepSums()
	if err != nil {
		return err
	}
	n := old
	fn(&n)
	if n.lacking() != old.lacking() {
		sums.lackingNodes += count(n.lacking()) - count(old.lacking())
		listed(tx.bucket(bLackingNodes), hash[:], n.lacking())
	}
	if n.toDo() != old.toDo() {
		sums.work += count(n.toDo()) - count(old.toDo())
		listed(tx.bucket(bWork), hash[:], n.toDo())
	}
	gone := n.demands() == demandNone && n.given == demandNone
	if gone {
		n.data = nil
		tx.bucket(bNodes).Delete(hash[:])
	} else {
		tx.bucket(bNodes).Put(hash[:], n.encode())
	}
	sums.nodes += count(len(n.data) > 0) - count(len(old.data) > 0)
	sums.nodeBytes += int64(len(n.data)) - int64(len(old.data))
	sums.changed = true
	return nil
}

// listed puts a key into a set, or takes it out.
func listed(b interface {
	Put(key, value []byte)
	Delete(key []byte)
}, key []byte, in bool) {
	if in {
		b.Put(bytes.Clone(key), nil)
		return
	}
	b.Delete(key)
}

// claimNode moves one demand for a node.
func (tx *Tx) claimNode(hash, root [32]byte, from, to demand) error {
	return tx.changeNode(hash, func(n *node) {
		move(&n.live, &n.kept, from, to)
		if to != demandNone {
			n.root = root
		}
	})
}

// PutNode keeps a reference node that is lacking; one that is not demanded is dropped. Errors: ErrMismatch: it does not match
// its hash; ErrMalformed.
func (tx *Tx) PutNode(hash [32]byte, data []byte) error {
	return tx.putNode(hash, data, !tx.config.Shared)
}

// PutToldNode is PutNode for what another keeper told of.
func (tx *Tx) PutToldNode(hash [32]byte, data []byte) error { return tx.putNode(hash, data, true) }

func (tx *Tx) putNode(hash [32]byte, data []byte, told bool) error {
	if blake3.Sum256(data) != hash {
		return fmt.Errorf("reference node %x: %w", hash[:4], ErrMismatch)
	}
	if _, err := block.DecodeRefNode(data); err != nil {
		return fmt.Errorf("reference node %x: %w: %w", hash[:4], ErrMalformed, err)
	}
	return tx.change(func() error {
		n, err := tx.loadNode(hash)
		if err != nil || n.demands() == demandNone {
			return err
		}
		if !told && len(n.data) == 0 {
			tx.noteUntold(hash)
		}
		return tx.changeNode(hash, func(n *node) { n.data = bytes.Clone(data) })
	})
}

// WorkNodes passes the demands of up to max nodes on to their children, at most 1,024 each, and tells whether there are more.
func (tx *Tx) WorkNodes(max int) (more bool, err error) {
	err = tx.change(func() error {
		var hashes [][32]byte
		c := tx.bucket(bWork).Cursor()
		for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
			if more = len(hashes) == max; more {
				break
			}
			hashes = append(hashes, [32]byte(k))
		}
		for _, h := range hashes {
			if err := tx.workNode(h); err != nil {
				return err
			}
		}
		sums, err := tx.loadKeepSums()
		more = more || err == nil && sums.work > 0 // children of those that were done
		return err
	})
	return more, err
}

func (tx *Tx) workNode(hash [32]byte) error {
	n, err := tx.loadNode(hash)
	if err != nil {
		return err
	}
	to := n.demands()
	decoded, err := block.DecodeRefNode(n.data)
	if err != nil {
		return tx.damaged("reference node", hash[:], err)
	}
	for _, r := range decoded.Refs {
		epoch, err := tx.keptEpoch(r.Epoch)
		if err != nil {
			return err
		}
		if err := tx.claimBlock(useKey(r.ID, epoch), n.root[:], n.given, to); err != nil {
			return err
		}
	}
	for _, child := range decoded.Children {
		if child == hash {
			continue
		}
		if err := tx.claimNode(child, n.root, n.given, to); err != nil {
			return err
		}
	}
	return tx.changeNode(hash, func(n *node) { n.given = to })
}

package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Kept are the sizes of a folder that is kept without keys.
type Kept struct {
	Records, RecordBytes   int64 // in journals and transfers
	Retained, RetainedSize int64 // superseded records that are kept beside, and their bytes
	Blocks, BlockBytes     int64 // that are in the block store, and the bytes of their sealed copies
	Nodes, NodeBytes       int64 // of reference trees
	Lacking                int64 // blocks and reference nodes that live records need and that are not here
	Working                bool  // nodes wait for WorkNodes: more may be lacking than is known
}

// Whole tells that everything that live records need is here.
func (k *Kept) Whole() bool { return k.Lacking == 0 && !k.Working }

// Bytes is all that the folder takes, but for the database's own overhead.
func (k *Kept) Bytes() int64 { return k.RecordBytes + k.RetainedSize + k.BlockBytes + k.NodeBytes }

// Kept returns the sizes of a folder that is kept without keys.
func (tx *Tx) Kept() (Kept, error) {
	s, err := tx.loadKeepSums()
	if err != nil {
		return Kept{}, err
	}
	return Kept{
		Records: s.records, RecordBytes: s.recordBytes, Retained: s.kept, RetainedSize: s.keptBytes, Blocks: s.blocks, BlockBytes: s.blockBytes,
		Nodes: s.nodes, NodeBytes: s.nodeBytes, Lacking: s.lacking + s.lackingNodes, Working: s.work > 0,
	}, nil
}

// Lack is something that live records need and that is not here.
type Lack struct {
	Block block.EpochRef // of a reference node: its hash as ID, and no epoch
	Node  bool
	// Record is one that needs it, if it is of a long file: who has the file finds parts of its recipe and reference nodes by it.
	Record shoal.Dot
}

// Lacking returns up to max lacking blocks that come after one, in the order of their IDs; the zero ref is before all.
func (tx *Tx) Lacking(after block.EpochRef, max int) ([]Lack, error) {
	var out []Lack
	from, err := tx.refKey(after)
	if err != nil {
		return nil, err
	}
	c := tx.bucket(bLacking).Cursor()
	for k, _ := c.Seek(from); k != nil && len(out) < max; k, _ = c.Next() {
		if bytes.Equal(k, from) {
			continue
		}
		ref, err := tx.keyRef(k)
		if err != nil {
			return nil, err
		}
		if ref.Epoch == (shoal.EpochID{}) {
			continue // of an epoch beyond maxKeptEpochs; nobody can be asked for it
		}
		u, err := tx.loadUse(k)
		if err != nil {
			return nil, err
		}
		l := Lack{Block: ref}
		if len(u.root) == 32 {
			if l.Record, err = tx.recordOfTree([32]byte(u.root)); err != nil {
				return nil, err
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// LackingNodes returns up to max lacking reference nodes whose hashes come after one; zero is before all.
func (tx *Tx) LackingNodes(after block.ID, max int) ([]Lack, error) {
	var out []Lack
	c := tx.bucket(bLackingNodes).Cursor()
	for k, _ := c.Seek(after[:]); k != nil && len(out) < max; k, _ = c.Next() {
		if len(k) != 32 {
			return nil, tx.damaged("lacking node", k, errShort)
		}
		if bytes.Equal(k, after[:]) {
			continue
		}
		n, err := tx.loadNode([32]byte(k))
		if err != nil {
			return nil, err
		}
		l := Lack{Block: block.EpochRef{ID: block.ID(k)}, Node: true}
		if l.Record, err = tx.recordOfTree(n.root); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// recordOfTree returns a record whose blocks stand in the tree of this root; zero: none is here any more.
func (tx *Tx) recordOfTree(root [32]byte) (shoal.Dot, error) {
	k, _ := tx.bucket(bRoots).Cursor().Seek(root[:])
	if len(k) != 42 || !bytes.HasPrefix(k, root[:]) {
		return shoal.Dot{}, nil
	}
	j, err := tx.journalNumber(keyJournal(k[32:]))
	if err != nil {
		return shoal.Dot{}, err
	}
	return j.dot(recordKeySeq(k[32:])), nil
}

// refKey returns the key of a block that was seen before; the zero ref has an empty one.
func (tx *Tx) refKey(r block.EpochRef) ([]byte, error) {
	if r == (block.EpochRef{}) {
		return nil, nil
	}
	t, err := tx.epochTable()
	if err != nil {
		return nil, err
	}
	return useKey(r.ID, t.numbers[r.Epoch]), nil
}

func (tx *Tx) keyRef(k []byte) (r block.EpochRef, err error) {
	if len(k) != useKeyBytes {
		return r, tx.damaged("block", k, errShort)
	}
	copy(r.ID[:], k)
	if n := binary.BigEndian.Uint32(k[32:]); n > 0 {
		r.Epoch, err = tx.epochID(n)
	}
	return r, err
}

// Demand says whether a block is wanted or kept here.
type Demand struct {
	Known  bool  // something is known of it: it is demanded, or in the store
	Live   bool  // a live record needs it
	Held   bool  // a copy that nobody doubts is in the store
	Dying  bool  // it is being deleted: BeginDrop chose it
	Stored int64 // bytes of its copies in the store
}

// DemandFor tells what is known of a block.
func (tx *Tx) DemandFor(r block.EpochRef) (Demand, error) {
	key, err := tx.refKey(r)
	if err != nil || tx.bucket(bUses).Get(key) == nil {
		return Demand{}, err
	}
	u, err := tx.loadUse(key)
	return Demand{Known: true, Live: u.live > 0, Held: u.held, Dying: u.dying, Stored: int64(u.bytes)}, err
}

// Held returns up to max blocks that come after one and of which a copy counts as being in the store; the zero ref is before all. next is where to
// go on; zero: that was all. It looks at no more than 4,096 blocks.
func (tx *Tx) Held(after block.EpochRef, max int) (held []block.EpochRef, next block.EpochRef, err error) {
	from, err := tx.refKey(after)
	if err != nil {
		return nil, next, err
	}
	looked := 0
	c := tx.bucket(bUses).Cursor()
	for k, _ := c.Seek(from); k != nil; k, _ = c.Next() {
		if bytes.Equal(k, from) {
			continue
		}
		ref, err := tx.keyRef(k)
		if err != nil {
			return nil, next, err
		}
		u, err := tx.loadUse(k)
		if err != nil {
			return nil, next, err
		}
		if u.held {
			held = append(held, ref)
		}
		if looked++; looked == 4096 || len(held) == max {
			return held, ref, nil
		}
	}
	return held, next, nil
}

// Node returns a reference node that is here; nil: it is not.
func (tx *Tx) Node(hash [32]byte) ([]byte, error) {
	n, err := tx.loadNode(hash)
	return bytes.Clone(n.data), err
}

// Upload is what one device has given.
type Upload struct {
	Blocks, Bytes int64
}

// Uploads returns what is in the store by the device that gave the first copy.
func (tx *Tx) Uploads() (map[shoal.DeviceID]Upload, error) {
	out := make(map[shoal.DeviceID]Upload)
	b := tx.bucket(bUploaders)
	c := b.Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		if len(k) != 32 {
			continue
		}
		u, err := tx.upload(b.Get(v))
		if err != nil || len(v) != 4 {
			return nil, tx.damaged("uploads", k, errShort)
		}
		if u != (Upload{}) { // else it gave nothing that is here, or only doubted something
			out[shoal.DeviceID(k)] = u
		}
	}
	return out, nil
}

func (tx *Tx) upload(v []byte) (u Upload, err error) {
	if v == nil {
		return u, nil
	}
	d := decoder{data: v}
	u.Blocks, u.Bytes = d.varint(), d.varint()
	return u, d.end()
}

// countUpload moves the share of a block from what it was to what it is.
func (tx *Tx) countUpload(old, u *use) error {
	if old.from == u.from && old.bytes == u.bytes {
		return nil
	}
	b := tx.bucket(bUploaders)
	for _, of := range []struct {
		use  *use
		sign int64
	}{{old, -1}, {u, 1}} {
		if of.use.from == 0 {
			continue
		}
		key := binary.BigEndian.AppendUint32(nil, of.use.from)
		sum, err := tx.upload(b.Get(key))
		if err != nil {
			return tx.damaged("uploads", key, err)
		}
		sum.Blocks += of.sign
		sum.Bytes += of.sign * int64(of.use.bytes)
		b.Put(key, binary.AppendVarint(binary.AppendVarint(nil, sum.Blocks), sum.Bytes))
	}
	return nil
}

const metaWhole = "whole"

// EverWhole tells whether SetWhole was called.
func (tx *Tx) EverWhole() bool { return tx.bucket(bMeta).Get([]byte(metaWhole)) != nil }

// SetWhole notes that this keeper once had everything that a full device had: who joins may go by it.
func (tx *Tx) SetWhole() { tx.bucket(bMeta).Put([]byte(metaWhole), []byte{1}) }

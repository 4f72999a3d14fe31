package index

import (
	"bytes"
	"encoding/binary"
	"time"

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
	Known  bool // something is known of it: it is demanded, or in the store
	Live   bool // a live record needs it
	Held   bool // a copy is in the store
	Copies int64
}

// DemandFor tells what is known of a block.
func (tx *Tx) DemandFor(r block.EpochRef) (Demand, error) {
	key, err := tx.refKey(r)
	if err != nil || tx.bucket(bUses).Get(key) == nil {
		return Demand{}, err
	}
	u, err := tx.loadUse(key)
	return Demand{Known: true, Live: u.live > 0, Held: u.held, Copies: int64(u.bytes)}, err
}

// Node returns a reference node that is here; nil: it is not.
func (tx *Tx) Node(hash [32]byte) ([]byte, error) {
	n, err := tx.loadNode(hash)
	return bytes.Clone(n.data), err
}

// Stored is a sealed copy of a block that has come into the block store.
type Stored struct {
	Block block.EpochRef
	Bytes int            // of the copy
	From  shoal.DeviceID // whom it came from; zero: nobody knows
}

// PutStored notes copies that are durable in the block store. Those that nothing demands are noted too: they are let go of in time.
func (tx *Tx) PutStored(copies []Stored) error {
	return tx.change(func() error {
		for _, c := range copies {
			from, err := tx.uploader(c.From)
			if err != nil {
				return err
			}
			epoch, err := tx.keptEpoch(c.Block.Epoch)
			if err != nil {
				return err
			}
			err = tx.changeUse(useKey(c.Block.ID, epoch), func(u *use) {
				if !u.held && u.live == 0 && u.kept == 0 {
					u.since = tx.now()
				}
				if u.from == 0 {
					u.from = from
				}
				u.held, u.dying = true, false
				u.bytes += uint64(c.Bytes)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Doubt says that the copies of a block in the store are not to be counted on, so that another one is fetched where a live record
// needs it. gone says that the store has none of them any more.
func (tx *Tx) Doubt(r block.EpochRef, gone bool) error {
	key, err := tx.refKey(r)
	if err != nil || len(key) == 0 || tx.bucket(bUses).Get(key) == nil {
		return err
	}
	return tx.change(func() error {
		return tx.changeUse(key, func(u *use) {
			if gone {
				u.held, u.bytes, u.from = false, 0, 0
			} else if u.live > 0 {
				u.held = false
			}
		})
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
			if err := tx.changeUse(key, func(u *use) { u.dying, u.bytes, u.from = false, 0, 0 }); err != nil {
				return err
			}
		}
		return nil
	})
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
		out[shoal.DeviceID(k)] = u
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

package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// use is what a keeper knows of one block under one epoch.
type use struct {
	live, kept uint64 // records and reference nodes that demand it so
	held       bool   // a copy that nobody doubts is in the block store, durably
	dying      bool   // it is being deleted from the store; counts as not held
	since      int64  // when live became 0; in ns
	bytes      uint64 // sealed size of the copies in the store
	from       uint32 // number of the device that the first copy came from; 0: nobody knows
	root       []byte // of the tree by which it was last demanded; empty: by records themselves
}

const (
	useHeld = 1 << iota
	useDying
)

func (u *use) encode() []byte {
	b := append(make([]byte, 0, 32), bit(u.held, useHeld)|bit(u.dying, useDying))
	b = binary.AppendUvarint(b, u.live)
	b = binary.AppendUvarint(b, u.kept)
	b = binary.AppendVarint(b, u.since)
	b = binary.AppendUvarint(b, u.bytes)
	b = binary.AppendUvarint(b, uint64(u.from))
	return append(b, u.root...)
}

// loadUse returns what is known of a block; the zero use when nothing is.
func (tx *Tx) loadUse(key []byte) (u use, err error) {
	v := tx.bucket(bUses).Get(key)
	if v == nil {
		return u, nil
	}
	d := decoder{data: v}
	flags := d.byte()
	u.held, u.dying = flags&useHeld != 0, flags&useDying != 0
	u.live, u.kept, u.since, u.bytes, u.from = d.uvarint(), d.uvarint(), d.varint(), d.uvarint(), uint32(d.uvarint())
	u.root = d.data
	if d.err != nil || len(u.root) != 0 && len(u.root) != 32 {
		return u, tx.damaged("use of a block", key, errShort)
	}
	return u, nil
}

// useKey is the block ID and the number of the epoch, 4 bytes.
func useKey(id block.ID, epoch uint32) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(id[:]), epoch)
}

const useKeyBytes = 36

// sinceKey sorts the blocks that nothing demands by when they were last live.
func sinceKey(since int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), uint64(since)), key...)
}

// changeUse lets fn change what is known of a block, and keeps the lists and sums that follow from it.
func (tx *Tx) changeUse(key []byte, fn func(*use)) error {
	old, err := tx.loadUse(key)
	if err != nil {
		return err
	}
	sums, err := tx.loadKeepSums()
	if err != nil {
		return err
	}
	u := old
	fn(&u)
	if old.live > 0 && u.live == 0 {
		u.since = tx.now()
	}
	if tx.config.Shared && old.live == 0 && u.live > 0 && old.held {
		u.held = false // another may have deleted it: it is to be looked for, and pinned
	}
	tx.listLacking(key, &old, &u, sums)
	tx.listIdle(key, &old, &u)
	if err := tx.countUpload(&old, &u); err != nil {
		return err
	}
	sums.blocks += count(u.held) - count(old.held)
	sums.blockBytes += int64(u.bytes) - int64(old.bytes)
	sums.changed = true
	if u.live == 0 && u.kept == 0 && !u.stored() {
		tx.bucket(bUses).Delete(key)
		return tx.forgetCopies(key)
	}
	tx.bucket(bUses).Put(key, u.encode())
	return nil
}

func (u *use) lacking() bool { return u.live > 0 && !u.held }

// stored blocks have copies in the store, be they doubted or about to be deleted.
func (u *use) stored() bool { return u.held || u.dying || u.bytes > 0 }

// idle blocks are stored and nothing demands them.
func (u *use) idle() bool { return u.live == 0 && u.kept == 0 && u.stored() }

func (tx *Tx) listLacking(key []byte, old, u *use, sums *keepSums) {
	switch {
	case u.lacking() && !old.lacking():
		sums.lacking++
		tx.bucket(bLacking).Put(key, nil)
	case !u.lacking() && old.lacking():
		sums.lacking--
		tx.bucket(bLacking).Delete(key)
	}
}

func (tx *Tx) listIdle(key []byte, old, u *use) {
	if old.idle() && (!u.idle() || old.since != u.since) {
		tx.bucket(bIdle).Delete(sinceKey(old.since, key))
	}
	if u.idle() && (!old.idle() || old.since != u.since) {
		tx.bucket(bIdle).Put(sinceKey(u.since, key), nil)
	}
}

// claimBlock moves one demand for a block. root names the tree that the demand comes through; nil: none.
func (tx *Tx) claimBlock(key, root []byte, from, to demand) error {
	return tx.changeUse(key, func(u *use) {
		move(&u.live, &u.kept, from, to)
		if to == demandLive {
			u.root = root
		}
	})
}

// move counts one demand less of one kind and one more of another.
func move(live, kept *uint64, from, to demand) {
	count := func(d demand, by uint64) {
		switch d {
		case demandLive:
			*live += by
		case demandKept:
			*kept += by
		}
	}
	count(to, 1)
	count(from, ^uint64(0))
}

const metaKeeper = "keeper" // of a keeper: keepSums

// keepSums are what the lists of a keeper add up to.
type keepSums struct {
	changed bool

	records, recordBytes  int64 // in journals and transfers
	kept, keptBytes       int64 // beside them
	blocks, blockBytes    int64 // in the store
	lacking, lackingNodes int64
	work                  int64 // nodes whose children do not know yet
	nodes, nodeBytes      int64
}

func (s *keepSums) all() []*int64 {
	return []*int64{
		&s.records, &s.recordBytes, &s.kept, &s.keptBytes, &s.blocks, &s.blockBytes, &s.lacking, &s.lackingNodes, &s.work, &s.nodes, &s.nodeBytes,
	}
}

func (tx *Tx) loadKeepSums() (*keepSums, error) {
	if tx.kept != nil {
		return tx.kept, nil
	}
	s := new(keepSums)
	if v := tx.bucket(bMeta).Get([]byte(metaKeeper)); v != nil {
		d := decoder{data: v}
		for _, n := range s.all() {
			*n = d.varint()
		}
		if err := d.end(); err != nil {
			return nil, tx.damaged("sums", nil, err)
		}
	}
	tx.kept = s
	return s, nil
}

func (s *keepSums) encode() []byte {
	var b []byte
	for _, n := range s.all() {
		b = binary.AppendVarint(b, *n)
	}
	return b
}

// uploader gives the devices that copies came from short numbers.
func (tx *Tx) uploader(dev shoal.DeviceID) (uint32, error) {
	if dev == (shoal.DeviceID{}) {
		return 0, nil
	}
	b := tx.bucket(bUploaders)
	if v := b.Get(dev[:]); len(v) >= 4 {
		return binary.BigEndian.Uint32(v), nil
	}
	var n uint32
	c := b.Cursor()
	for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
		n++
	}
	n++
	b.Put(dev[:], binary.BigEndian.AppendUint32(nil, n))
	return n, nil
}

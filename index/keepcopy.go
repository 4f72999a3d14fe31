package index

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// A keeper can't open what it keeps, so a copy of a block is a claim of who gave it, and a report that it does not open is a claim
// of who made it. Both are kept here, with their names. Of a block's first copy use.from says who gave it, as long as nobody doubts it and
// there is no other; so most blocks need no line here. In a store that others share (FolderConfig.Shared) each copy that came here has one.

// Bounds of doubts.
const (
	maxDoubts   = 65_536 // copies that one device may doubt at a time, in one folder; what it doubts beyond is ignored
	maxDoubters = 8      // of one copy; what others say of it changes nothing any more
)

// Copy is what is known of one copy of a block.
type Copy struct {
	Sealed   [32]byte
	From     shoal.DeviceID   // who gave it; zero: nobody knows
	Doubters []shoal.DeviceID // at whom it did not open, by their word
}

// Doubted tells that somebody doubts the copy.
func (c *Copy) Doubted() bool { return len(c.Doubters) > 0 }

// heldCopy is a Copy as it is stored.
type heldCopy struct {
	from     uint32   // number of the device; 0: nobody knows
	doubters []uint32 // numbers of devices
}

func (c *heldCopy) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(c.from))
	for _, d := range c.doubters {
		b = binary.AppendUvarint(b, uint64(d))
	}
	return b
}

func decodeHeldCopy(v []byte) (c heldCopy, err error) {
	d := decoder{data: v}
	from := d.uvarint()
	for d.err == nil && len(d.data) > 0 {
		n := d.uvarint()
		if n == 0 || n > 1<<32-1 || len(c.doubters) == maxDoubters {
			return heldCopy{}, errShort
		}
		c.doubters = append(c.doubters, uint32(n))
	}
	if d.err != nil || from > 1<<32-1 {
		return heldCopy{}, errShort
	}
	c.from = uint32(from)
	return c, nil
}

const copyKeyBytes = useKeyBytes + 32

func copyKey(at []byte, sealed [32]byte) []byte { return append(bytes.Clone(at), sealed[:]...) }

// loadCopy returns what is known of a copy; listed: it has a line of its own.
func (tx *Tx) loadCopy(at []byte, sealed [32]byte) (c heldCopy, listed bool, err error) {
	key := copyKey(at, sealed)
	if v := tx.bucket(bCopies).Get(key); v != nil {
		if c, err = decodeHeldCopy(v); err != nil {
			return c, true, tx.damaged("copy", key, err)
		}
		return c, true, nil
	}
	if tx.config.Shared {
		return heldCopy{}, false, nil // another keeper may have put it
	}
	u, err := tx.loadUse(at)
	return heldCopy{from: u.from}, false, err
}

// KeptCopies tells what is known of copies that the store has of a block.
func (tx *Tx) KeptCopies(r block.EpochRef, sealed [][32]byte) ([]Copy, error) {
	out := make([]Copy, len(sealed))
	at, err := tx.refKey(r)
	if err != nil {
		return nil, err
	}
	var names map[uint32]shoal.DeviceID
	for i, s := range sealed {
		c, _, err := tx.loadCopy(at, s)
		if err != nil {
			return nil, err
		}
		if names == nil && (c.from != 0 || len(c.doubters) > 0) {
			names = tx.uploaderNames()
		}
		out[i] = Copy{Sealed: s, From: names[c.from]}
		for _, d := range c.doubters {
			out[i].Doubters = append(out[i].Doubters, names[d])
		}
	}
	return out, nil
}

// uploaderNames is the inverse of uploader.
func (tx *Tx) uploaderNames() map[uint32]shoal.DeviceID {
	names := make(map[uint32]shoal.DeviceID)
	c := tx.bucket(bUploaders).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		if len(k) == 32 && len(v) == 4 {
			names[binary.BigEndian.Uint32(v)] = shoal.DeviceID(k)
		}
	}
	return names
}

// DoubtCopy notes that a copy did not open at a device. copies are all that the store has of the block: when each of them is doubted the
// block counts as lacking where a live record needs it. noted is false when it was known, or when this device doubts too many or
// too many doubt this copy.
func (tx *Tx) DoubtCopy(r block.EpochRef, sealed [32]byte, by shoal.DeviceID, copies [][32]byte) (noted bool, err error) {
	at, err := tx.refKey(r)
	if err != nil || len(at) == 0 || tx.bucket(bUses).Get(at) == nil {
		return false, err
	}
	err = tx.change(func() error {
		device, err := tx.uploader(by)
		if err != nil {
			return err
		}
		c, _, err := tx.loadCopy(at, sealed)
		if err != nil || slices.Contains(c.doubters, device) || len(c.doubters) >= maxDoubters || tx.doubtsOf(device) >= maxDoubts {
			return err
		}
		noted = true
		c.doubters = append(c.doubters, device)
		tx.bucket(bCopies).Put(copyKey(at, sealed), c.encode())
		tx.countDoubt(device, 1)
		return tx.holdTrusted(at, copies)
	})
	return noted && err == nil, err
}

// holdTrusted has a block count as here, or as lacking, by whether one of its copies is doubted by nobody.
func (tx *Tx) holdTrusted(at []byte, copies [][32]byte) error {
	trusted := false
	for _, s := range copies {
		c, _, err := tx.loadCopy(at, s)
		if err != nil {
			return err
		}
		trusted = trusted || len(c.doubters) == 0
	}
	// What lacks in a shared store is to be pinned before it counts.
	return tx.changeUse(at, func(u *use) { u.held = trusted && !u.dying && (u.held || !tx.config.Shared) })
}

// DropCopy notes that a copy is gone from the store, or about to go; left are those that stay. When each of them is doubted, or there is none, the
// block counts as lacking where a live record needs it.
func (tx *Tx) DropCopy(r block.EpochRef, sealed [32]byte, left [][32]byte) error {
	at, err := tx.refKey(r)
	if err != nil || len(at) == 0 || tx.bucket(bUses).Get(at) == nil {
		return err
	}
	return tx.change(func() error {
		if len(left) == 0 {
			if err := tx.forgetCopies(at); err != nil {
				return err
			}
			return tx.changeUse(at, func(u *use) { u.held, u.dying, u.bytes, u.from = false, false, 0, 0 })
		}
		if err := tx.forgetCopy(copyKey(at, sealed)); err != nil {
			return err
		}
		// The copies of one block are about the same size.
		n := uint64(len(left))
		if err := tx.changeUse(at, func(u *use) { u.bytes = u.bytes / (n + 1) * n }); err != nil {
			return err
		}
		return tx.holdTrusted(at, left)
	})
}

// Forgive drops up to max of the doubts of a device, which was revoked, and tells whether there are more. Copies that nobody else doubts count
// again.
func (tx *Tx) Forgive(by shoal.DeviceID, max int) (more bool, err error) {
	v := tx.bucket(bUploaders).Get(by[:])
	if len(v) != 4 || tx.doubtsOf(binary.BigEndian.Uint32(v)) == 0 {
		return false, nil
	}
	device := binary.BigEndian.Uint32(v)
	err = tx.change(func() error {
		var keys [][]byte
		cur := tx.bucket(bCopies).Cursor()
		for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
			if len(k) != copyKeyBytes {
				continue
			}
			c, err := decodeHeldCopy(v)
			if err != nil {
				return tx.damaged("copy", k, err)
			}
			if !slices.Contains(c.doubters, device) {
				continue
			}
			if more = len(keys) == max; more {
				break
			}
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			if err := tx.forgive(k, device); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

func (tx *Tx) forgive(key []byte, device uint32) error {
	at, sealed := key[:useKeyBytes], [32]byte(key[useKeyBytes:])
	c, _, err := tx.loadCopy(at, sealed)
	if err != nil {
		return err
	}
	c.doubters = slices.DeleteFunc(c.doubters, func(d uint32) bool { return d == device })
	tx.bucket(bCopies).Put(bytes.Clone(key), c.encode())
	tx.countDoubt(device, -1)
	if len(c.doubters) > 0 || tx.config.Shared { // a block of a shared store is looked for, and pinned
		return nil
	}
	return tx.changeUse(at, func(u *use) { u.held = !u.dying && u.bytes > 0 })
}

// Doubters returns the devices that doubt something.
func (tx *Tx) Doubters() []shoal.DeviceID {
	var out []shoal.DeviceID
	for n, dev := range tx.uploaderNames() {
		if tx.doubtsOf(n) > 0 {
			out = append(out, dev)
		}
	}
	slices.SortFunc(out, shoal.DeviceID.Compare)
	return out
}

// forgetCopies drops what is known of the copies of a block.
func (tx *Tx) forgetCopies(at []byte) error {
	var keys [][]byte
	cur := tx.bucket(bCopies).Cursor()
	for k, _ := cur.Seek(at); bytes.HasPrefix(k, at); k, _ = cur.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := tx.forgetCopy(k); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) forgetCopy(key []byte) error {
	v := tx.bucket(bCopies).Get(key)
	if v == nil {
		return nil
	}
	c, err := decodeHeldCopy(v)
	if err != nil {
		return tx.damaged("copy", key, err)
	}
	for _, d := range c.doubters {
		tx.countDoubt(d, -1)
	}
	tx.bucket(bCopies).Delete(key)
	return nil
}

// doubtsKey is where the number of doubts of a device stands; shorter than any copy's key.
func doubtsKey(device uint32) []byte { return binary.BigEndian.AppendUint32(nil, device) }

func (tx *Tx) doubtsOf(device uint32) int64 {
	v := tx.bucket(bCopies).Get(doubtsKey(device))
	if len(v) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

func (tx *Tx) countDoubt(device uint32, by int64) {
	n := tx.doubtsOf(device) + by
	if n <= 0 {
		tx.bucket(bCopies).Delete(doubtsKey(device))
		return
	}
	tx.bucket(bCopies).Put(doubtsKey(device), binary.BigEndian.AppendUint64(nil, uint64(n)))
}

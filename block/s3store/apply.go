package s3store

import (
	"encoding/binary"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// link is one entry of the ledger as it was read.
type link struct {
	*ledger.Entry             // nil: void
	number        uint32      // of the entry
	chain         ledger.Hash // up to it
}

// change is what a transaction does to an index. What entries mean is decided here and nowhere else, from the entries alone: every process
// comes to the same.
type change struct {
	x      *index
	tx     *bbolt.Tx
	blocks *bbolt.Bucket
	spaces map[space]uint32     // with the new ones
	packs  map[uint32]packState // those which changed; live -1: gone
}

// apply makes entries part of the index, durably. It returns what the fields of the index are from then on; the caller sets them. The entries
// follow each other, and the first follows what is there.
func (x *index) apply(links []link) (next fields, err error) {
	defer x.guard(&err)
	last := links[len(links)-1]
	return x.update(func(c *change) error {
		for _, l := range links {
			if l.Entry == nil {
				continue
			}
			if err := c.entry(l.Entry); err != nil {
				return err
			}
		}
		return c.setApplied(last.number, last.chain)
	})
}

// fields are those of an index that change. They are maps of their own, so that readers keep theirs.
type fields struct {
	applied uint32
	chain   ledger.Hash
	spaces  map[space]uint32
	packs   map[uint32]packState
}

// set makes what update returned the fields of the index.
func (x *index) set(f fields) {
	x.applied, x.chain, x.spaces, x.packs = f.applied, f.chain, f.spaces, f.packs
}

// update runs fn in a durable transaction.
func (x *index) update(fn func(c *change) error) (f fields, err error) {
	err = x.db.Update(func(tx *bbolt.Tx) error {
		c := &change{x: x, tx: tx, blocks: tx.Bucket(bucketBlocks), spaces: x.spaces, packs: make(map[uint32]packState)}
		if err := fn(c); err != nil {
			return err
		}
		if err := c.writePacks(); err != nil {
			return err
		}
		applied := tx.Bucket(bucketMeta).Get(keyApplied)
		if applied != nil {
			f.applied, f.chain = binary.BigEndian.Uint32(applied), ledger.Hash(applied[4:])
		}
		f.spaces, f.packs = c.spaces, maps.Clone(x.packs)
		for n, p := range c.packs {
			if f.packs[n] = p; p.live < 0 {
				delete(f.packs, n)
			}
		}
		return nil
	})
	return f, err
}

func (c *change) setApplied(number uint32, chain ledger.Hash) error {
	v := append(binary.BigEndian.AppendUint32(make([]byte, 0, 36), number), chain[:]...)
	return c.tx.Bucket(bucketMeta).Put(keyApplied, v)
}

// entry does what an entry says.
func (c *change) entry(e *ledger.Entry) error {
	if len(e.Puts) > 0 {
		c.packs[e.Number] = packState{Pack: e.Pack}
	}
	for i := range e.Puts {
		if err := c.put(e, &e.Puts[i]); err != nil {
			return err
		}
	}
	for i := range e.Deletions {
		key, old, ok, err := c.get(&e.Deletions[i])
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := c.blocks.Delete(key); err != nil {
			return err
		}
		c.addLive(old.place.Pack, -old.size())
	}
	for i := range e.Pins {
		key, old, ok, err := c.get(&e.Pins[i])
		if err == nil && ok {
			err = c.pin(key, old, e.Until)
		}
		if err != nil {
			return err
		}
	}
	c.dropEmpty()
	return nil
}

// put brings a copy, or moves it, or, if it is there or gone already, nothing but its pin.
func (c *change) put(e *ledger.Entry, p *ledger.Put) error {
	key, old, ok, err := c.get(&p.Key)
	if err != nil {
		return err
	}
	at := copyAt{sealed: p.Key.Sealed, place: packfile.Place{Pack: e.Number, Offset: p.Offset}, length: p.Length, until: e.Until}
	switch {
	case p.From == 0 && ok:
		return c.pin(key, old, e.Until)
	case p.From != 0 && (!ok || old.place.Pack != p.From || old.length != p.Length):
		return nil
	case p.From != 0:
		at.until = old.until
		c.addLive(old.place.Pack, -old.size())
	}
	c.addLive(e.Number, at.size())
	return c.blocks.Put(key, encodeCopy(at))
}

func (c *change) pin(key []byte, old copyAt, until uint32) error {
	if until <= old.until {
		return nil
	}
	old.until = until
	return c.blocks.Put(key, encodeCopy(old))
}

// key returns the key in the database of one copy; its space gets a number if it has none.
func (c *change) key(k *block.Key) ([]byte, error) {
	s := space{k.Folder, k.Epoch}
	n, ok := c.spaces[s]
	if !ok {
		c.spaces = maps.Clone(c.spaces) // readers have the old one
		n = uint32(len(c.spaces))       // spaces are never removed
		c.spaces[s] = n
		v := append(append(make([]byte, 0, 48), s.folder[:]...), s.epoch[:]...)
		if err := c.tx.Bucket(bucketSpaces).Put(v, binary.BigEndian.AppendUint32(nil, n)); err != nil {
			return nil, err
		}
	}
	return append(append(binary.BigEndian.AppendUint32(make([]byte, 0, 68), n), k.ID[:]...), k.Sealed[:]...), nil
}

// get returns the copy that counts, if there is one, and its key in the database.
func (c *change) get(k *block.Key) (key []byte, at copyAt, ok bool, err error) {
	if key, err = c.key(k); err != nil {
		return nil, copyAt{}, false, err
	}
	v := c.blocks.Get(key)
	if v == nil {
		return key, copyAt{}, false, nil
	}
	at, err = decodeCopy(key, v)
	return key, at, err == nil, err
}

func (c *change) addLive(pack uint32, bytes int64) {
	p, ok := c.packs[pack]
	if !ok {
		p = c.x.packs[pack]
	}
	p.live += bytes
	c.packs[pack] = p
}

// dropEmpty forgets packs in which nothing counts. Nothing will ever count in them again: puts name the pack of their own entry only.
func (c *change) dropEmpty() {
	for n, p := range c.packs {
		if p.live <= 0 {
			c.packs[n] = packState{Pack: p.Pack, live: -1}
		}
	}
}

func (c *change) writePacks() error {
	b := c.tx.Bucket(bucketPacks)
	for _, n := range slices.Sorted(maps.Keys(c.packs)) {
		p, key := c.packs[n], binary.BigEndian.AppendUint32(nil, n)
		var err error
		if p.live < 0 {
			err = b.Delete(key)
		} else {
			v := binary.BigEndian.AppendUint32(append(make([]byte, 0, 28), p.Name[:]...), p.Size)
			err = b.Put(key, binary.BigEndian.AppendUint64(v, uint64(p.live)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part makes a part of a checkpoint part of an index that is being built.
func (x *index) part(p *ledger.Part) (next fields, err error) {
	defer x.guard(&err)
	return x.update(func(c *change) error {
		for _, n := range p.Packs {
			c.packs[n.Number] = packState{Pack: n.Pack}
		}
		for i := range p.Copies {
			k := &p.Copies[i]
			at := copyAt{sealed: k.Key.Sealed, place: k.Place, length: k.Length, until: k.Until}
			if _, known := x.packs[k.Place.Pack]; !known {
				if _, known = c.packs[k.Place.Pack]; !known {
					return ErrDamaged
				}
			}
			c.addLive(k.Place.Pack, at.size())
			key, err := c.key(&k.Key)
			if err == nil {
				err = c.blocks.Put(key, encodeCopy(at))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// finish makes an index that was built from a checkpoint count.
func (x *index) finish(number uint32, chain ledger.Hash) (next fields, err error) {
	defer x.guard(&err)
	return x.update(func(c *change) error { return c.setApplied(number, chain) })
}

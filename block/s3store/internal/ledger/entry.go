package ledger

import (
	"bytes"
	"fmt"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

const entryMagic = "SHOALENT"

// Entry is one step of a store. What it does, in this order: its puts, its deletions, its pins.
type Entry struct {
	Store  StoreID
	Number uint32   // from 1 on, without gaps
	Before Hash     // the chain up to the entry before
	Nonce  [16]byte // random, so that no two attempts to write an entry are equal
	Made   uint32   // seconds since 1970 by its author's clock; for people
	Until  uint32   // what it puts and pins is not deleted before, in seconds since 1970; 0: no such promise

	Pack      Pack // the new pack that holds Puts; the zero value if there are none
	Puts      []Put
	Deletions []block.Key
	Pins      []block.Key
	Aborts    []PackName // packs that no entry has named, and none may name from here on
}

// Pack is an object with blocks.
type Pack struct {
	Name PackName
	Size uint32 // bytes
}

// Put says where a copy of a block lies in the entry's pack. If the store has the copy already, a new one counts for nothing.
type Put struct {
	Key    block.Key // Sealed is not zero
	Offset uint32    // of the record
	Length uint32    // of the sealed block
	From   uint32    // moved: counts only if the copy that counts lies in the pack of that entry; 0: new
}

// putSize is the size of an encoded Put.
const putSize = keySize + 12

// Validate checks ranges and relations.
func (e *Entry) Validate() error {
	switch {
	case e.Number == 0:
		return fmt.Errorf("number 0: %w", ErrMalformed)
	case (len(e.Puts) == 0) != (e.Pack == Pack{}):
		return fmt.Errorf("%d puts in a pack of %d bytes: %w", len(e.Puts), e.Pack.Size, ErrMalformed)
	case max(len(e.Puts), len(e.Deletions), len(e.Pins), len(e.Aborts)) > MaxList:
		return fmt.Errorf("long list: %w", ErrMalformed)
	}
	end := int64(packfile.FirstRecord)
	for _, p := range e.Puts { // in the order in which they lie in the pack, without overlap
		if p.Length == 0 || p.Length > block.MaxSealed || int64(p.Offset) < end || p.From >= e.Number || p.Key.Sealed == ([32]byte{}) {
			return fmt.Errorf("put at %d: %w", p.Offset, ErrMalformed)
		}
		end = int64(p.Offset) + packfile.RecordHeadSize + int64(p.Length)
	}
	if end > int64(e.Pack.Size) && len(e.Puts) > 0 {
		return fmt.Errorf("pack of %d bytes is too short: %w", e.Pack.Size, ErrMalformed)
	}
	return nil
}

// Encode returns the entry's bytes.
func (e *Entry) Encode() []byte {
	w := newWriter(entryMagic)
	w.bytes(e.Store[:])
	w.u32(e.Number)
	w.bytes(e.Before[:])
	w.bytes(e.Nonce[:])
	w.u32(e.Made)
	w.u32(e.Until)
	w.bytes(e.Pack.Name[:])
	w.u32(e.Pack.Size)
	for i := range e.Puts {
		w.meet(&e.Puts[i].Key)
	}
	for _, keys := range [][]block.Key{e.Deletions, e.Pins} {
		for i := range keys {
			w.meet(&keys[i])
		}
	}
	w.writeSpaces()
	w.count(len(e.Puts))
	for i := range e.Puts {
		p := &e.Puts[i]
		w.key(&p.Key)
		w.u32(p.Offset)
		w.u32(p.Length)
		w.u32(p.From)
	}
	for _, keys := range [][]block.Key{e.Deletions, e.Pins} {
		w.count(len(keys))
		for i := range keys {
			w.key(&keys[i])
		}
	}
	w.count(len(e.Aborts))
	for _, n := range e.Aborts {
		w.bytes(n[:])
	}
	return w.done()
}

// DecodeEntry is the inverse of Encode. What it returns is valid. Error: ErrMalformed.
func DecodeEntry(b []byte) (*Entry, error) {
	r, err := newReader(b, entryMagic, MaxEntry)
	if err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	e := &Entry{Store: StoreID(r.take(16)), Number: r.u32(), Before: Hash(r.take(32)), Nonce: [16]byte(r.take(16)), Made: r.u32(), Until: r.u32()}
	e.Pack = Pack{Name: PackName(r.take(16)), Size: r.u32()}
	r.readSpaces(3 * MaxList)
	e.Puts = make([]Put, r.count(MaxList, putSize))
	for i := range e.Puts {
		e.Puts[i] = Put{Key: r.key(), Offset: r.u32(), Length: r.u32(), From: r.u32()}
	}
	for _, keys := range []*[]block.Key{&e.Deletions, &e.Pins} {
		*keys = make([]block.Key, r.count(MaxList, keySize))
		for i := range *keys {
			(*keys)[i] = r.key()
		}
	}
	e.Aborts = make([]PackName, r.count(MaxList, 16))
	for i := range e.Aborts {
		e.Aborts[i] = PackName(r.take(16))
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	// Spaces could be in another order, or be there for nothing. There is one way to write an entry.
	if !bytes.Equal(e.Encode(), b) {
		return nil, fmt.Errorf("entry is written in another way: %w", ErrMalformed)
	}
	return e, nil
}

package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

const (
	anchorMagic = "SHOALANC"
	partMagic   = "SHOALPRT"

	anchorSize  = 8 + 4 + 16 + 16 + 4 + 32 + 16 + 4 + sumSize
	partRefSize = 4 + 32
)

// Anchor names the store and its newest checkpoint. Entries up to Number may be gone.
type Anchor struct {
	Store      StoreID
	Nonce      [16]byte // random: no two anchors are equal
	Number     uint32   // the last entry that the checkpoint contains; 0: there is no checkpoint
	Chain      Hash     // up to that entry
	Checkpoint [16]byte // names the checkpoint's objects
	Parts      []PartRef
}

// PartRef is what the anchor knows of one part of a checkpoint.
type PartRef struct {
	Size uint32
	Hash Hash // of the part's bytes
}

// Validate checks ranges and relations.
func (a *Anchor) Validate() error {
	switch {
	case len(a.Parts) > MaxParts,
		a.Number == 0 && (len(a.Parts) > 0 || a.Chain != Genesis(a.Store) || a.Checkpoint != [16]byte{}),
		slices.ContainsFunc(a.Parts, func(p PartRef) bool { return p.Size == 0 || p.Size > MaxPart }):
		return ErrMalformed
	}
	return nil
}

// Encode returns the anchor's bytes.
func (a *Anchor) Encode() []byte {
	w := newWriter(anchorMagic)
	w.bytes(a.Store[:])
	w.bytes(a.Nonce[:])
	w.u32(a.Number)
	w.bytes(a.Chain[:])
	w.bytes(a.Checkpoint[:])
	w.count(len(a.Parts))
	for _, p := range a.Parts {
		w.u32(p.Size)
		w.bytes(p.Hash[:])
	}
	return w.done()
}

// DecodeAnchor is the inverse of Encode. What it returns is valid. Error: ErrMalformed.
func DecodeAnchor(b []byte) (*Anchor, error) {
	r, err := newReader(b, anchorMagic, MaxAnchor)
	if err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	a := &Anchor{Store: StoreID(r.take(16)), Nonce: [16]byte(r.take(16)), Number: r.u32(), Chain: Hash(r.take(32)), Checkpoint: [16]byte(r.take(16))}
	a.Parts = make([]PartRef, r.count(MaxParts, partRefSize))
	for i := range a.Parts {
		a.Parts[i] = PartRef{Size: r.u32(), Hash: Hash(r.take(32))}
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	if err := a.Validate(); err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	return a, nil
}

// Part is a piece of a checkpoint. Packs come before the copies in them, maybe in an earlier part.
type Part struct {
	Packs  []NumberedPack
	Copies []Copy
}

// NumberedPack is a pack under the number of the entry that brought it.
type NumberedPack struct {
	Number uint32
	Pack
}

// Copy is a copy of a block that counts.
type Copy struct {
	Key    block.Key
	Place  packfile.Place
	Length uint32 // of the sealed block
	Until  uint32 // pinned until then, in seconds since 1970; 0: not
}

// How much of each a part may have: what fits into MaxPart if each copy has a space of its own.
const (
	packSize  = 4 + 16 + 4
	copySize  = keySize + 16
	MaxPacks  = (MaxPart - 1024) / packSize
	MaxCopies = (MaxPart - 1024) / (copySize + spaceSize)
)

// Encode returns the part's bytes. It has packs or copies, not both, and not more than MaxPacks or MaxCopies.
func (p *Part) Encode() []byte {
	w := newWriter(partMagic)
	w.count(len(p.Packs))
	for _, n := range p.Packs {
		w.u32(n.Number)
		w.bytes(n.Name[:])
		w.u32(n.Size)
	}
	for i := range p.Copies {
		w.meet(&p.Copies[i].Key)
	}
	w.writeSpaces()
	w.count(len(p.Copies))
	for i := range p.Copies {
		c := &p.Copies[i]
		w.key(&c.Key)
		w.u32(c.Place.Pack)
		w.u32(c.Place.Offset)
		w.u32(c.Length)
		w.u32(c.Until)
	}
	return w.done()
}

// Ref returns what an anchor says of a part with these bytes.
func Ref(part []byte) PartRef { return PartRef{Size: uint32(len(part)), Hash: blake3.Sum256(part)} }

// DecodePart is the inverse of Encode. Error: ErrMalformed.
func DecodePart(b []byte) (*Part, error) {
	r, err := newReader(b, partMagic, MaxPart)
	if err != nil {
		return nil, fmt.Errorf("part of a checkpoint: %w", err)
	}
	p := &Part{Packs: make([]NumberedPack, r.count(MaxPacks, packSize))}
	for i := range p.Packs {
		p.Packs[i] = NumberedPack{Number: r.u32(), Pack: Pack{Name: PackName(r.take(16)), Size: r.u32()}}
		r.bad = r.bad || p.Packs[i].Number == 0
	}
	r.readSpaces(MaxCopies)
	p.Copies = make([]Copy, r.count(MaxCopies, copySize))
	for i := range p.Copies {
		c := Copy{Key: r.key(), Place: packfile.Place{Pack: r.u32(), Offset: r.u32()}, Length: r.u32(), Until: r.u32()}
		r.bad = r.bad || c.Place.Pack == 0 || c.Place.Offset < packfile.FirstRecord || c.Length == 0 || c.Length > block.MaxSealed
		p.Copies[i] = c
	}
	if err := r.done(); err != nil || !bytes.Equal(p.Encode(), b) {
		return nil, fmt.Errorf("part of a checkpoint: %w", ErrMalformed)
	}
	return p, nil
}

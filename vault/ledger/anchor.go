package ledger

import (
	"fmt"

	"github.com/shoalmesh/shoal"
)

// Anchor names the newest checkpoint of a mesh's ledger.
type Anchor struct {
	Mesh   shoal.MeshID
	Nonce  [16]byte  // random
	Number uint32    // of the last entry that the checkpoint covers; 0: there is none
	Chain  Hash      // up to that entry
	Parts  []PartRef // of the checkpoint
}

const anchorMagic = "SHOALVLA"

// MaxAnchor is the size of an anchor with MaxParts parts.
const MaxAnchor = 8 + 4 + 32 + 16 + 4 + 32 + 4 + MaxParts*partRefSize + sumSize

// Validate refuses what no decoder takes.
func (a *Anchor) Validate() error {
	if (a.Number == 0) != (len(a.Parts) == 0) || validateParts(a.Parts) != nil {
		return fmt.Errorf("anchor at %d with %d parts: %w", a.Number, len(a.Parts), ErrMalformed)
	}
	return nil
}

// Encode returns the anchor's bytes.
func (a *Anchor) Encode() []byte {
	w := newWriter(anchorMagic)
	w.fixed(a.Mesh[:])
	w.fixed(a.Nonce[:])
	w.u32(a.Number)
	w.fixed(a.Chain[:])
	w.parts(a.Parts)
	return w.done()
}

// DecodeAnchor reads an anchor. Error: ErrMalformed.
func DecodeAnchor(raw []byte) (*Anchor, error) {
	r, err := newReader(raw, anchorMagic, MaxAnchor)
	if err != nil {
		return nil, err
	}
	a := &Anchor{Mesh: shoal.MeshID(r.take(32)), Nonce: [16]byte(r.take(16)), Number: r.u32(), Chain: Hash(r.take(32))}
	a.Parts = r.parts()
	if err := r.done(); err != nil {
		return nil, err
	}
	return a, a.Validate()
}

package block

import (
	"encoding/binary"
	"fmt"
)

// The limits of a recipe part in refs. A part ends after a ref whose ID says so (1 in 1,024), which IDs, being keyed hashes,
// do evenly and for nobody's purpose; so an edit of a long file changes one part or two.
const (
	minPart  = 256
	maxPart  = 4096 // 147,457 bytes, well below MaxSize
	partMask = 1<<10 - 1
)

// SplitRecipe cuts r into parts that are stored as blocks of their own, and returns the encoded parts with the refs that
// name them, in order. Each part is an encoded recipe of at most 4,096 refs; cuts depend on the content around them only.
// An empty recipe has no parts.
func (k *Keys) SplitRecipe(r Recipe) (parts [][]byte, refs Recipe) {
	for len(r) > 0 {
		n := partLen(r)
		part := r[:n].Encode()
		parts = append(parts, part)
		refs = append(refs, Ref{ID: k.ID(part), Size: uint32(len(part))})
		r = r[n:]
	}
	return parts, refs
}

// partLen returns how many refs the first part of r has; r is not empty.
func partLen(r Recipe) int {
	end := min(len(r), maxPart)
	for i := minPart; i < end; i++ {
		if binary.BigEndian.Uint32(r[i-1].ID[:])&partMask == 0 {
			return i
		}
	}
	return end
}

// JoinRecipe is the inverse of SplitRecipe. Empty parts, and parts cut elsewhere than SplitRecipe cuts, are ErrMalformed: a
// recipe is stored in one way only. Other errors as DecodeRecipe.
func JoinRecipe(parts [][]byte) (Recipe, error) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size/refSize > MaxRecipe {
		return nil, fmt.Errorf("recipe parts of %d bytes: %w", size, ErrTooLarge)
	}
	r := make(Recipe, 0, size/refSize)
	for i, p := range parts {
		var err error
		if r, err = appendDecoded(r, p); err != nil {
			return nil, fmt.Errorf("recipe part %d: %w", i, err)
		}
	}
	rest := r
	for i, p := range parts {
		n := (len(p) - 1) / refSize
		if n == 0 || n != partLen(rest) {
			return nil, fmt.Errorf("recipe part %d of %d blocks: %w", i, n, ErrMalformed)
		}
		rest = rest[n:]
	}
	return r, nil
}

package block

import (
	"encoding/binary"
	"fmt"

	"github.com/shoalmesh/shoal"
)

const (
	// InlineRecipe is the greatest number of refs that a record carries itself; a longer recipe is stored in blocks of its
	// own (SplitRecipe).
	InlineRecipe = 64

	// MaxRecipe is the greatest number of refs in a recipe: about 4 TiB of file at the target size, 600 MB of memory.
	MaxRecipe = 1 << 24
)

// recipeFormat is the first byte of an encoded recipe and of each of its parts.
const recipeFormat = 1

// refSize is the encoded size of a Ref: ID, then size big-endian.
const refSize = 32 + 4

// Ref is one block in a recipe.
type Ref struct {
	ID   ID
	Size uint32 // bytes of plaintext, 1 to MaxSize
}

// Validate refuses an empty ID and a size out of range.
func (r Ref) Validate() error {
	if r.Size == 0 || r.Size > MaxSize {
		return fmt.Errorf("block of %d bytes in a recipe: %w", r.Size, shoal.ErrInvalid)
	}
	return r.ID.Validate()
}

// Recipe is the ordered list of blocks that make a file. An empty file has no blocks. A recipe does not say which epoch
// sealed its blocks.
type Recipe []Ref

// Validate refuses too many refs, and refs that are invalid.
func (r Recipe) Validate() error {
	if len(r) > MaxRecipe {
		return fmt.Errorf("recipe of %d blocks: %w", len(r), shoal.ErrInvalid)
	}
	for i := range r {
		if err := r[i].Validate(); err != nil {
			return fmt.Errorf("recipe at %d: %w", i, err)
		}
	}
	return nil
}

// Size returns the size of the file in bytes.
func (r Recipe) Size() int64 { return r.Offset(len(r)) }

// Offset returns where block i begins in the file; i may be len(r). It adds up i sizes.
func (r Recipe) Offset(i int) int64 {
	var n int64
	for _, ref := range r[:i] {
		n += int64(ref.Size)
	}
	return n
}

// Encode returns the one encoding of r: the format byte, then 36 bytes per ref (docs/formats/recipe.md).
func (r Recipe) Encode() []byte { return r.AppendEncoded(make([]byte, 0, 1+refSize*len(r))) }

// AppendEncoded appends Encode() to dst.
func (r Recipe) AppendEncoded(dst []byte) []byte {
	dst = append(dst, recipeFormat)
	for i := range r {
		dst = append(dst, r[i].ID[:]...)
		dst = binary.BigEndian.AppendUint32(dst, r[i].Size)
	}
	return dst
}

// DecodeRecipe is the inverse of Encode. What it accepts passes Validate. Errors: ErrMalformed, ErrTooLarge.
func DecodeRecipe(data []byte) (Recipe, error) { return appendDecoded(nil, data) }

func putRef(dst []byte, ref Ref) {
	copy(dst, ref.ID[:])
	binary.BigEndian.PutUint32(dst[len(ref.ID):], ref.Size)
}

// appendDecoded appends the refs of one encoded recipe or part to r.
func appendDecoded(r Recipe, data []byte) (Recipe, error) {
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("recipe without format: %w", ErrMalformed)
	case data[0] != recipeFormat:
		return nil, fmt.Errorf("recipe of format %d: %w", data[0], ErrMalformed)
	case (len(data)-1)%refSize != 0:
		return nil, fmt.Errorf("recipe of %d bytes: %w", len(data), ErrMalformed)
	}
	n := (len(data) - 1) / refSize
	if len(r)+n > MaxRecipe {
		return nil, fmt.Errorf("recipe of %d blocks: %w", len(r)+n, ErrTooLarge)
	}
	if cap(r)-len(r) < n {
		grown := make(Recipe, len(r), len(r)+n)
		copy(grown, r)
		r = grown
	}
	for data = data[1:]; len(data) > 0; data = data[refSize:] {
		ref := Ref{ID: ID(data[:32]), Size: binary.BigEndian.Uint32(data[32:])}
		if err := ref.Validate(); err != nil {
			return nil, fmt.Errorf("recipe at %d: %w: %w", len(r), ErrMalformed, err)
		}
		r = append(r, ref)
	}
	return r, nil
}

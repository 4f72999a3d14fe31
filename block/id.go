package block

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/shoalmesh/shoal"
)

// hashCode is the multihash code of block IDs: BLAKE3 keyed with the folder's block-ID key. It lies in the range that the
// multicodec table leaves to private use (0x300000–0x3FFFFF): 0x1e, plain BLAKE3, would promise that anybody can check it.
const hashCode = 0x30b1e3

// hashName is how CID tools of this process show hashCode.
const hashName = "shoal-blake3-keyed"

// go-multihash knows codes through process-wide tables; an entry there is all that "registered" can mean for a keyed hash,
// since a hasher cannot be made without the key.
func init() {
	multihash.Codes[hashCode] = hashName
	multihash.Names[hashName] = hashCode
	multihash.DefaultLengths[hashCode] = len(ID{})
}

// ID names a block: BLAKE3 over its plaintext, keyed with the folder's block-ID key. It compares with == and works as a map
// key. The zero value names no block.
type ID [32]byte

// CIDString returns the block ID as a CIDv1 in base32: codec raw, multihash code 0x30b1e3.
func (id ID) CIDString() string {
	mh, err := multihash.Encode(id[:], hashCode)
	if err != nil {
		panic("block: multihash.Encode: " + err.Error()) // documented to be always nil
	}
	return cid.NewCidV1(cid.Raw, mh).String()
}

// String is CIDString.
func (id ID) String() string { return id.CIDString() }

// Short returns the first 8 hex digits, for logs.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// Compare orders IDs by their bytes.
func (id ID) Compare(o ID) int { return bytes.Compare(id[:], o[:]) }

// Validate refuses the zero value.
func (id ID) Validate() error {
	if id == (ID{}) {
		return fmt.Errorf("block ID is empty: %w", shoal.ErrInvalid)
	}
	return nil
}

// maxCIDText bounds what ParseCID looks at: base32 of 40 bytes is 65 characters, other bases need no more than 82.
const maxCIDText = 96

// ParseCID is the inverse of ID.CIDString. It takes any multibase, and refuses other CID versions, codecs, hash codes and lengths.
func ParseCID(s string) (ID, error) {
	var id ID
	if len(s) > maxCIDText {
		return id, fmt.Errorf("block ID of %d characters: %w", len(s), shoal.ErrInvalid)
	}
	c, err := cid.Decode(s)
	if err != nil {
		return id, fmt.Errorf("block ID %q: %w: %w", s, shoal.ErrInvalid, err)
	}
	p := c.Prefix()
	if p.Version != 1 || p.Codec != cid.Raw || p.MhType != hashCode || p.MhLength != len(id) {
		return id, fmt.Errorf("block ID %q is not a raw CIDv1 of a keyed BLAKE3 hash: %w", s, shoal.ErrInvalid)
	}
	hash := c.Hash()
	copy(id[:], hash[len(hash)-len(id):])
	return id, id.Validate()
}

// ContentID names the content of a file: the keyed hash of its recipe, in a domain of its own, so that it is never equal to
// the ID of a block. Equal files have equal content IDs within a folder; an empty file has one too. The zero value means
// "no content".
type ContentID [32]byte

// String returns the 64 hex digits.
func (c ContentID) String() string { return hex.EncodeToString(c[:]) }

// Compare orders content IDs by their bytes.
func (c ContentID) Compare(o ContentID) int { return bytes.Compare(c[:], o[:]) }

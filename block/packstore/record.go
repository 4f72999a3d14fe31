package packstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// The layout of a pack, format 1 (docs/formats/pack.md): the header twice, since one flipped bit in it would cost the
// whole pack; then records.
const (
	packFormat     = 1
	packMagic      = "SHOALPAK"
	packHeadSize   = 64                  // magic 8, format 4, number 4, salt 32, checksum 16
	packHeadChecks = 16                  // bytes of the checksum
	firstRecord    = 2 * packHeadSize    // offset of the first record
	recordMagic    = "\xf5shr"           // first in every record
	recordHeadSize = 144                 // magic 4, kind 1, zeros 3, length 4, key 112, place 8, checksum 12
	recordSumAt    = recordHeadSize - 12 // offset of the checksum in a record's header
	maxRecordSize  = recordHeadSize + block.MaxSealed
	maxPackSize    = 1<<32 - 1 - maxRecordSize // places are 32 bits wide
)

// The kinds of records; numbers are part of the format.
const (
	kindBlock    = 1 // followed by length bytes: a sealed block
	kindDeletion = 2 // the record at the place that is named no longer counts
)

// Errors of decoding; inside the package they mean "not a record", on the outside they are reasons of errors.
var (
	errPackHead = errors.New("no valid pack header")
	errRecord   = errors.New("no valid record")
)

// packHead is the header of a pack.
type packHead struct {
	number uint32
	salt   [32]byte // random; keys the checksums of records, so that nobody can hide a record inside a block
}

// encode returns the header, twice.
func (h packHead) encode() []byte {
	b := make([]byte, 0, firstRecord)
	b = append(b, packMagic...)
	b = binary.BigEndian.AppendUint32(b, packFormat)
	b = binary.BigEndian.AppendUint32(b, h.number)
	b = append(b, h.salt[:]...)
	sum := blake3.Sum256(b)
	b = append(b, sum[:packHeadChecks]...)
	return append(b, b...)
}

// decodePackHead returns the header from the first firstRecord bytes of a pack; one good copy is enough.
func decodePackHead(b []byte) (packHead, error) {
	for ; len(b) >= packHeadSize; b = b[packHeadSize:] {
		c := b[:packHeadSize]
		sum := blake3.Sum256(c[:packHeadSize-packHeadChecks])
		if string(c[:8]) != packMagic || !bytes.Equal(sum[:packHeadChecks], c[packHeadSize-packHeadChecks:]) {
			continue
		}
		if f := binary.BigEndian.Uint32(c[8:]); f != packFormat {
			return packHead{}, fmt.Errorf("pack of format %d: %w", f, errPackHead)
		}
		return packHead{number: binary.BigEndian.Uint32(c[12:]), salt: [32]byte(c[16:])}, nil
	}
	return packHead{}, errPackHead
}

// place says where a record lies. The zero value is nowhere: offset 0 is in the pack's header.
type place struct {
	pack, offset uint32
}

// record is what a record's header says.
type record struct {
	kind   byte
	length uint32    // of the sealed block; 0 in a deletion
	key    block.Key // of the block, also in a deletion
	gone   place     // deletion: where the record lies that no longer counts
}

// size is that of header and sealed block.
func (r *record) size() int64 { return recordHeadSize + int64(r.length) }

// validate checks the relations between the fields.
func (r *record) validate() error {
	switch r.kind {
	case kindBlock:
		if r.length == 0 || r.length > block.MaxSealed || r.gone != (place{}) {
			return errRecord
		}
	case kindDeletion:
		if r.length != 0 || r.gone.offset < firstRecord {
			return errRecord
		}
	default:
		return errRecord
	}
	return nil
}

// encode returns the header of r at the given offset of a pack with that salt.
func (r *record) encode(salt *[32]byte, offset uint32) [recordHeadSize]byte {
	var b [recordHeadSize]byte
	copy(b[:], recordMagic)
	b[4] = r.kind
	binary.BigEndian.PutUint32(b[8:], r.length)
	copy(b[12:], r.key.Folder[:])
	copy(b[28:], r.key.Epoch[:])
	copy(b[60:], r.key.ID[:])
	copy(b[92:], r.key.Sealed[:])
	binary.BigEndian.PutUint32(b[124:], r.gone.pack)
	binary.BigEndian.PutUint32(b[128:], r.gone.offset)
	sum := recordSum(salt, b[:recordSumAt], offset)
	copy(b[recordSumAt:], sum[:])
	return b
}

// decodeRecord is the inverse of encode: b has recordHeadSize bytes that lie at offset.
func decodeRecord(b []byte, salt *[32]byte, offset uint32) (record, error) {
	if string(b[:4]) != recordMagic || b[5]|b[6]|b[7] != 0 {
		return record{}, errRecord
	}
	if sum := recordSum(salt, b[:recordSumAt], offset); !bytes.Equal(sum[:], b[recordSumAt:recordHeadSize]) {
		return record{}, errRecord
	}
	r := record{
		kind:   b[4],
		length: binary.BigEndian.Uint32(b[8:]),
		key: block.Key{
			Folder: shoal.FolderID(b[12:28]),
			Epoch:  shoal.EpochID(b[28:60]),
			ID:     block.ID(b[60:92]),
			Sealed: [32]byte(b[92:124]),
		},
		gone: place{pack: binary.BigEndian.Uint32(b[124:]), offset: binary.BigEndian.Uint32(b[128:])},
	}
	return r, r.validate()
}

// recordSum is the checksum of a record's header: the first 12 bytes of BLAKE3 over the pack's salt, the header and its offset. A
// secret in front makes a MAC of BLAKE3, which no length extension breaks.
func recordSum(salt *[32]byte, head []byte, offset uint32) [recordHeadSize - recordSumAt]byte {
	var in [32 + recordSumAt + 4]byte
	copy(in[:], salt[:])
	copy(in[32:], head)
	binary.BigEndian.PutUint32(in[32+recordSumAt:], offset)
	sum := blake3.Sum256(in[:])
	return [recordHeadSize - recordSumAt]byte(sum[:])
}

package packfile

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
// whole pack; then records. Sizes are in bytes.
const (
	format         = 1
	magic          = "SHOALPAK"
	headSize       = 64                  // magic 8, format 4, number 4, salt 32, checksum 16
	headChecks     = 16                  // bytes of the checksum
	FirstRecord    = 2 * headSize        // offset of the first record
	RecordMagic    = "\xf5shr"           // first in every record
	RecordHeadSize = 144                 // magic 4, kind 1, zeros 3, length 4, key 112, place 8, checksum 12
	recordSumAt    = RecordHeadSize - 12 // offset of the checksum in a record's header
	MaxRecordSize  = RecordHeadSize + block.MaxSealed
	MaxSize        = 1<<32 - 1 - MaxRecordSize // places are 32 bits wide
)

// The kinds of records; numbers are part of the format.
const (
	KindBlock    = 1 // followed by length bytes: a sealed block
	KindDeletion = 2 // the record at the place that is named no longer counts
)

// Errors of decoding.
var (
	ErrHead   = errors.New("no valid pack header") // neither copy is whole, or it is of another format
	ErrRecord = errors.New("no valid record")      // what lies there was not written as a record at that offset of that pack
)

// Head is the header of a pack.
type Head struct {
	Number uint32   // that of the file's name in a directory of packs; 0 for a pack in a bucket
	Salt   [32]byte // random; keys the checksums of records, so that nobody can hide a record inside a block
}

// Encode returns the header, twice.
func (h Head) Encode() []byte {
	b := make([]byte, 0, FirstRecord)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, format)
	b = binary.BigEndian.AppendUint32(b, h.Number)
	b = append(b, h.Salt[:]...)
	sum := blake3.Sum256(b)
	b = append(b, sum[:headChecks]...)
	return append(b, b...)
}

// DecodeHead returns the header from the first FirstRecord bytes of a pack; one good copy is enough.
func DecodeHead(b []byte) (Head, error) {
	for ; len(b) >= headSize; b = b[headSize:] {
		c := b[:headSize]
		sum := blake3.Sum256(c[:headSize-headChecks])
		if string(c[:8]) != magic || !bytes.Equal(sum[:headChecks], c[headSize-headChecks:]) {
			continue
		}
		if f := binary.BigEndian.Uint32(c[8:]); f != format {
			return Head{}, fmt.Errorf("pack of format %d: %w", f, ErrHead)
		}
		return Head{Number: binary.BigEndian.Uint32(c[12:]), Salt: [32]byte(c[16:])}, nil
	}
	return Head{}, ErrHead
}

// Place says where a record lies. The zero value is nowhere: offset 0 is in the pack's header.
type Place struct {
	Pack, Offset uint32
}

// Record is what a record's header says.
type Record struct {
	Kind   byte
	Length uint32    // of the sealed block; 0 in a deletion
	Key    block.Key // of the block, also in a deletion
	Gone   Place     // deletion: where the record lies that no longer counts
}

// Size is that of header and sealed block, in bytes.
func (r *Record) Size() int64 { return RecordHeadSize + int64(r.Length) }

// Validate checks the relations between the fields. Error: ErrRecord.
func (r *Record) Validate() error {
	switch r.Kind {
	case KindBlock:
		if r.Length == 0 || r.Length > block.MaxSealed || r.Gone != (Place{}) {
			return ErrRecord
		}
	case KindDeletion:
		if r.Length != 0 || r.Gone.Offset < FirstRecord {
			return ErrRecord
		}
	default:
		return ErrRecord
	}
	return nil
}

// Encode returns the header of r, which must be valid, at the given offset of a pack with that salt.
func (r *Record) Encode(salt *[32]byte, offset uint32) [RecordHeadSize]byte {
	var b [RecordHeadSize]byte
	copy(b[:], RecordMagic)
	b[4] = r.Kind
	binary.BigEndian.PutUint32(b[8:], r.Length)
	copy(b[12:], r.Key.Folder[:])
	copy(b[28:], r.Key.Epoch[:])
	copy(b[60:], r.Key.ID[:])
	copy(b[92:], r.Key.Sealed[:])
	binary.BigEndian.PutUint32(b[124:], r.Gone.Pack)
	binary.BigEndian.PutUint32(b[128:], r.Gone.Offset)
	sum := recordSum(salt, b[:recordSumAt], offset)
	copy(b[recordSumAt:], sum[:])
	return b
}

// DecodeRecord is the inverse of Encode: b has RecordHeadSize bytes that lie at offset. Error: ErrRecord.
func DecodeRecord(b []byte, salt *[32]byte, offset uint32) (Record, error) {
	if string(b[:4]) != RecordMagic || b[5]|b[6]|b[7] != 0 {
		return Record{}, ErrRecord
	}
	if sum := recordSum(salt, b[:recordSumAt], offset); !bytes.Equal(sum[:], b[recordSumAt:RecordHeadSize]) {
		return Record{}, ErrRecord
	}
	r := Record{
		Kind:   b[4],
		Length: binary.BigEndian.Uint32(b[8:]),
		Key: block.Key{
			Folder: shoal.FolderID(b[12:28]),
			Epoch:  shoal.EpochID(b[28:60]),
			ID:     block.ID(b[60:92]),
			Sealed: [32]byte(b[92:124]),
		},
		Gone: Place{Pack: binary.BigEndian.Uint32(b[124:]), Offset: binary.BigEndian.Uint32(b[128:])},
	}
	return r, r.Validate()
}

// recordSum is the checksum of a record's header: the first 12 bytes of BLAKE3 over the pack's salt, the header and its offset. A
// secret in front makes a MAC of BLAKE3, which no length extension breaks.
func recordSum(salt *[32]byte, head []byte, offset uint32) [RecordHeadSize - recordSumAt]byte {
	var in [32 + recordSumAt + 4]byte
	copy(in[:], salt[:])
	copy(in[32:], head)
	binary.BigEndian.PutUint32(in[32+recordSumAt:], offset)
	sum := blake3.Sum256(in[:])
	return [RecordHeadSize - recordSumAt]byte(sum[:])
}

package index

import (
	"bytes"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// recordFormat is the first field of every clear part.
const recordFormat = 1

// Limits of a record.
const (
	// MaxRecordBytes is the size of the biggest record: a file of block.MaxRecipe blocks whose recipe has the most parts.
	MaxRecordBytes = 3 << 20

	// maxReplaces bounds the records that one record replaces: one live record at a path per journal, normally.
	maxReplaces = 4 * MaxVersion
)

// clearPart is what anybody may read of a record.
type clearPart struct {
	mesh    shoal.MeshID
	folder  shoal.FolderID
	epoch   shoal.EpochID
	journal shoal.JournalID
	seq     shoal.Seq
	slot    shoal.Slot
	more    bool // the record at seq+1 belongs to the same commit

	// The blocks that the record needs: the set itself, or the root of its tree where the recipe is long.
	refs []block.EpochRef
	root [32]byte

	replaces []shoal.Dot // sorted
}

// Field numbers of message Clear (internal/pb/index.proto).
const (
	clearFormat      = 1
	clearMesh        = 2
	clearFolder      = 3
	clearEpoch       = 4
	clearJournal     = 5
	clearSeq         = 6
	clearSlot        = 7
	clearMore        = 8
	clearBlocks      = 9
	clearBlockEpochs = 10
	clearBlockEpoch  = 11
	clearBlockRoot   = 12
	clearReplaces    = 13
)

// encode returns the one encoding of c.
func (c *clearPart) encode() []byte {
	b := make([]byte, 0, 192+32*len(c.refs)+52*len(c.replaces))
	b = wireUint(b, clearFormat, recordFormat)
	b = wireBytes(b, clearMesh, c.mesh[:])
	b = wireBytes(b, clearFolder, c.folder[:])
	b = wireBytes(b, clearEpoch, c.epoch[:])
	b = wireBytes(b, clearJournal, c.journal.Bytes())
	b = wireUint(b, clearSeq, uint64(c.seq))
	if uint64(c.slot) != uint64(c.seq) {
		b = wireUint(b, clearSlot, uint64(c.slot))
	}
	if c.more {
		b = wireUint(b, clearMore, 1)
	}
	b = c.appendRefs(b)
	b = wireArray(b, clearBlockRoot, c.root)
	for _, d := range c.replaces {
		b = wireBytes(b, clearReplaces, binary.BigEndian.AppendUint64(d.Journal.Bytes(), uint64(d.Seq)))
	}
	return b
}

func (c *clearPart) appendRefs(b []byte) []byte {
	if len(c.refs) == 0 {
		return b
	}
	b = protowire.AppendTag(b, clearBlocks, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(32*len(c.refs)))
	var epochs []shoal.EpochID
	for i := range c.refs {
		b = append(b, c.refs[i].ID[:]...)
		if e := c.refs[i].Epoch; e != c.epoch && !slices.Contains(epochs, e) {
			epochs = append(epochs, e)
		}
	}
	if len(epochs) == 0 {
		return b
	}
	of := make([]uint64, len(c.refs))
	for i := range c.refs {
		of[i] = uint64(slices.Index(epochs, c.refs[i].Epoch) + 1)
	}
	for _, e := range epochs {
		b = wireBytes(b, clearBlockEpochs, e[:])
	}
	return wirePacked(b, clearBlockEpoch, of)
}

// clearDecoder collects the fields that can only be understood together.
type clearDecoder struct {
	c      clearPart
	format uint64
	ids    []byte
	epochs []shoal.EpochID
	of     []uint64
}

// decodeClear reads what every reader must be able to read: who wrote the record, and its place. canonical tells whether
// data is the one encoding; if not, the record must be set aside. Errors wrap ErrMalformed.
func decodeClear(data []byte) (c *clearPart, canonical bool, err error) {
	var d clearDecoder
	if err := eachField(data, d.field); err != nil {
		return nil, false, err
	}
	c = &d.c
	if c.slot == 0 {
		c.slot = shoal.Slot(c.seq)
	}
	if c.journal.Validate() != nil || c.seq == 0 || c.seq > maxSeq || uint64(c.slot) > uint64(c.seq) {
		return nil, false, malformed("record %s:%d in slot %d", c.journal, c.seq, c.slot)
	}
	ok := d.resolveRefs()
	return c, ok && d.format == recordFormat && bytes.Equal(c.encode(), data), nil
}

func (d *clearDecoder) field(f wireField) (err error) {
	c := &d.c
	switch f.number {
	case clearFormat:
		d.format = f.value
	case clearMesh:
		c.mesh, err = array32[shoal.MeshID](f)
	case clearFolder:
		if copy(c.folder[:], f.data) != len(f.data) || len(f.data) != len(c.folder) {
			return malformed("folder of %d bytes", len(f.data))
		}
	case clearEpoch:
		c.epoch, err = array32[shoal.EpochID](f)
	case clearJournal:
		if c.journal, err = shoal.JournalIDFromBytes(f.data); err != nil {
			return malformed("%v", err)
		}
	case clearSeq:
		c.seq = shoal.Seq(f.value)
	case clearSlot:
		c.slot = shoal.Slot(f.value)
	case clearMore:
		c.more = f.value != 0
	case clearBlocks:
		d.ids = f.data
	case clearBlockEpochs:
		d.epochs, err = appendArray32(d.epochs, f)
	case clearBlockEpoch:
		d.of, err = f.packed(d.of, maxTable)
	case clearBlockRoot:
		c.root, err = array32[[32]byte](f)
	case clearReplaces:
		return d.replace(f)
	}
	return err
}

func (d *clearDecoder) replace(f wireField) error {
	if len(f.data) != journalBytes+8 || len(d.c.replaces) >= maxReplaces {
		return malformed("replaced record of %d bytes, after %d others", len(f.data), len(d.c.replaces))
	}
	j, err := shoal.JournalIDFromBytes(f.data[:journalBytes])
	if err != nil {
		return malformed("%v", err)
	}
	d.c.replaces = append(d.c.replaces, shoal.Dot{Journal: j, Seq: shoal.Seq(binary.BigEndian.Uint64(f.data[journalBytes:]))})
	return nil
}

// resolveRefs joins IDs and epochs. It tells whether they fit; whether they are sorted, re-encoding and the entry tell.
func (d *clearDecoder) resolveRefs() bool {
	n := len(d.ids) / 32
	if len(d.ids)%32 != 0 || n > block.InlineRecipe || (d.of != nil && len(d.of) != n) {
		return false
	}
	for i := range n {
		r := block.EpochRef{ID: block.ID(d.ids[32*i:]), Epoch: d.c.epoch}
		if d.of != nil && d.of[i] > 0 {
			if d.of[i] > uint64(len(d.epochs)) {
				return false
			}
			r.Epoch = d.epochs[d.of[i]-1]
		}
		d.c.refs = append(d.c.refs, r)
	}
	return slices.IsSortedFunc(d.c.replaces, shoal.Dot.Compare)
}

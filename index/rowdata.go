package index

import (
	"encoding/binary"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// rowData is a row as the database keeps it.
type rowData struct {
	live []ref // good records at the path, in no order
	kids int   // immediate children that live

	// What the row's own records, kids and holds say, kept so that others need not look at the records.
	lives      bool // something of its own stands here, or the path is held: counts among the kids of its folder
	followable bool // an undominated tombstone says where the content went

	held   []hold            // records that were set aside or are awaited here
	names  []copyName        // names that the losers at this path have, or would have if they were free
	claims []claim           // the other end of names: losers of other paths that have or would have this name
	long   []block.ContentID // long contents that the row names, sorted

	base *storedBase
}

// hold says that a slot's record at this path was set aside or is awaited: the path stays as it is on this disk.
type hold struct {
	journal uint32
	slot    shoal.Slot
}

// copyName is a name in the row's own folder.
type copyName struct {
	name   string
	record ref
	chosen bool // the loser is shown there; else the name was taken
}

// claim is a loser of the path `of`, a name in the row's own folder.
type claim struct {
	of     string
	record ref
	chosen bool
}

// storedBase is a Base; compact when it shows one live record of its own path as it is, so that only what the disk reported
// needs to be kept.
type storedBase struct {
	compact bool
	record  ref    // that record, when compact
	stat    []byte // what the disk reported, encoded, when compact and value is nil
	value   *Base  // nil: compact, and not filled in yet
}

const (
	rowKids = 1 << iota
	rowLives
	rowFollowable
	rowBase
	rowCompact
	rowMore // held, names, claims or long
)

func (r *rowData) empty() bool {
	return len(r.live) == 0 && r.kids == 0 && len(r.held) == 0 && len(r.names) == 0 && len(r.claims) == 0 && r.base == nil
}

func (r *rowData) encode() []byte {
	more := len(r.held)+len(r.names)+len(r.claims)+len(r.long) > 0
	flags := bit(r.kids > 0, rowKids) | bit(r.lives, rowLives) | bit(r.followable, rowFollowable) |
		bit(r.base != nil, rowBase) | bit(r.base != nil && r.base.compact, rowCompact) | bit(more, rowMore)
	b := append(make([]byte, 0, 48), flags)
	b = binary.AppendUvarint(b, uint64(len(r.live)))
	for _, l := range r.live {
		b = appendRef(b, l)
	}
	if r.kids > 0 {
		b = binary.AppendUvarint(b, uint64(r.kids))
	}
	if more {
		b = r.appendMore(b)
	}
	if r.base != nil {
		b = r.base.append(b, r.live)
	}
	return b
}

func (r *rowData) appendMore(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.held)))
	for _, h := range r.held {
		b = appendRef(b, ref{h.journal, shoal.Seq(h.slot)})
	}
	b = binary.AppendUvarint(b, uint64(len(r.names)))
	for _, n := range r.names {
		b = append(appendRef(appendString(b, n.name), n.record), bit(n.chosen, 1))
	}
	b = binary.AppendUvarint(b, uint64(len(r.claims)))
	for _, c := range r.claims {
		b = append(appendRef(appendString(b, c.of), c.record), bit(c.chosen, 1))
	}
	b = binary.AppendUvarint(b, uint64(len(r.long)))
	for i := range r.long {
		b = append(b, r.long[i][:]...)
	}
	return b
}

// decodeRow is the inverse of encode. A compact base comes back without its value: fillBase adds that.
func decodeRow(data []byte) (*rowData, error) {
	d := decoder{data: data}
	flags := d.byte()
	r := &rowData{lives: flags&rowLives != 0, followable: flags&rowFollowable != 0}
	if n := d.count(); n > 0 {
		r.live = make([]ref, 0, n)
		for ; n > 0; n-- {
			r.live = append(r.live, d.ref())
		}
	}
	if flags&rowKids != 0 {
		r.kids = int(d.uvarint())
	}
	if flags&rowMore != 0 {
		d.more(r)
	}
	if flags&rowBase != 0 {
		r.base = d.base(flags&rowCompact != 0, r.live)
	}
	return r, d.end()
}

func (d *decoder) more(r *rowData) {
	for n := d.count(); n > 0; n-- {
		h := d.ref()
		r.held = append(r.held, hold{h.journal, shoal.Slot(h.seq)})
	}
	for n := d.count(); n > 0; n-- {
		r.names = append(r.names, copyName{string(d.bytes()), d.ref(), d.byte() != 0})
	}
	for n := d.count(); n > 0; n-- {
		r.claims = append(r.claims, claim{string(d.bytes()), d.ref(), d.byte() != 0})
	}
	for n := d.count(); n > 0; n-- {
		r.long = append(r.long, d.array32())
	}
}

// Flags of what the disk reported: fields that equal what was asked for are left out.
const (
	statWeak = 1 << iota
	statSize
	statMTime
	statMode
)

func appendStat(b []byte, base *Base) []byte {
	s := &base.Stat
	flags := bit(s.Weak, statWeak) | bit(s.Size != base.Size, statSize) | bit(s.MTime != base.MTime, statMTime) | bit(s.Mode != base.Mode, statMode)
	b = append(b, flags)
	if flags&statSize != 0 {
		b = binary.AppendVarint(b, s.Size)
	}
	if flags&statMTime != 0 {
		b = binary.AppendVarint(b, s.MTime)
	}
	if flags&statMode != 0 {
		b = binary.AppendUvarint(b, uint64(s.Mode))
	}
	b = binary.AppendVarint(b, s.CTime-s.MTime)
	b = binary.AppendUvarint(b, s.Inode)
	return binary.AppendUvarint(b, s.Device)
}

// stat reads what appendStat wrote; b has the fields that were left out.
func (d *decoder) stat(b *Base) (s DiskStat) {
	flags := d.byte()
	s.Size, s.MTime, s.Mode = b.Size, b.MTime, b.Mode
	s.Weak = flags&statWeak != 0
	if flags&statSize != 0 {
		s.Size = d.varint()
	}
	if flags&statMTime != 0 {
		s.MTime = d.varint()
	}
	if flags&statMode != 0 {
		s.Mode = uint32(d.uvarint())
	}
	s.CTime = s.MTime + d.varint()
	s.Inode, s.Device = d.uvarint(), d.uvarint()
	return s
}

func (s *storedBase) append(b []byte, live []ref) []byte {
	if s.compact {
		b = binary.AppendUvarint(b, uint64(slices.Index(live, s.record)))
		if s.value == nil {
			return append(b, s.stat...)
		}
		return appendStat(b, s.value)
	}
	v := s.value
	b = append(b, byte(v.Kind), bit(v.Copy != nil, 1)|bit(len(v.Recipe) > 0 && len(v.Recipe) <= block.InlineRecipe, 2))
	b = appendVersion(b, v.Version)
	b = binary.AppendUvarint(b, uint64(v.Mode))
	b = binary.AppendVarint(b, v.MTime)
	b = binary.AppendVarint(b, v.Size)
	b = append(b, v.Content[:]...)
	b = appendString(b, v.Target)
	for _, dot := range [...]shoal.Dot{v.ContentFrom, v.ModeFrom, v.Record} {
		b = appendDot(b, dot)
	}
	if v.Copy != nil {
		b = appendDot(appendString(b, string(v.Copy.Of)), v.Copy.Record)
	}
	if len(v.Recipe) > 0 && len(v.Recipe) <= block.InlineRecipe {
		b = appendBytes(b, v.Recipe.Encode())
	}
	return appendStat(b, v)
}

func (d *decoder) base(compact bool, live []ref) *storedBase {
	if compact {
		n := d.uvarint()
		if n >= uint64(len(live)) {
			d.fail()
			return nil
		}
		return &storedBase{compact: true, record: live[n], stat: d.take(len(d.data))}
	}
	v := &Base{Kind: shoal.Kind(d.byte())}
	flags := d.byte()
	v.Version = d.version()
	v.Mode, v.MTime, v.Size = uint32(d.uvarint()), d.varint(), d.varint()
	v.Content = d.array32()
	v.Target = string(d.bytes())
	v.ContentFrom, v.ModeFrom, v.Record = d.dot(), d.dot(), d.dot()
	if flags&1 != 0 {
		v.Copy = &CopyOf{Of: shoal.Path(d.bytes())}
		v.Copy.Record = d.dot()
	}
	if flags&2 != 0 {
		r, err := block.DecodeRecipe(d.bytes())
		if err != nil {
			d.fail()
		}
		v.Recipe = r
	}
	v.Stat = d.stat(v)
	return &storedBase{value: v}
}

// appendDot writes a whole dot: bases outlive the journals' numbers in nothing, but they are rare in this form.
func appendDot(b []byte, dot shoal.Dot) []byte {
	b = binary.AppendUvarint(b, uint64(dot.Seq))
	if dot.IsZero() {
		return b
	}
	return append(b, dot.Journal.Bytes()...)
}

func (d *decoder) dot() (dot shoal.Dot) {
	if dot.Seq = shoal.Seq(d.uvarint()); dot.Seq != 0 {
		dot.Journal = d.journalID()
	}
	return dot
}

func appendVersion(b []byte, v conflict.Version) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, dot := range v {
		b = appendDot(b, dot)
	}
	return b
}

func (d *decoder) version() conflict.Version {
	n := d.count()
	if n == 0 {
		return nil
	}
	v := make(conflict.Version, 0, n)
	for ; n > 0; n-- {
		v = append(v, d.dot())
	}
	return v
}

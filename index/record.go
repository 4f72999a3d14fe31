package index

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// Record is an entry with its place in a journal.
type Record struct {
	Dot   shoal.Dot
	Slot  shoal.Slot
	Epoch shoal.EpochID // the epoch whose keys seal the record, and its blocks unless Entry.Epochs says otherwise
	Entry Entry
	Hash  [32]byte // of the record as it travels
}

// Version returns the record's version, its own component included.
func (r *Record) Version() conflict.Version { return r.Entry.Version.With(r.Dot) }

// ContentFrom returns the record that brought the content, never zero.
func (r *Record) ContentFrom() shoal.Dot { return orDot(r.Entry.ContentFrom, r.Dot) }

// ModeFrom returns the record that brought the permission bits, never zero.
func (r *Record) ModeFrom() shoal.Dot { return orDot(r.Entry.ModeFrom, r.Dot) }

func orDot(d, otherwise shoal.Dot) shoal.Dot {
	if d.IsZero() {
		return otherwise
	}
	return d
}

// Sibling returns what conflict.Resolve needs of the record.
func (r *Record) Sibling() conflict.Sibling {
	e := &r.Entry
	s := conflict.Sibling{
		Record: r.Dot, Version: r.Version(), Kind: e.Kind, Content: e.Content,
		ContentFrom: r.ContentFrom(), ModeFrom: r.ModeFrom(), Replaced: e.Replaced,
		Time: e.Time, Mode: e.Mode, MTime: e.MTime,
	}
	if e.Kind == shoal.KindTombstone {
		s.ContentFrom = r.Dot // it brought no content, whatever it says of the one that went
	}
	return s
}

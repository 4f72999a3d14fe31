package conflict

import "github.com/shoalmesh/shoal"

// Sibling is one live record of a path, with what Resolve needs of it.
type Sibling struct {
	Record  shoal.Dot  // the record; its own component is part of Version
	Version Version    // what its author had seen at this path, and the record itself
	Kind    shoal.Kind // what the record says is here
	Content [32]byte   // file: content ID; symlink: keyed hash of the target; folder and tombstone: zero

	// ContentFrom is the record at this path that brought the content, ModeFrom the one that brought the permission bits.
	// A zero dot means this very record.
	ContentFrom, ModeFrom shoal.Dot

	// Replaced is the content that the author of ContentFrom replaced by this one; zero: none. Like ContentFrom it is carried
	// on by a record that changes no content.
	Replaced [32]byte

	Time  int64  // the record's time, nanoseconds since 1970; a device's clock never runs backwards in its own records
	Mode  uint32 // permission bits, 0o7777
	MTime int64  // nanoseconds since 1970; no state of folders and tombstones
}

// contentFrom returns ContentFrom, or the record itself where that is zero.
func (s *Sibling) contentFrom() shoal.Dot {
	if s.ContentFrom.IsZero() {
		return s.Record
	}
	return s.ContentFrom
}

// modeFrom returns ModeFrom, or the record itself where that is zero.
func (s *Sibling) modeFrom() shoal.Dot {
	if s.ModeFrom.IsZero() {
		return s.Record
	}
	return s.ModeFrom
}

// Shown is one thing that a path resolves to: the winner, or a loser that is shown as a conflict copy.
type Shown struct {
	// Record names it: of the siblings that count as this one and did not yield, the one with the later Time; tie: the greater
	// dot. It is zero for a folder that lives only through its children.
	Record shoal.Dot

	Kind        shoal.Kind
	Content     [32]byte
	ContentFrom shoal.Dot // of Record; never zero unless Record is
	Replaced    [32]byte  // of Record
	Time        int64     // of Record

	// Mode and ModeFrom are those of the sibling that changed the mode, MTime that of the latest sibling, among all that count
	// as this one or yielded to it.
	ModeFrom shoal.Dot
	Mode     uint32
	MTime    int64

	Version Version     // join of all siblings that count as this one or yielded to it
	Members []shoal.Dot // the records of those siblings, sorted
}

// Resolution is what the records of one path mean.
type Resolution struct {
	// Winner stands at the path; nil: nothing does.
	Winner *Shown

	// Losers are the files and symlinks that are shown beside the winner, best first. Losing folders and tombstones are not
	// shown: a folder without living children holds nothing.
	Losers []Shown

	// Tombstones are the deletions that neither were seen by another record nor yielded, sorted. They may stand beside a
	// winner whose content they had not seen.
	Tombstones []shoal.Dot

	// Absence is the join of those tombstones and of all that yielded to them. A device on whose disk nothing stands, because
	// Winner was nil, has shown its user this version: what he then makes at the path descends from it.
	Absence Version
}

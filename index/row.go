package index

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// Row is everything that is known about one path. It is a copy; changing it changes nothing.
type Row struct {
	Path   shoal.Path
	Live   []Record     // the newest record of each slot at this path, sorted by dot, dominated ones included
	Base   *Base        // what is on this device's disk; nil: nothing
	Kids   int          // immediate children at which something of their own stands (conflict copies do not count)
	Copy   *CopyOf      // set: this path shows a conflict copy
	Copies []shoal.Path // the conflict copies that are shown of this path, sorted
	Held   bool         // a record at this path was set aside or is awaited: the path stays as it is on this disk
}

// CopyOf says which losing sibling a conflict copy shows.
type CopyOf struct {
	Of     shoal.Path // the path in conflict
	Record shoal.Dot  // the losing record
}

// State is what should be at a path.
type State struct {
	Kind    shoal.Kind
	Mode    uint32 // zero for symlinks
	MTime   int64  // zero for folders
	Size    int64
	Content block.ContentID // of a symlink: SymlinkContent(Target)
	Target  string

	Recipe      block.Recipe // nil for a long recipe that is not known yet: fetch RecipeParts, then PutRecipe
	RecipeParts block.Recipe
	Epochs      []EpochRun    // see Entry.Epochs
	Epoch       shoal.EpochID // of Record: seals the blocks that Epochs does not tell of

	Version               conflict.Version
	Record                shoal.Dot // zero: a folder that lives only through its children
	ContentFrom, ModeFrom shoal.Dot
	Members               []shoal.Dot // records that this state stands for, sorted
	Time                  int64       // of Record
	Carried               bool        // of Record
	Copy                  *CopyOf     // set: the path shows this conflict copy
}

// Base is what this device last put on, or read from, its disk at a path.
type Base struct {
	Version conflict.Version // what the disk shows: what the next record at this path will have seen
	Kind    shoal.Kind
	Mode    uint32 // asked for; what the disk reports is in Stat
	MTime   int64  // asked for
	Size    int64
	Content block.ContentID
	Target  string

	ContentFrom, ModeFrom shoal.Dot
	Record                shoal.Dot    // the record it shows; zero: none
	Recipe                block.Recipe // of the file on disk, so that its blocks can be found and served
	Stat                  DiskStat
	Copy                  *CopyOf // set: what is on disk is a conflict copy
}

// DiskStat is what the disk reported about an entry when it was last looked at.
type DiskStat struct {
	Size         int64
	MTime, CTime int64 // nanoseconds since 1970
	Mode         uint32
	Inode        uint64
	Device       uint64
	Weak         bool // touched within the clock's granularity: hash again later
}

// BaseOf returns the base of a disk that shows s, as stat reports it.
func BaseOf(s *State, stat DiskStat) *Base {
	return &Base{
		Version: s.Version, Kind: s.Kind, Mode: s.Mode, MTime: s.MTime, Size: s.Size, Content: s.Content, Target: s.Target,
		ContentFrom: s.ContentFrom, ModeFrom: s.ModeFrom, Record: s.Record, Recipe: s.Recipe, Stat: stat, Copy: s.Copy,
	}
}

// Differs tells whether a disk that shows b owes something to s; either may be nil for "nothing". Times of folders and modes
// of symlinks are no state.
//
// A base of kind tombstone remembers a deletion that this disk shows: nothing is there, and Version is what the next record at
// the path will have seen.
func (b *Base) Differs(s *State) bool {
	if b != nil && b.Kind == shoal.KindTombstone {
		b = nil
	}
	if b == nil || s == nil {
		return (b == nil) != (s == nil)
	}
	switch {
	case b.Kind != s.Kind || !b.Version.Equal(s.Version) || (b.Copy == nil) != (s.Copy == nil):
		return true
	case b.Copy != nil && *b.Copy != *s.Copy:
		return true
	}
	switch s.Kind {
	case shoal.KindFile:
		return b.Content != s.Content || b.Mode != s.Mode || b.MTime != s.MTime
	case shoal.KindFolder:
		return b.Mode != s.Mode
	}
	return b.Target != s.Target || b.MTime != s.MTime
}

// Place is where a block can be read on this disk.
type Place struct {
	Path   shoal.Path
	Offset int64
	Size   uint32
}

// Problem is something at a path that could not be done or understood. Work goes on without it.
type Problem struct {
	Path    shoal.Path // "" when not even the path can be read
	Kind    string     // short and stable, chosen by who sets it; ProblemRecord for records set aside here
	Message string     // for people
	Since   int64      // nanoseconds since 1970
}

// ProblemRecord is the kind of the problems that this package sets: a record that cannot be read or is invalid.
const ProblemRecord = "record"

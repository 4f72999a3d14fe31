package folder

import (
	"cmp"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/index"
)

// sight is one difference between the disk and the base, before it is known what to record of it.
type sight struct {
	path shoal.Path
	stat disk.Stat   // zero Kind: nothing there
	base *index.Base // nil: no base
	from shoal.Path  // set: this file was at from before (a rename)

	fromBase *index.Base // what was known of it there
	unsure   bool        // that content may be out of date: hash it
	another  bool        // the file that was here stands under another name now: this is another one, not an edit of it

	// set by hashing
	content [32]byte
	target  string
	recipe  block.Recipe
	size    int64
	weak    bool
}

func (s *sight) gone() bool { return s.stat.Kind == 0 }

// onDisk tells whether b says that something is on disk; a base may also remember a deletion.
func onDisk(b *index.Base) bool { return b != nil && b.Kind != shoal.KindTombstone }

// difference classifies what a listing shows at one path.
type difference uint8

const (
	unchanged difference = iota
	fresh                // something where the base has nothing
	edited               // the same kind, the stat signature differs
	replaced             // another kind
)

func compare(st disk.Stat, b *index.Base) difference {
	switch {
	case !onDisk(b):
		return fresh
	case st.Kind != b.Kind:
		return replaced
	case st.Kind == shoal.KindFolder:
		if st.Mode != b.Stat.Mode {
			return edited
		}
		return unchanged
	case b.Stat.Weak || statOf(st) != withoutWeak(b.Stat):
		return edited
	}
	return unchanged
}

func statOf(st disk.Stat) index.DiskStat {
	return index.DiskStat{Size: st.Size, MTime: st.MTime, CTime: st.CTime, Mode: st.Mode, Inode: st.Inode, Device: st.Device}
}

func withoutWeak(s index.DiskStat) index.DiskStat {
	s.Weak = false
	return s
}

// fileKey finds a renamed file again: the inode with what a rename does not change.
type fileKey struct {
	inode, device uint64
	size, mtime   int64
}

// matchRenames pairs what is gone with what is fresh and is the same file by inode, size and time. The fresh side learns where it was and
// needs no hashing; its content is believed until the file is hashed again at leisure. Only whole files count: folders follow from what is in them.
func matchRenames(gone, news []*sight) {
	lost := map[fileKey]*sight{}
	for _, g := range gone {
		if g.base.Kind == shoal.KindFile {
			s := g.base.Stat
			lost[fileKey{s.Inode, s.Device, s.Size, s.MTime}] = g
		}
	}
	for _, n := range news {
		if n.stat.Kind != shoal.KindFile || n.stat.Links > 1 {
			continue
		}
		k := fileKey{n.stat.Inode, n.stat.Device, n.stat.Size, n.stat.MTime}
		if g := lost[k]; g != nil {
			n.from = g.path
			n.content, n.recipe, n.size = g.base.Content, g.base.Recipe, g.base.Size
			n.fromBase, n.unsure = g.base, g.base.Stat.Weak
			delete(lost, k)
		}
	}
	matchFolderRenames(gone, news)
	markOthers(news)
}

// markOthers finds files that took the place of one that stands under another name now: two were swapped, or one was moved and
// another made in its place.
func markOthers(news []*sight) {
	came := map[[2]uint64]bool{}
	isOther := func(n *sight) bool {
		return n.stat.Kind == shoal.KindFile && n.stat.Inode != 0 && !(onDisk(n.base) && n.base.Stat.Inode == n.stat.Inode)
	}
	for _, n := range news {
		if isOther(n) && n.stat.Links <= 1 {
			came[[2]uint64{n.stat.Inode, n.stat.Device}] = true
		}
	}
	for _, n := range news {
		if isOther(n) && onDisk(n.base) {
			n.another = came[[2]uint64{n.base.Stat.Inode, n.base.Stat.Device}]
		}
	}
}

// matchFolderRenames tells a fresh folder where it was. An inode alone proves nothing, since file systems give it out again at once: a file
// that came along, or the untouched time of an empty folder, must agree.
func matchFolderRenames(gone, news []*sight) {
	lost := map[[2]uint64]*sight{}
	for _, g := range gone {
		if g.base.Kind == shoal.KindFolder {
			lost[[2]uint64{g.base.Stat.Inode, g.base.Stat.Device}] = g
		}
	}
	for _, n := range news {
		g := lost[[2]uint64{n.stat.Inode, n.stat.Device}]
		if n.stat.Kind != shoal.KindFolder || g == nil {
			continue
		}
		cameAlong := func(f *sight) bool {
			return f.from != "" && f.path.Under(n.path) && f.from == f.path.Rebase(n.path, g.path)
		}
		if g.base.Stat.MTime == n.stat.MTime || slices.ContainsFunc(news, cameAlong) {
			n.from = g.path
			delete(lost, [2]uint64{n.stat.Inode, n.stat.Device})
		}
	}
}

func sortSights(s []*sight) {
	slices.SortFunc(s, func(a, b *sight) int {
		return cmp.Or(shoal.ComparePaths(a.path, b.path), cmp.Compare(a.stat.Kind, b.stat.Kind))
	})
}

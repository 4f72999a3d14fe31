package conflict

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/shoalmesh/shoal"
)

// impliedFolderMode is the mode of a folder that has no record and lives only through its children: what mkdir gives under
// the usual umask of 022.
const impliedFolderMode = 0o755

// Resolve says what stands at a path that has these live records, on every device alike. lin must hold at least the
// continuations of the journals that the records' versions name. livingChildren tells whether anything inside the path exists,
// which makes it a folder whatever its own records say.
//
// Records may come in any order, and dominated ones or copies of the same record do no harm. The cost grows with the square of
// their number, which is one in nearly all cases and never above the number of journals.
func Resolve(records []Sibling, lin Lineage, livingChildren bool) Resolution {
	set := siblingSet{lin: lin, all: undominated(records, lin)}
	set.decideYielding()
	return set.resolution(livingChildren)
}

// siblingSet is the siblings of one path and what was found out about them. It lives for one call of Resolve.
type siblingSet struct {
	lin Lineage
	all []*Sibling // none strictly descends from another

	// yields[i] lists to whom all[i] yields, circles cut; yielders is the same relation from the other end. Both are nil
	// when nobody yields.
	yields, yielders [][]int
}

// undominated returns the records from which no other record strictly descends. Two different records that descend from each
// other, which takes a lineage that runs in a circle, both stay: when somebody lies about what was seen, nothing is dropped on
// the strength of it.
func undominated(records []Sibling, lin Lineage) []*Sibling {
	out := make([]*Sibling, 0, len(records))
	for i := range records {
		if !dominated(records, i, lin) {
			out = append(out, &records[i])
		}
	}
	return out
}

func dominated(records []Sibling, i int, lin Lineage) bool {
	for k := range records {
		if k != i && lin.Descends(records[k].Version, records[i].Version) && !lin.Descends(records[i].Version, records[k].Version) {
			return true
		}
	}
	return false
}

// survives tells whether sibling i yields to nobody.
func (set *siblingSet) survives(i int) bool { return set.yields == nil || len(set.yields[i]) == 0 }

// resolution shows what survived and orders it.
func (set *siblingSet) resolution(livingChildren bool) Resolution {
	var r Resolution
	var shown []Shown
	for i, s := range set.all {
		switch {
		case !set.survives(i):
		case s.Kind == shoal.KindTombstone:
			if r.Tombstones == nil {
				r.Absence = set.show(i).Version
			}
			r.Tombstones = append(r.Tombstones, s.Record)
		case set.firstSurvivor(i):
			shown = append(shown, set.show(i))
		}
	}
	r.Tombstones = sortDots(r.Tombstones)
	if livingChildren && !slices.ContainsFunc(shown, isFolder) {
		shown = append(shown, set.impliedFolder())
	}
	slices.SortFunc(shown, func(a, b Shown) int { return compareShown(&a, &b, livingChildren) })
	if len(shown) > 0 {
		r.Winner = &shown[0]
		r.Losers = slices.DeleteFunc(shown[1:len(shown):len(shown)], isFolder)
	}
	if len(r.Losers) == 0 {
		r.Losers = nil
	}
	return r
}

func isFolder(s Shown) bool { return s.Kind == shoal.KindFolder }

// compareShown puts the winner first: a folder if the path has living children, then the later time, then the greater
// content, then the greater dot. Surviving things differ in kind or content, and folders come only once, so the order is
// strict but for forged records, where the last comparisons decide.
func compareShown(a, b *Shown, livingChildren bool) int {
	if livingChildren && isFolder(*a) != isFolder(*b) {
		if isFolder(*a) {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(b.Time, a.Time),
		bytes.Compare(b.Content[:], a.Content[:]),
		b.Record.Compare(a.Record),
		cmp.Compare(b.Kind, a.Kind),
	)
}

// sortDots sorts dots in place and drops repetitions.
func sortDots(dots []shoal.Dot) []shoal.Dot {
	slices.SortFunc(dots, shoal.Dot.Compare)
	return slices.Compact(dots)
}

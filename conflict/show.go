package conflict

import (
	"bytes"
	"cmp"

	"github.com/shoalmesh/shoal"
)

// same tells whether two siblings count as one: equal kind and content. Folders have no content of their own and tombstones
// none at all, so all folders of a path count as one.
func same(a, b *Sibling) bool { return a.Kind == b.Kind && a.Content == b.Content }

// firstSurvivor tells whether no surviving sibling before i counts as one with it.
func (set *siblingSet) firstSurvivor(i int) bool {
	for k := range i {
		if set.survives(k) && same(set.all[k], set.all[i]) {
			return false
		}
	}
	return true
}

// show describes what surviving sibling i and all that count as one with it bring to the path. A sibling that yielded does not
// name the thing, even if it has the same content: its time is not the time at which somebody chose this content.
func (set *siblingSet) show(i int) Shown {
	named := set.all[i]
	for k := i + 1; k < len(set.all); k++ {
		if s := set.all[k]; set.survives(k) && same(s, named) && compareAge(s, named) > 0 {
			named = s
		}
	}
	return set.describe(named, set.following(named))
}

// describe folds members into one Shown that is named by one of them. Content comes from the naming record; mtime and mode may
// come from any member of the same kind, since the mtime of a folder is no state and its mode would not fit a file.
func (set *siblingSet) describe(named *Sibling, members []*Sibling) Shown {
	out := Shown{
		Record: named.Record, Kind: named.Kind, Content: named.Content, ContentFrom: named.contentFrom(), Replaced: named.Replaced,
		Time: named.Time, Members: make([]shoal.Dot, 0, len(members)),
	}
	latest, mode := named, (*Sibling)(nil)
	for _, s := range members {
		out.Version = Join(out.Version, s.Version)
		out.Members = append(out.Members, s.Record)
		if s.Kind != named.Kind {
			continue
		}
		if compareAge(s, latest) > 0 {
			latest = s
		}
		if !set.modeSuperseded(s, members) && (mode == nil || compareAge(s, mode) > 0) {
			mode = s
		}
	}
	if mode == nil { // each is superseded by the next, in a circle
		mode = latest
	}
	out.Members = sortDots(out.Members)
	out.MTime, out.Mode, out.ModeFrom = latest.MTime, mode.Mode, mode.modeFrom()
	return out
}

// modeSuperseded tells whether some member's author had seen the record that brought s its mode and has another mode that in
// turn s's author had not seen.
func (set *siblingSet) modeSuperseded(s *Sibling, members []*Sibling) bool {
	for _, o := range members {
		if o.Kind == s.Kind && o.modeFrom() != s.modeFrom() &&
			set.lin.Covers(o.Version, s.modeFrom()) && !set.lin.Covers(s.Version, o.modeFrom()) {
			return true
		}
	}
	return false
}

// following returns the siblings that count as one with named or that yielded, maybe by way of others, to one that does.
func (set *siblingSet) following(named *Sibling) []*Sibling {
	if len(set.all) == 1 {
		return set.all
	}
	in := make([]bool, len(set.all))
	queue := make([]int, 0, len(set.all))
	for i, s := range set.all {
		if same(s, named) {
			in[i], queue = true, append(queue, i)
		}
	}
	out := make([]*Sibling, 0, len(set.all))
	for ; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		out = append(out, set.all[i])
		if set.yielders == nil {
			continue
		}
		for _, k := range set.yielders[i] {
			if !in[k] {
				in[k], queue = true, append(queue, k)
			}
		}
	}
	return out
}

// impliedFolder is the folder that stands at a path because something lives inside it, though no folder survived among the
// path's own records. A folder that yielded lends its record and mode, so that a private folder stays private; without any it
// has no record.
func (set *siblingSet) impliedFolder() Shown {
	var named *Sibling
	for _, s := range set.all {
		if s.Kind == shoal.KindFolder && (named == nil || compareAge(s, named) > 0) {
			named = s
		}
	}
	if named == nil {
		return Shown{Kind: shoal.KindFolder, Mode: impliedFolderMode}
	}
	return set.describe(named, set.following(named))
}

// compareAge orders siblings by record time, then dot. Two siblings with one dot are the forged or doubled forms of one
// record; the other fields are compared only so that even then the order of arrival does not matter.
func compareAge(a, b *Sibling) int {
	return cmp.Or(
		cmp.Compare(a.Time, b.Time),
		a.Record.Compare(b.Record),
		cmp.Compare(a.MTime, b.MTime),
		cmp.Compare(a.Mode, b.Mode),
		a.contentFrom().Compare(b.contentFrom()),
		a.modeFrom().Compare(b.modeFrom()),
		bytes.Compare(a.Replaced[:], b.Replaced[:]),
	)
}

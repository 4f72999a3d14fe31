package index

import (
	"encoding/binary"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// Desired returns what should be at p: the winner, a conflict copy whose name p is, or a folder that lives through its
// children; nil: nothing. At a path that is held it is what this disk has, whatever that is.
func (tx *Tx) Desired(p shoal.Path) (*State, error) {
	if err := tx.requireKeys(); err != nil {
		return nil, err
	}
	u := tx.newRowReader()
	e, err := u.edit(p)
	if err != nil || !e.exists {
		return nil, err
	}
	s, err := u.desired(e)
	if err != nil || s == nil {
		return nil, err
	}
	if len(s.RecipeParts) > 0 || (s.Recipe == nil && s.Size > 0) {
		s.Recipe, _, err = tx.Recipe(s.Content)
	}
	return s, err
}

func (tx *Tx) newRowReader() *rowUpdate {
	u := tx.newRowUpdate()
	u.reading = true
	return u
}

// desired is Desired without the recipes of long files.
func (u *rowUpdate) desired(e *rowEdit) (*State, error) {
	if len(e.row.held) > 0 {
		return u.heldState(e)
	}
	if err := u.resolveRow(e); err != nil {
		return nil, err
	}
	if e.res.Winner != nil {
		return stateOf(e.res.Winner, e.recs), nil
	}
	c, ok := e.row.shownClaim()
	if !ok {
		return nil, nil
	}
	of, err := u.edit(e.path.Parent().Join(c.of))
	if err != nil {
		return nil, err
	}
	if err := u.resolveRow(of); err != nil {
		return nil, err
	}
	j, err := u.tx.journalNumber(c.record.journal)
	if err != nil {
		return nil, err
	}
	record := j.dot(c.record.seq)
	i := slices.IndexFunc(of.res.Losers, func(s conflict.Shown) bool { return s.Record == record })
	if i < 0 {
		return nil, u.tx.damaged("claim of", pathKey(of.path), errShort)
	}
	s := stateOf(&of.res.Losers[i], of.recs)
	s.Copy = &CopyOf{Of: of.path, Record: record}
	return s, nil
}

// heldState is what the disk has.
func (u *rowUpdate) heldState(e *rowEdit) (*State, error) {
	if e.row.base == nil {
		return nil, nil
	}
	if err := u.tx.fillBase(e.path, e.row.base); err != nil {
		return nil, err
	}
	b := e.row.base.value
	if b.Kind == shoal.KindTombstone {
		return nil, nil
	}
	return &State{
		Kind: b.Kind, Mode: b.Mode, MTime: b.MTime, Size: b.Size, Content: b.Content, Target: b.Target, Recipe: b.Recipe,
		Version: b.Version, Record: b.Record, ContentFrom: b.ContentFrom, ModeFrom: b.ModeFrom, Copy: b.Copy,
	}, nil
}

// stateOf joins what was resolved with the rest of the naming record.
func stateOf(s *conflict.Shown, recs []*Record) *State {
	out := &State{
		Kind: s.Kind, Mode: s.Mode, Version: s.Version, Record: s.Record, ContentFrom: s.ContentFrom, ModeFrom: s.ModeFrom,
		Members: s.Members, Time: s.Time, Content: block.ContentID(s.Content),
	}
	if s.Kind == shoal.KindFile || s.Kind == shoal.KindSymlink {
		out.MTime = s.MTime
	}
	for _, r := range recs {
		if r.Dot == s.Record {
			e := &r.Entry
			out.Size, out.Target, out.Recipe, out.RecipeParts = e.Size, e.Target, e.Recipe, e.RecipeParts
			out.Epochs, out.Epoch, out.Carried = e.Epochs, r.Epoch, e.Carried
		}
	}
	return out
}

// settleNeed holds what should be at a row against its base.
func (u *rowUpdate) settleNeed(e *rowEdit) error {
	s, err := u.desired(e)
	if err != nil {
		return err
	}
	if err := u.resolveRow(e); err != nil { // what follows needs the records, even of a held row
		return err
	}
	if e.row.base != nil {
		if err := u.tx.fillBase(e.path, e.row.base); err != nil {
			return err
		}
	}
	var base *Base
	if e.row.base != nil {
		base = e.row.base.value
	}
	needed := base.Differs(s)
	var bytes int64
	if needed && s != nil && s.Kind == shoal.KindFile && (base == nil || base.Kind != s.Kind || base.Content != s.Content) {
		bytes = s.Size
	}
	return u.tx.putNeed(e.path, needed, bytes)
}

func (tx *Tx) putNeed(p shoal.Path, needed bool, bytes int64) error {
	sums, err := tx.loadSums()
	if err != nil {
		return err
	}
	needs, key := tx.bucket(bNeeds), pathKey(p)
	old := needs.Get(key)
	if old == nil && !needed {
		return nil
	}
	if old != nil {
		n, _ := binary.Uvarint(old)
		sums.needs--
		sums.needBytes -= int64(n)
	}
	if needed {
		sums.needs++
		sums.needBytes += bytes
		needs.Put(key, binary.AppendUvarint(nil, uint64(bytes)))
	} else {
		needs.Delete(key)
	}
	sums.changed = true
	return nil
}

// settleSets keeps the sets of conflicts, of renames to follow, and of rows that name long contents.
func (u *rowUpdate) settleSets(e *rowEdit) error {
	sums, err := u.tx.loadSums()
	if err != nil {
		return err
	}
	if u.member(bConflicts, e.path, len(e.old.names) > 0, len(e.res.Losers) > 0, &sums.conflicts) {
		sums.changed = true
	}
	if e.old.followable != e.row.followable {
		sums.changed = true
		if e.row.followable {
			sums.followable++
		} else {
			sums.followable--
		}
	}
	if e.marked && (e.old.followable || e.row.followable) {
		was := u.tx.bucket(bFollows).Get(pathKey(e.path)) != nil
		if u.member(bFollows, e.path, was, e.row.followable && e.res.Winner != nil, &sums.follows) {
			sums.changed = true
		}
	}
	return nil
}

// member puts a path into a set or takes it out, and counts. It tells whether something changed.
func (u *rowUpdate) member(set int, p shoal.Path, was, is bool, count *int64) bool {
	switch {
	case was == is:
		return false
	case is:
		u.tx.bucket(set).Put(pathKey(p), nil)
		*count++
	default:
		u.tx.bucket(set).Delete(pathKey(p))
		*count--
	}
	return true
}

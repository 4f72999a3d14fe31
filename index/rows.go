package index

import (
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// rowUpdate changes rows so that they say again what follows from the records. Its phases:
//
//  1. lives: from the deepest path up, each changed path is resolved; where something begins or ceases to live, the folder
//     counts it, and is resolved in turn when its first kid came or its last one went.
//  2. names: where the losers of a path changed, or a name that they want was taken or became free, they get names again.
//     Names depend on what lives, and on nothing that names change, so one pass is enough.
//  3. finish: what should be at each touched path is held against its base, and everything is written.
type rowUpdate struct {
	tx    *Tx
	edits map[shoal.Path]*rowEdit
	depth [][]*rowEdit // edits to resolve, by number of slashes

	reading bool // nothing may be written

	// moved remembers for each folder whether one of the folders above it, or itself, has a tombstone that says where its
	// content went; paths below are then looked at by who follows renames.
	moved map[shoal.Path]bool
}

// rowEdit is one row in the making.
type rowEdit struct {
	path   shoal.Path
	exists bool    // in the database
	old    rowData // as it is there; slices are shared with row until they change
	row    rowData

	fresh map[ref]*Record // attached in this update: need not be read again

	marked   bool                // to be resolved in phase 1
	resolved bool                // recs and res are right
	recs     []*Record           // of row.live
	res      conflict.Resolution // of recs

	rename  bool // the losers are to be named again
	shows   bool // what a copy shows here may have changed
	baseSet bool // the base was changed by SetBase
}

func (tx *Tx) newRowUpdate() *rowUpdate {
	return &rowUpdate{tx: tx, edits: make(map[shoal.Path]*rowEdit), moved: make(map[shoal.Path]bool)}
}

// edit returns the row of p for changing.
func (u *rowUpdate) edit(p shoal.Path) (*rowEdit, error) {
	if e := u.edits[p]; e != nil {
		return e, nil
	}
	e := &rowEdit{path: p}
	row, err := u.tx.row(p)
	if err != nil {
		return nil, err
	}
	if row != nil {
		e.exists, e.old, e.row = true, *row, *row
		e.row.live = slices.Clone(row.live)
		e.row.held = slices.Clone(row.held)
		e.row.claims = slices.Clone(row.claims)
	}
	u.edits[p] = e
	return e, nil
}

// row returns the stored row; nil: there is none.
func (tx *Tx) row(p shoal.Path) (*rowData, error) {
	key := pathKey(p)
	if len(key) == 0 {
		return nil, nil
	}
	data := tx.bucket(bRows).Get(key)
	if data == nil {
		return nil, nil
	}
	row, err := decodeRow(data)
	if err != nil {
		return nil, tx.damaged("row", key, err)
	}
	return row, nil
}

// mark has a row resolved again.
func (u *rowUpdate) mark(e *rowEdit) {
	if e.marked {
		return
	}
	e.marked = true
	d := strings.Count(string(e.path), "/")
	for len(u.depth) <= d {
		u.depth = append(u.depth, nil)
	}
	u.depth[d] = append(u.depth[d], e)
}

// attach adds a good record to its path.
func (u *rowUpdate) attach(r ref, rec *Record) error {
	e, err := u.edit(rec.Entry.Path)
	if err != nil {
		return err
	}
	e.row.live = append(e.row.live, r)
	if e.fresh == nil {
		e.fresh = make(map[ref]*Record, 1)
	}
	e.fresh[r] = rec
	u.mark(e)
	return nil
}

// detach takes a record from its path. The record must still be in the database: the base may have to be filled in from it.
func (u *rowUpdate) detach(r ref, rec *Record) error {
	e, err := u.edit(rec.Entry.Path)
	if err != nil {
		return err
	}
	i := slices.Index(e.row.live, r)
	if i < 0 {
		return nil
	}
	if e.row.base != nil && e.row.base.compact && e.row.base.record == r {
		if err := u.tx.fillBase(e.path, e.row.base); err != nil {
			return err
		}
		e.row.base = &storedBase{value: e.row.base.value}
	}
	e.row.live = slices.Delete(e.row.live, i, i+1)
	u.mark(e)
	return nil
}

// hold keeps a path as it is because of a slot, or ends that.
func (u *rowUpdate) hold(p shoal.Path, h hold, on bool) error {
	e, err := u.edit(p)
	if err != nil {
		return err
	}
	i := slices.Index(e.row.held, h)
	switch {
	case on && i < 0:
		e.row.held = append(e.row.held, h)
	case !on && i >= 0:
		e.row.held = slices.Delete(e.row.held, i, i+1)
	default:
		return nil
	}
	u.mark(e)
	return nil
}

// again has a path resolved again because what is known around it changed.
func (u *rowUpdate) again(p shoal.Path) error {
	e, err := u.edit(p)
	if err != nil {
		return err
	}
	e.rename = true
	u.mark(e)
	return nil
}

// finish runs the phases and returns the paths that were touched.
func (u *rowUpdate) finish() ([]shoal.Path, error) {
	for d := len(u.depth) - 1; d >= 0; d-- {
		for _, e := range u.depth[d] { // the list does not grow meanwhile: folders are levels above
			if err := u.settleLife(e); err != nil {
				return nil, err
			}
		}
	}
	if err := u.settleNames(); err != nil {
		return nil, err
	}
	paths := make([]shoal.Path, 0, len(u.edits))
	for p := range u.edits {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, shoal.ComparePaths)
	for _, p := range paths {
		if err := u.write(u.edits[p]); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// settleLife is phase 1 for one path.
func (u *rowUpdate) settleLife(e *rowEdit) error {
	if err := u.resolveRow(e); err != nil {
		return err
	}
	e.rename = e.rename || len(e.res.Losers) > 0 || len(e.row.names) > 0
	e.row.followable = false
	for _, d := range e.res.Tombstones {
		if rec := e.record(d); rec != nil && rec.Entry.MovedTo != "" {
			e.row.followable = true
		}
	}
	e.row.lives = e.res.Winner != nil || len(e.row.held) > 0
	if err := u.noteMoved(e); err != nil {
		return err
	}
	if e.row.lives == e.old.lives {
		return nil
	}
	parent := e.path.Parent()
	if parent == "" {
		return nil
	}
	p, err := u.edit(parent)
	if err != nil {
		return err
	}
	by := -1
	if e.row.lives {
		by = 1
	}
	had := p.row.kids > 0
	p.row.kids += by
	if had != (p.row.kids > 0) || p.row.followable {
		u.mark(p)
	}
	return nil
}

// noteHere tells those who follow renames that the disk now has what may have to follow one.
func (u *rowUpdate) noteHere(e *rowEdit) error {
	if k := e.row.base.value.Kind; k != shoal.KindFile && k != shoal.KindSymlink {
		return nil
	}
	if e.row.followable {
		u.mark(e)
	}
	return u.noteMoved(e)
}

// noteMoved tells those who follow renames that something lives below a folder that was moved away.
func (u *rowUpdate) noteMoved(e *rowEdit) error {
	if !e.row.lives {
		return nil
	}
	s, err := u.tx.loadSums()
	if err != nil || s.followable == 0 {
		return err
	}
	for p := e.path.Parent(); p != ""; p = p.Parent() {
		moved, ok := u.moved[p]
		if !ok {
			row, err := u.tx.row(p)
			if err != nil {
				return err
			}
			moved = row != nil && row.followable
			u.moved[p] = moved
		}
		if moved {
			above, err := u.edit(p)
			if err != nil {
				return err
			}
			u.mark(above)
		}
	}
	return nil
}

func (e *rowEdit) record(d shoal.Dot) *Record {
	for _, r := range e.recs {
		if r.Dot == d {
			return r
		}
	}
	return nil
}

// resolveRow asks what the row's records mean, unless that is known.
func (u *rowUpdate) resolveRow(e *rowEdit) error {
	if e.resolved {
		return nil
	}
	recs, err := u.records(e)
	if err != nil {
		return err
	}
	e.resolved, e.recs = true, recs
	if err := u.mentions(e); err != nil {
		return err
	}
	e.res = resolve(e.recs, u.tx.Lineage(), e.row.kids > 0)
	return nil
}

// records returns the records of row.live, in the same order.
func (u *rowUpdate) records(e *rowEdit) ([]*Record, error) {
	recs := make([]*Record, len(e.row.live))
	for i, r := range e.row.live {
		if recs[i] = e.fresh[r]; recs[i] != nil {
			continue
		}
		var err error
		if recs[i], err = u.tx.loadRecord(r); err != nil {
			return nil, err
		}
	}
	return recs, nil
}

func resolve(recs []*Record, lin conflict.Lineage, kids bool) conflict.Resolution {
	siblings := make([]conflict.Sibling, len(recs))
	for i, r := range recs {
		siblings[i] = r.Sibling()
	}
	return conflict.Resolve(siblings, lin, kids)
}

// mentions notes which journals the answer waits for. A single record needs no comparison.
func (u *rowUpdate) mentions(e *rowEdit) error {
	if len(e.recs) < 2 || u.reading {
		return nil
	}
	for _, r := range e.recs {
		if err := u.tx.mention(r.Dot.Journal, e.path); err != nil {
			return err
		}
		for _, d := range r.Entry.Version {
			if err := u.tx.mention(d.Journal, e.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// write is phase 3 for one row.
func (u *rowUpdate) write(e *rowEdit) error {
	if e.resolved || e.baseSet || e.shows || !slices.Equal(e.old.claims, e.row.claims) {
		if err := u.settleNeed(e); err != nil {
			return err
		}
	} else if e.old.kids == e.row.kids {
		return nil
	}
	if e.resolved {
		if err := u.settleSets(e); err != nil {
			return err
		}
		if err := u.settleBase(e); err != nil {
			return err
		}
	}
	rows, key := u.tx.bucket(bRows), pathKey(e.path)
	if e.row.empty() {
		if e.exists {
			rows.Delete(key)
		}
		return nil
	}
	rows.Put(key, e.row.encode())
	return nil
}

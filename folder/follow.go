package folder

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// Follow lets edits follow renames: an edit of p that the author of "p moved to q" had not seen is recorded at q, by the device that made it or
// the one that renamed, whichever has its content. Until one does, the edit lives at p. Only content that an application wrote follows, and only once.
func (e *Engine) Follow(ctx context.Context) error {
	if e.joining || e.access() != AccessWrite {
		return nil
	}
	recorded := false
	err := e.Index.Update(ctx, func(tx *index.Tx) error {
		paths, err := tx.Follows(commitSize)
		if err != nil || len(paths) == 0 {
			return err
		}
		d := &drafts{e: e, tx: tx}
		for _, p := range paths {
			if err := d.follow(p); err != nil {
				return err
			}
			if err := tx.ClearFollow(p); err != nil {
				return err
			}
		}
		n, err := d.write()
		recorded = n > 0
		return err
	})
	if err == nil && recorded {
		e.changed()
	}
	return err
}

// follow handles the rename that the row at p tells of, for what is at p and, when p was a folder, for what is in it.
func (d *drafts) follow(p shoal.Path) error {
	row, ok, err := d.tx.Row(p)
	if err != nil || !ok {
		return err
	}
	t, err := renameAt(d.tx, &row)
	if err != nil || t == nil {
		return err
	}
	if err := d.followOne(&row, t, t.Entry.MovedTo); err != nil {
		return err
	}
	if row.Kids == 0 || t.Entry.Replaced != (block.ContentID{}) {
		return nil // it was a file: what is known to be in it is from before
	}
	var inside []index.Row
	if err := d.tx.Walk(p, func(r index.Row) error {
		if r.Path != p && len(inside) < commitSize {
			inside = append(inside, r)
		}
		return nil
	}); err != nil {
		return err
	}
	for i := range inside {
		if err := d.followOne(&inside[i], t, inside[i].Path.Rebase(p, t.Entry.MovedTo)); err != nil {
			return err
		}
	}
	return nil
}

// followOne moves the surviving content at row to q, if an application wrote it and this device either wrote it or wrote the rename t.
func (d *drafts) followOne(row *index.Row, t *index.Record, q shoal.Path) error {
	res, err := d.tx.Resolution(row.Path)
	if err != nil || res.Winner == nil || res.Winner.Record.IsZero() || len(res.Losers) > 0 {
		return err
	}
	edit := liveRecord(row, res.Winner.ContentFrom)
	if edit == nil || edit.Entry.Carried || edit.Entry.Kind != shoal.KindFile && edit.Entry.Kind != shoal.KindSymlink || !edit.Entry.ContentFrom.IsZero() {
		return nil
	}
	if row.Path == t.Entry.Path && (edit.Entry.Replaced == (block.ContentID{}) || !d.editsMoved(edit, t)) {
		return nil // no edit of what was moved away: a new file, or what took the place of a folder that was moved
	}
	if edit.Dot.Journal.Device != d.e.Self && t.Dot.Journal.Device != d.e.Self {
		return nil
	}
	if b := row.Base; b == nil || b.Copy != nil || b.Kind != edit.Entry.Kind || b.Content != edit.Entry.Content {
		return nil // nobody records what it does not have: its author may replace it before anybody got it
	}
	q, ok, err := endOfChain(d.tx, q)
	if err != nil || !ok || q == row.Path || q.Validate() != nil {
		return err
	}
	if taken, err := d.slotTaken(q, &edit.Entry); err != nil || taken {
		return err
	}
	moved := edit.Entry
	if len(moved.RecipeParts) > 0 {
		if moved.Recipe, ok, err = d.tx.Recipe(moved.Content); err != nil || !ok {
			return err // not known here yet; it is where the edit was made, which moves it then
		}
	}
	moved.Path, moved.Carried, moved.Time = q, true, 0
	moved.ContentFrom, moved.ModeFrom = shoal.Dot{}, shoal.Dot{}
	moved.Epochs = nil
	if moved.Version, err = d.versionAt(q, t, edit); err != nil {
		return err
	}
	left := index.Entry{
		Path: row.Path, Kind: shoal.KindTombstone, MovedTo: q, Replaced: edit.Entry.Content, ContentFrom: edit.Dot,
		Version: conflict.Join(res.Winner.Version, t.Version()),
	}
	d.keeps = append(d.keeps, draft{entry: moved})
	d.hides = append(d.hides, draft{entry: left})
	return nil
}

// followed returns where what was at p as base is wanted, if this device has recorded that it follows a rename and not moved it yet: once it is not at p
// any more, nobody has it.
func (e *Engine) followed(tx *index.Tx, p shoal.Path, base *index.Base) (*index.State, shoal.Path, error) {
	if !onDisk(base) || base.Kind != shoal.KindFile || base.Copy != nil {
		return nil, "", nil
	}
	row, _, err := tx.Row(p)
	if err != nil {
		return nil, "", err
	}
	for i := range row.Live {
		q := row.Live[i].Entry.MovedTo
		if q == "" || row.Live[i].Dot.Journal.Device != e.Self {
			continue
		}
		at, err := tx.Desired(q)
		if err != nil {
			return nil, "", err
		}
		b, err := tx.Base(q)
		if err != nil {
			return nil, "", err
		}
		if at != nil && at.Carried && at.Record.Journal.Device == e.Self && at.Content == base.Content && at.Kind == shoal.KindFile && !onDisk(b) {
			return at, q, nil
		}
	}
	return nil, "", nil
}

// replacedWhatFollows is followed for a file that was put in the place of one that is to be moved.
func (d *drafts) replacedWhatFollows(s *sight, want *index.State) (*index.State, shoal.Path, error) {
	if want != nil || s.stat.Kind != shoal.KindFile || s.another || s.from != "" {
		return nil, "", nil
	}
	at, q, err := d.e.followed(d.tx, s.path, s.base)
	if err != nil || at == nil || d.draftAt(q) != nil {
		return nil, "", err
	}
	return at, q, nil
}

// deleteAfter records at q, too, that s is gone, if what s was is wanted there and was not moved yet: who deletes a file means it wherever it goes.
func (d *drafts) deleteAfter(s *sight) error {
	at, q, err := d.e.followed(d.tx, s.path, s.base)
	if err != nil || at == nil || d.draftAt(q) != nil || d.moved[s.path] != "" {
		return err
	}
	if _, err := d.e.FS.Lstat(string(q)); !isNotExist(err) {
		return nil // something is there; the next look says what
	}
	d.hides = append(d.hides, draft{entry: index.Entry{Path: q, Kind: shoal.KindTombstone, Version: at.Version, Replaced: at.Content}})
	return nil
}

// leavesNothing tells whether p, which should hold base and is gone, was where the only copy of something was that this device has said to be elsewhere.
func (e *Engine) leavesNothing(p shoal.Path, base *index.Base) (yes bool) {
	err := e.Index.View(func(tx *index.Tx) error {
		at, _, err := e.followed(tx, p, base)
		yes = at != nil
		return err
	})
	return yes && err == nil
}

// goAfter records s at q, in the place of what it replaced. That the disk still shows it under the old name is the next plan's business.
func (d *drafts) goAfter(s *sight, at *index.State, q shoal.Path) error {
	en := d.entry(s, nil)
	en.Path, en.Version, en.Replaced, en.Carried = q, at.Version, at.Content, true
	en.ContentFrom, en.ModeFrom = shoal.Dot{}, shoal.Dot{}
	d.keeps = append(d.keeps, draft{entry: en})
	nb := d.newBase(s)
	nb.Version = s.base.Version
	return d.setBase(s.path, nb)
}

// editsMoved tells whether who wrote edit had seen the content that t says was moved.
func (d *drafts) editsMoved(edit, t *index.Record) bool {
	return !t.Entry.ContentFrom.IsZero() && d.tx.Lineage().Covers(edit.Version(), t.Entry.ContentFrom)
}

// slotTaken tells whether this device has something of its own at q that is not what the edit replaced. Its journal has one slot for q, so recording
// the edit there would take that away from everybody; the edit then stays where it is, or the other device moves it.
func (d *drafts) slotTaken(q shoal.Path, edit *index.Entry) (bool, error) {
	if d.draftAt(q) != nil {
		return true, nil
	}
	row, ok, err := d.tx.Row(q)
	if err != nil || !ok {
		return false, err
	}
	for i := range row.Live {
		r := &row.Live[i]
		if r.Dot.Journal.Device == d.e.Self && r.Entry.Kind != shoal.KindTombstone && (r.Entry.Kind != edit.Kind || r.Entry.Content != edit.Replaced) {
			return true, nil
		}
	}
	return false, nil
}

// versionAt is the version of the moved edit at q: what this disk shows there, and the renamer's record there, if that is what the edit replaced. Anything
// else at q is a sibling: who made the edit may never have seen it.
func (d *drafts) versionAt(q shoal.Path, t *index.Record, edit *index.Record) (conflict.Version, error) {
	var v conflict.Version
	row, ok, err := d.tx.Row(q)
	if err != nil || !ok {
		return nil, err
	}
	later := t.Entry.Path == edit.Entry.Path && d.editsMoved(edit, t) // maybe the last of several edits, of which the first replaced what was moved
	replaced := func(kind shoal.Kind, c block.ContentID) bool {
		return kind == edit.Entry.Kind && (c == edit.Entry.Replaced || c == edit.Entry.Content || later && c == t.Entry.Replaced)
	}
	if b := row.Base; b != nil && b.Copy == nil && (!onDisk(b) || replaced(b.Kind, b.Content)) {
		v = b.Version
	}
	for i := range row.Live {
		r := &row.Live[i]
		if r.Dot.Journal == t.Dot.Journal && replaced(r.Entry.Kind, r.Entry.Content) {
			v = conflict.Join(v, r.Version())
		}
	}
	return v, nil
}

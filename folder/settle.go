package folder

import (
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// settleAround settles the conflict that a change at p touches: p's own, or, when p is a conflict copy, that of the path it is a copy of.
// Whoever changes something at a path, or a copy beside it, has seen what stands there; so the copies become ordinary files and
// the path's new record joins them all.
func (d *drafts) settleAround(p shoal.Path, b *index.Base) error {
	of := p
	if b != nil && b.Copy != nil {
		of = b.Copy.Of
	}
	row, ok, err := d.tx.Row(of)
	if err != nil || !ok {
		return err
	}
	if of != p && !slices.Contains(row.Copies, p) {
		return d.settleStale(of, &row, b)
	}
	if len(row.Copies) == 0 {
		return nil
	}
	own := d.draftAt(of)
	if own == nil {
		if touched, err := d.touches(of); err != nil || touched && of != p {
			return err // its own sight comes later in the group and settles everything
		}
		if !onDisk(row.Base) {
			return nil // the winner is not on this disk yet: nobody has seen the conflict, the copy will be shown again
		}
		d.keeps = append(d.keeps, draft{entry: d.keepEntry(of, row.Base), base: row.Base})
		own = &d.keeps[len(d.keeps)-1]
	}
	joined := own.entry.Version
	for _, c := range row.Copies {
		v, err := d.settleCopy(c, row.Base)
		if err != nil {
			return err
		}
		joined = conflict.Join(joined, v)
		if len(v) > 0 {
			if err := d.answersWith(d.draftAt(of), c); err != nil {
				return err
			}
		}
	}
	d.draftAt(of).entry.Version = joined
	return nil
}

// settleStale handles a touched copy (its base is c) whose conflict changed in the index before the disk showed that: the user answered what the disk showed, so the
// answer is recorded with these versions.
func (d *drafts) settleStale(of shoal.Path, row *index.Row, c *index.Base) error {
	own := d.draftAt(of)
	if own == nil {
		touched, err := d.touches(of)
		if err != nil || touched || !onDisk(row.Base) || d.tx.Lineage().Descends(row.Base.Version, c.Version) {
			return err
		}
		d.keeps = append(d.keeps, draft{entry: d.keepEntry(of, row.Base), base: row.Base})
		own = &d.keeps[len(d.keeps)-1]
	}
	own.entry.Version = conflict.Join(own.entry.Version, c.Version)
	return nil
}

// answersWith handles a change that put a losing content in the place of the winner: it names the record that brought that content, so that an opposite
// answer given elsewhere at the same time is a conflict again and swallows nothing.
func (d *drafts) answersWith(own *draft, c shoal.Path) error {
	lost, err := d.tx.Desired(c)
	if err != nil || lost == nil || lost.Copy == nil {
		return err
	}
	if en := &own.entry; en.Kind == lost.Kind && en.Content == lost.Content {
		en.ContentFrom, en.Replaced, en.Carried = lost.ContentFrom, block.ContentID{}, true
	}
	return nil
}

// draftAt returns the draft at p, if there is one; the pointer is good until the next append.
func (d *drafts) draftAt(p shoal.Path) *draft {
	for _, list := range [][]draft{d.keeps, d.hides} {
		if i := slices.IndexFunc(list, func(x draft) bool { return x.entry.Path == p }); i >= 0 {
			return &list[i]
		}
	}
	return nil
}

// keepEntry is the record that says: what stands here stays, and it has seen the others.
func (d *drafts) keepEntry(p shoal.Path, b *index.Base) index.Entry {
	en := index.Entry{
		Path: p, Kind: b.Kind, Mode: b.Mode, MTime: b.MTime, Target: b.Target, Size: b.Size, Content: b.Content, Recipe: b.Recipe,
		Version: b.Version, ContentFrom: b.ContentFrom, ModeFrom: b.ModeFrom,
	}
	en.Carried = b.Kind != shoal.KindFolder // nobody wrote this content now
	if len(b.Recipe) > block.InlineRecipe {
		_, en.RecipeParts = d.e.Keys.SplitRecipe(b.Recipe)
	}
	return en
}

// settleCopy makes the conflict copy at c an ordinary file, unless the user just did something to it, and returns the version to join. A copy that is not
// on this disk yet was seen by nobody and stays a sibling. This device's own losing sibling is kept all the same, since the new record takes its slot;
// unless it is what stood at the path itself (at) and was changed now.
func (d *drafts) settleCopy(c shoal.Path, at *index.Base) (conflict.Version, error) {
	want, err := d.tx.Desired(c)
	if err != nil || want == nil || want.Copy == nil {
		return nil, err
	}
	b, err := d.tx.Base(c)
	if err != nil {
		return nil, err
	}
	shown := onDisk(b) && b.Copy != nil && b.Copy.Record == want.Copy.Record
	touched, err := d.touches(c)
	if err != nil {
		return nil, err
	}
	if (touched || d.e.leaving[c]) && (shown || b == nil) {
		return want.Version, nil
	}
	if onDisk(at) && d.tx.Lineage().Covers(at.Version, want.Copy.Record) {
		return want.Version, nil // the path itself still showed this sibling, beside its copy, and that is what the user changed
	}
	if !shown && (want.Copy.Record.Journal.Device != d.e.Self || onDisk(at) && at.Kind == want.Kind && at.Content == want.Content) {
		return nil, nil
	}
	if d.draftAt(c) != nil {
		return want.Version, nil
	}
	en := index.Entry{
		Path: c, Kind: want.Kind, Mode: want.Mode, MTime: want.MTime, Target: want.Target, Size: want.Size, Content: want.Content, Recipe: want.Recipe,
		RecipeParts: want.RecipeParts, Carried: true,
	}
	dr := draft{entry: en}
	if shown {
		nb := *b
		nb.Copy = nil
		dr.base = &nb
	}
	d.keeps = append(d.keeps, dr)
	return want.Version, nil
}

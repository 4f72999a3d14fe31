package folder

import (
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// A journal has one slot for a path: a new record takes the place of this device's last one, whatever its version says. What that one brought may
// not be on this disk yet (it was written late, or it is an edit that was moved here), so that nobody has let go of it.

// keepUnseen adds, for every draft that would take the place of something which its author has not seen, a draft that keeps this as an ordinary file
// under its conflict name.
func (d *drafts) keepUnseen() error {
	for _, dr := range slices.Concat(d.keeps, d.hides) {
		r, err := d.unseen(&dr.entry)
		if err != nil || r == nil {
			if err != nil {
				return err
			}
			continue
		}
		kept := r.Entry
		kept.Version, kept.ContentFrom, kept.ModeFrom, kept.Epochs = nil, shoal.Dot{}, shoal.Dot{}, nil
		kept.Carried, kept.Time, kept.Joined, kept.Replaced = true, 0, false, block.ContentID{}
		if len(kept.RecipeParts) > 0 {
			if kept.Recipe, _, err = d.tx.Recipe(kept.Content); err != nil {
				return err
			}
		}
		if kept.Path, err = d.tx.FreeCopyName(r.Entry.Path, d.e.Self, time.Unix(0, r.Entry.Time), r.Version(), kept.Content); err != nil {
			return err
		}
		if d.draftAt(kept.Path) == nil {
			d.keeps = append(d.keeps, draft{entry: kept})
		}
	}
	return nil
}

// unseen returns this device's own record at a draft's path, if it stands there, the draft takes its place, and the draft's author has not seen it.
func (d *drafts) unseen(en *index.Entry) (*index.Record, error) {
	row, ok, err := d.tx.Row(en.Path)
	if err != nil || !ok {
		return nil, err
	}
	own, _ := d.tx.Own()
	lin := d.tx.Lineage()
	for i := range row.Live {
		r := &row.Live[i]
		if r.Entry.Kind != shoal.KindFile && r.Entry.Kind != shoal.KindSymlink || lin.Covers(en.Version, r.Dot) || r.Entry.Content == en.Replaced {
			continue
		}
		if !lin.Covers(conflict.Version{{Journal: own, Seq: r.Dot.Seq}}, r.Dot) || r.Entry.Kind == en.Kind && r.Entry.Content == en.Content {
			continue // it keeps its slot, or says the same
		}
		if onDisk(row.Base) && row.Base.Kind == r.Entry.Kind && row.Base.Content == r.Entry.Content {
			touched, err := d.touches(en.Path)
			if err != nil {
				return nil, err
			}
			if touched {
				continue // this is what the user changed
			}
		}
		if stands, err := d.stands(r); err != nil || stands {
			return r, err
		}
	}
	return nil, nil
}

// stands tells whether r is what is shown at its path, or beside it.
func (d *drafts) stands(r *index.Record) (bool, error) {
	res, err := d.tx.Resolution(r.Entry.Path)
	if err != nil {
		return false, err
	}
	is := func(s conflict.Shown) bool { return s.Record == r.Dot }
	return res.Winner != nil && is(*res.Winner) || slices.ContainsFunc(res.Losers, is), nil
}

package folder

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// A rename is a tombstone at the old name that says where the content went, and a record at the new one. Here is what is asked about
// such pairs: the plan carries out both ends at once, and an edit goes after what it edits.

// maxHops bounds how far a chain of renames is followed.
const maxHops = 32

// otherEnd finds the other end of a rename; "": this is none.
func (e *Engine) otherEnd(tx *index.Tx, n *need) (shoal.Path, error) {
	want := n.item.Want
	switch {
	case want == nil && onDisk(n.base) && n.base.Kind == shoal.KindFile:
		return e.renameTarget(tx, n.item.Path, n.base)
	case want != nil && want.Kind == shoal.KindFile && !n.item.Ready && n.item.Base == nil && len(n.want.Recipe) > 0:
		return e.renameSource(tx, n.want)
	}
	return "", nil
}

// renameTarget finds where a file that is to be removed was moved to, if its content is wanted there and not there yet: it would have
// to be fetched once it is gone here. If it is being fetched already, that ends.
func (e *Engine) renameTarget(tx *index.Tx, p shoal.Path, b *index.Base) (shoal.Path, error) {
	row, _, err := tx.Row(p)
	if err != nil {
		return "", err
	}
	t, err := renameAt(tx, &row)
	if err != nil || t == nil {
		return "", err
	}
	q, ok, err := endOfChain(tx, t.Entry.MovedTo)
	if err != nil || !ok {
		return "", err
	}
	want, err := tx.Desired(q)
	if err != nil || want == nil || want.Kind != shoal.KindFile || want.Content != b.Content {
		return "", err
	}
	there, err := tx.Base(q)
	if err != nil || onDisk(there) {
		return "", err
	}
	if j := e.jobs[q]; j != nil && !j.done {
		e.dropJob(q)
	}
	return q, nil
}

// renameSource finds a name on this disk that holds the wanted content and is not wanted any more.
func (e *Engine) renameSource(tx *index.Tx, want *index.State) (shoal.Path, error) {
	places, err := tx.FindBlock(want.Recipe[0].ID, 4)
	if err != nil {
		return "", err
	}
	for _, pl := range places {
		b, err := tx.Base(pl.Path)
		if err != nil {
			return "", err
		}
		s, err := tx.Desired(pl.Path)
		if err != nil {
			return "", err
		}
		if s == nil && onDisk(b) && b.Kind == shoal.KindFile && b.Content == want.Content {
			return pl.Path, nil
		}
	}
	return "", nil
}

// renameAt returns the tombstone of row that says where the content went and that nothing at the path has seen; of several, the latest.
func renameAt(tx *index.Tx, row *index.Row) (*index.Record, error) {
	res, err := tx.Resolution(row.Path)
	if err != nil {
		return nil, err
	}
	var found *index.Record
	for _, dot := range res.Tombstones {
		r := liveRecord(row, dot)
		if r == nil || r.Entry.MovedTo == "" {
			continue
		}
		if found == nil || r.Entry.Time > found.Entry.Time || r.Entry.Time == found.Entry.Time && r.Dot.Compare(found.Dot) > 0 {
			found = r
		}
	}
	return found, nil
}

func liveRecord(row *index.Row, dot shoal.Dot) *index.Record {
	for i := range row.Live {
		if row.Live[i].Dot == dot {
			return &row.Live[i]
		}
	}
	return nil
}

// endOfChain follows renames of the target itself, as far as is known.
func endOfChain(tx *index.Tx, q shoal.Path) (shoal.Path, bool, error) {
	for range maxHops {
		row, ok, err := tx.Row(q)
		if err != nil || !ok {
			return q, true, err
		}
		res, err := tx.Resolution(q)
		if err != nil {
			return q, false, err
		}
		if res.Winner != nil {
			return q, true, nil
		}
		next, err := renameAt(tx, &row)
		if err != nil || next == nil {
			return q, true, err
		}
		q = next.Entry.MovedTo
	}
	return q, false, nil
}

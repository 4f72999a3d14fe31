package index

import (
	"bytes"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// Row returns everything that is known about a path; false: nothing is.
func (tx *Tx) Row(p shoal.Path) (Row, bool, error) {
	if err := tx.requireKeys(); err != nil {
		return Row{}, false, err
	}
	data, err := tx.row(p)
	if err != nil || data == nil {
		return Row{}, false, err
	}
	row, err := tx.rowValue(p, data)
	return row, err == nil, err
}

func (tx *Tx) rowValue(p shoal.Path, data *rowData) (Row, error) {
	row := Row{Path: p, Kids: data.kids, Held: len(data.held) > 0}
	for _, r := range data.live {
		rec, err := tx.loadRecord(r)
		if err != nil {
			return Row{}, err
		}
		row.Live = append(row.Live, *rec)
	}
	slices.SortFunc(row.Live, func(a, b Record) int { return a.Dot.Compare(b.Dot) })
	if data.base != nil {
		if err := tx.fillBase(p, data.base); err != nil {
			return Row{}, err
		}
		row.Base = data.base.value
	}
	if c, ok := data.shownClaim(); ok && !data.lives {
		j, err := tx.journalNumber(c.record.journal)
		if err != nil {
			return Row{}, err
		}
		row.Copy = &CopyOf{Of: p.Parent().Join(c.of), Record: j.dot(c.record.seq)}
	}
	row.Copies = data.copies(p)
	return row, nil
}

// Copies returns what Row's Copies are, without reading a record.
func (tx *Tx) Copies(p shoal.Path) ([]shoal.Path, error) {
	if err := tx.requireKeys(); err != nil {
		return nil, err
	}
	data, err := tx.row(p)
	if err != nil || data == nil {
		return nil, err
	}
	return data.copies(p), nil
}

// copies are the paths of the conflict copies of p, whose row data is.
func (data *rowData) copies(p shoal.Path) (out []shoal.Path) {
	for _, n := range data.names {
		if n.chosen {
			out = append(out, p.Parent().Join(n.name))
		}
	}
	slices.Sort(out)
	return out
}

// Walk calls fn for the row of a folder and of everything in it that has one, in tree order; with "" for all rows. It ends with
// the first error of fn and returns it. Nothing may be changed during the walk.
func (tx *Tx) Walk(under shoal.Path, fn func(Row) error) error {
	if err := tx.requireKeys(); err != nil {
		return err
	}
	return tx.eachRow(under, func(p shoal.Path, data *rowData) error {
		row, err := tx.rowValue(p, data)
		if err != nil {
			return err
		}
		return fn(row)
	})
}

func (tx *Tx) eachRow(under shoal.Path, fn func(shoal.Path, *rowData) error) error {
	prefix := pathKey(under)
	c := tx.bucket(bRows).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && k != nil; k, v = c.Next() {
		if len(prefix) > 0 && len(k) > len(prefix) && k[len(prefix)] != 0 {
			break // a sibling whose name is longer: everything inside sorts before it
		}
		data, err := decodeRow(v)
		if err != nil {
			return tx.damaged("row", k, err)
		}
		if err := fn(keyPath(k), data); err != nil {
			return err
		}
	}
	return nil
}

// pathsAfter returns up to max paths of a set that come after a path, in tree order.
func (tx *Tx) pathsAfter(set int, after shoal.Path, max int) []shoal.Path {
	var paths []shoal.Path
	start := pathKey(after)
	if len(start) > 0 {
		start = append(start, 0) // the least key behind
	}
	c := tx.bucket(set).Cursor()
	for k, _ := c.Seek(start); k != nil && len(paths) < max; k, _ = c.Next() {
		paths = append(paths, keyPath(k))
	}
	return paths
}

// Needs returns up to max paths after `after`, in tree order, at which this device's disk does not show what it should. ""
// begins at the start.
func (tx *Tx) Needs(after shoal.Path, max int) ([]shoal.Path, error) {
	return tx.pathsAfter(bNeeds, after, max), nil
}

func (tx *Tx) mustSums() *sums {
	s, err := tx.loadSums()
	if err != nil {
		panic(damage{err})
	}
	return s
}

// NeedTotals returns how many paths Needs has in all, and how many bytes of files whose content this disk lacks.
func (tx *Tx) NeedTotals() (files, bytes int64) {
	s := tx.mustSums()
	return s.needs, s.needBytes
}

// Totals returns the number and the bytes of the regular files on this device's disk, as the bases tell.
func (tx *Tx) Totals() (files, bytes int64) {
	s := tx.mustSums()
	return s.files, s.bytes
}

// Conflicts returns up to max paths after `after`, in tree order, at which something lost.
func (tx *Tx) Conflicts(after shoal.Path, max int) ([]shoal.Path, error) {
	return tx.pathsAfter(bConflicts, after, max), nil
}

// ConflictCount returns how many paths Conflicts has in all.
func (tx *Tx) ConflictCount() int64 { return tx.mustSums().conflicts }

// Resolution returns what the records of a path mean.
func (tx *Tx) Resolution(p shoal.Path) (conflict.Resolution, error) {
	if err := tx.requireKeys(); err != nil {
		return conflict.Resolution{}, err
	}
	u := tx.newRowReader()
	e, err := u.edit(p)
	if err != nil || !e.exists {
		return conflict.Resolution{}, err
	}
	err = u.resolveRow(e)
	return e.res, err
}

// Follows returns up to max paths, in tree order, at which a deletion says where the content went, and something is there, or in
// it, that the deletion had not seen. A path comes back with each change there until ClearFollow takes it out.
func (tx *Tx) Follows(max int) ([]shoal.Path, error) {
	return tx.pathsAfter(bFollows, "", max), nil
}

// ClearFollow takes a path out of Follows: there is nothing, or nothing more, to do for this device.
func (tx *Tx) ClearFollow(p shoal.Path) error {
	if !tx.writable {
		return ErrReadOnly
	}
	sums, err := tx.loadSums()
	if err != nil {
		return err
	}
	if key := pathKey(p); tx.bucket(bFollows).Get(key) != nil {
		tx.bucket(bFollows).Delete(key)
		sums.follows--
		sums.changed = true
	}
	return nil
}

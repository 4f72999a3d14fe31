package index

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Base returns what is on this device's disk at p; nil: nothing. Recipe is nil for a long one that is not known.
func (tx *Tx) Base(p shoal.Path) (*Base, error) {
	row, err := tx.row(p)
	if err != nil || row == nil || row.base == nil {
		return nil, err
	}
	if err := tx.fillBase(p, row.base); err != nil {
		return nil, err
	}
	b := row.base.value
	if b.Recipe == nil && b.long() {
		b.Recipe, _, err = tx.Recipe(b.Content)
	}
	return b, err
}

// fillBase adds to a compact base what the record says.
func (tx *Tx) fillBase(p shoal.Path, s *storedBase) error {
	if s.value != nil {
		return nil
	}
	rec, err := tx.loadRecord(s.record)
	if err != nil {
		return err
	}
	b := baseOfRecord(rec)
	d := decoder{data: s.stat}
	b.Stat = d.stat(b)
	if err := d.end(); err != nil {
		return tx.damaged("base of", pathKey(p), err)
	}
	s.value = b
	return nil
}

// baseOfRecord is the base, but for Stat, of a disk that shows a record as it is.
func baseOfRecord(r *Record) *Base {
	e := &r.Entry
	return &Base{
		Version: r.Version(), Kind: e.Kind, Mode: e.Mode, MTime: e.MTime, Size: e.Size, Content: e.Content, Target: e.Target,
		ContentFrom: r.ContentFrom(), ModeFrom: r.ModeFrom(), Record: r.Dot, Recipe: e.Recipe,
	}
}

// shows tells whether b, but for Stat, is the base of a disk that shows a record of this very path as it is.
func (b *Base) shows(r *Record) bool {
	e := &r.Entry
	return b.Record == r.Dot && b.Copy == nil && b.Kind == e.Kind && b.Mode == e.Mode && b.MTime == e.MTime && b.Size == e.Size &&
		b.Content == e.Content && b.Target == e.Target && b.ContentFrom == r.ContentFrom() && b.ModeFrom == r.ModeFrom() &&
		b.Version.Equal(r.Version())
}

// long tells whether the file's recipe is kept by content, apart from the row.
func (b *Base) long() bool {
	return b.Kind == shoal.KindFile && b.Size > 0 && (len(b.Recipe) == 0 || len(b.Recipe) > block.InlineRecipe)
}

// validate refuses bases that no disk can show.
func (b *Base) validate(p shoal.Path) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if b == nil {
		return nil
	}
	if err := b.Kind.Validate(); err != nil {
		return fmt.Errorf("base of %q: %w", string(p), err)
	}
	if b.Recipe != nil && b.Recipe.Size() != b.Size {
		return fmt.Errorf("base of %q has %d bytes, its recipe %d: %w", string(p), b.Size, b.Recipe.Size(), shoal.ErrInvalid)
	}
	return b.Version.Validate()
}

// SetBase says what is on this device's disk at p; nil: nothing. A nil Recipe is taken from the base before, from a record
// of the same content at p, or from PutRecipe; a file whose recipe is not known is refused. Afterwards b may be used again.
func (tx *Tx) SetBase(p shoal.Path, b *Base) error {
	if !tx.writable {
		return ErrReadOnly
	}
	if err := b.validate(p); err != nil {
		return err
	}
	if err := tx.requireKeys(); err != nil {
		return err
	}
	u := tx.newRowUpdate()
	e, err := u.edit(p)
	if err != nil {
		return err
	}
	e.baseSet, e.row.base = true, nil
	if b != nil {
		b, err = u.completeBase(e, b)
		if err != nil {
			return err
		}
		e.row.base = &storedBase{value: b}
		if err := u.noteHere(e); err != nil {
			return err
		}
	}
	_, err = u.finish()
	return err
}

// completeBase returns a copy of b with what the caller may leave out.
func (u *rowUpdate) completeBase(e *rowEdit, b *Base) (*Base, error) {
	c := *b
	switch {
	case c.Kind == shoal.KindSymlink:
		c.Mode, c.Content = 0, symlinkContent(&u.tx.names, c.Target)
	case c.Kind == shoal.KindFolder:
		c.MTime = 0
	}
	if c.Kind != shoal.KindFile || c.Recipe != nil || c.Size == 0 {
		return &c, nil
	}
	if old := e.old.base; old != nil {
		if err := u.tx.fillBase(e.path, old); err != nil {
			return nil, err
		}
		if old.value.Content == c.Content {
			c.Recipe = old.value.Recipe
		}
	}
	if err := u.resolveRow(e); err != nil {
		return nil, err
	}
	for _, r := range e.recs {
		if c.Recipe == nil && r.Entry.Content == c.Content {
			c.Recipe = r.Entry.Recipe
		}
	}
	if c.Recipe == nil {
		_, known, err := u.tx.Recipe(c.Content)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, fmt.Errorf("base of %q without its recipe: %w", string(e.path), shoal.ErrInvalid)
		}
	}
	return &c, nil
}

// settleBase writes down where blocks are, what the bases add up to, and which long recipes are in use. The row is resolved.
func (u *rowUpdate) settleBase(e *rowEdit) error {
	if b := e.row.base; b != nil && !b.compact {
		for i, r := range e.recs {
			if b.value.shows(r) {
				e.row.base = &storedBase{compact: true, record: e.row.live[i], value: b.value}
			}
		}
	}
	if e.old.base != e.row.base {
		if err := u.settlePlaces(e); err != nil {
			return err
		}
	}
	if e.baseSet {
		sums, err := u.tx.loadSums()
		if err != nil {
			return err
		}
		sums.count(e.old.base, -1)
		sums.count(e.row.base, 1)
	}
	var base *Base
	if e.row.base != nil {
		if err := u.tx.fillBase(e.path, e.row.base); err != nil {
			return err
		}
		base = e.row.base.value
	}
	long := longContents(e.recs, base)
	for _, c := range long {
		if !slices.Contains(e.old.long, c) {
			u.tx.useRecipe(c, 1)
		}
	}
	if base != nil && len(base.Recipe) > block.InlineRecipe {
		u.tx.putRecipe(base.Content, base.Recipe)
	}
	for _, c := range e.old.long {
		if !slices.Contains(long, c) {
			u.tx.useRecipe(c, -1)
		}
	}
	e.row.long = long
	return nil
}

// count adds a base to the totals, or takes it from them.
func (s *sums) count(b *storedBase, by int64) {
	if b == nil || b.value.Kind != shoal.KindFile {
		return
	}
	s.changed = true
	s.files += by
	s.bytes += by * b.value.Size
}

// BasesIn walks the immediate children of a folder that have a base, in the order of their names, the root with "". The
// recipes of long files are left out. Nothing may be changed during the walk.
func (tx *Tx) BasesIn(dir shoal.Path) iter.Seq2[string, *Base] {
	return func(yield func(string, *Base) bool) {
		prefix := []byte{}
		if dir != "" {
			prefix = append(pathKey(dir), 0)
		}
		c := tx.bucket(bRows).Cursor()
		k, v := c.Seek(prefix)
		for k != nil && bytes.HasPrefix(k, prefix) {
			name := k[len(prefix):]
			if i := bytes.IndexByte(name, 0); i >= 0 {
				// Below a child: go on behind everything in it. 1 is the least byte of a name.
				k, v = c.Seek(append(append(slices.Clone(prefix), name[:i]...), 1))
				continue
			}
			b, err := tx.rowBase(keyPath(k), v)
			if err != nil {
				panic(damage{err})
			}
			if b != nil && !yield(string(name), b) {
				return
			}
			k, v = c.Next()
		}
	}
}

// BasesAfter walks the paths after `after`, in tree order, that have a base; "" begins at the start. The recipes of long files are left out.
// Nothing may be changed during the walk.
func (tx *Tx) BasesAfter(after shoal.Path) iter.Seq2[shoal.Path, *Base] {
	return func(yield func(shoal.Path, *Base) bool) {
		start := pathKey(after)
		if len(start) > 0 {
			start = append(start, 0) // the least key behind
		}
		c := tx.bucket(bRows).Cursor()
		for k, v := c.Seek(start); k != nil; k, v = c.Next() {
			p := keyPath(k)
			b, err := tx.rowBase(p, v)
			if err != nil {
				panic(damage{err})
			}
			if b != nil && !yield(p, b) {
				return
			}
		}
	}
}

// rowBase reads only the base of a stored row.
func (tx *Tx) rowBase(p shoal.Path, data []byte) (*Base, error) {
	row, err := decodeRow(data)
	if err != nil {
		return nil, tx.damaged("row", pathKey(p), err)
	}
	if row.base == nil {
		return nil, nil
	}
	err = tx.fillBase(p, row.base)
	return row.base.value, err
}

package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Long recipes are kept once per content, for as long as a row names that content: its live records, or its base.

// Recipe returns the recipe of a file's content, if it is long and known here. Recipes of up to block.InlineRecipe blocks are in
// the records and bases themselves.
func (tx *Tx) Recipe(c block.ContentID) (block.Recipe, bool, error) {
	v := tx.bucket(bRecipes).Get(c[:])
	if v == nil {
		return nil, false, nil
	}
	d := decoder{data: v}
	d.uvarint()
	if d.err != nil {
		return nil, false, tx.damaged("recipe", c[:], d.err)
	}
	if len(d.data) == 0 {
		return nil, false, nil
	}
	r, err := block.DecodeRecipe(d.data)
	if err != nil {
		return nil, false, tx.damaged("recipe", c[:], err)
	}
	return r, true, nil
}

// PutRecipe keeps the long recipe of a content that a record names; of another content it keeps nothing. Errors: ErrMismatch
// when r is not the recipe of c.
func (tx *Tx) PutRecipe(c block.ContentID, r block.Recipe) error {
	if !tx.writable {
		return ErrReadOnly
	}
	if err := tx.requireKeys(); err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return err
	}
	if tx.names.ContentID(r) != c {
		return fmt.Errorf("recipe of content %s: %w", c, ErrMismatch)
	}
	tx.putRecipe(c, r)
	return nil
}

func (tx *Tx) putRecipe(c block.ContentID, r block.Recipe) {
	b := tx.bucket(bRecipes)
	v := b.Get(c[:])
	if v == nil || len(r) <= block.InlineRecipe {
		return
	}
	users, n := binary.Uvarint(v)
	if len(v) == n {
		b.Put(c[:], r.AppendEncoded(binary.AppendUvarint(nil, users)))
	}
}

// useRecipe adds to the number of rows that name a long content; at zero its recipe is let go.
func (tx *Tx) useRecipe(c block.ContentID, by int) {
	b := tx.bucket(bRecipes)
	v := b.Get(c[:])
	users, n := binary.Uvarint(v)
	if n <= 0 {
		n = 0
	}
	if users += uint64(by); users == 0 {
		b.Delete(c[:])
		return
	}
	b.Put(c[:], append(binary.AppendUvarint(nil, users), v[n:]...))
}

// fillRecipe adds the recipe to an entry that has only its parts, if it is known.
func (tx *Tx) fillRecipe(e *Entry) (err error) {
	if len(e.RecipeParts) > 0 && e.Recipe == nil {
		e.Recipe, _, err = tx.Recipe(e.Content)
	}
	return err
}

// longContents returns the long contents that a row names, sorted.
func longContents(recs []*Record, base *Base) []block.ContentID {
	var out []block.ContentID
	for _, r := range recs {
		if len(r.Entry.RecipeParts) > 0 {
			out = append(out, r.Entry.Content)
		}
	}
	if base != nil && base.long() {
		out = append(out, base.Content)
	}
	slices.SortFunc(out, block.ContentID.Compare)
	return slices.Compact(out)
}

// RefTree returns the reference nodes of the blocks of a record's long file, in no order that matters; none when the record is not
// here, is of no long file, or its recipe is not known here. It takes memory of the order of the recipe.
func (tx *Tx) RefTree(d shoal.Dot) ([][]byte, error) {
	rec, ok, err := tx.Record(d)
	if err != nil || !ok || len(rec.Entry.RecipeParts) == 0 || rec.Entry.Recipe == nil {
		return nil, err
	}
	_, nodes := block.RefTree(rec.Entry.refSet(rec.Epoch))
	return nodes, nil
}

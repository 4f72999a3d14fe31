package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// The blocks bucket says in which files on this disk a block is. A key is the first 8 bytes of the block's ID and the place: of a
// small file whose base shows one of its records as it is, that record, since it is short; else the path. Beside them stands at which
// vaults the block is proved to be. Equal first bytes of
// different blocks are possible and do no harm: whoever reads a block checks it.

const (
	idPrefix = 8

	placeRecord byte = 0
	placePath   byte = 1
	placeVault  byte = 2 // proved to be at a vault: proofs.go

	// fewBlocks is the greatest number of blocks of a file whose places are named by record: with each edit they are all
	// written again, those named by path only where they changed.
	fewBlocks = 4
)

// place is where a block first occurs in a file.
type place struct {
	offset int64
	size   uint32
}

// placeSuffix names the file in the keys of its blocks.
func placeSuffix(p shoal.Path, b *storedBase, blocks int) []byte {
	if b.compact && blocks <= fewBlocks {
		return appendRef([]byte{placeRecord}, b.record)
	}
	return append([]byte{placePath}, pathKey(p)...)
}

// settlePlaces changes the blocks bucket by the difference of the old base and the new.
func (u *rowUpdate) settlePlaces(e *rowEdit) error {
	oldRecipe, err := u.recipeOf(e.path, e.old.base)
	if err != nil {
		return err
	}
	newRecipe, err := u.recipeOf(e.path, e.row.base)
	if err != nil {
		return err
	}
	var oldSuffix, newSuffix []byte
	if len(oldRecipe) > 0 {
		oldSuffix = placeSuffix(e.path, e.old.base, len(oldRecipe))
	}
	if len(newRecipe) > 0 {
		newSuffix = placeSuffix(e.path, e.row.base, len(newRecipe))
	}
	same := bytes.Equal(oldSuffix, newSuffix)
	if same && (oldSuffix == nil || e.old.base.value.Content == e.row.base.value.Content) {
		return nil
	}
	before, after := places(oldRecipe), places(newRecipe)
	blocks := u.tx.bucket(bBlocks)
	for id, was := range before {
		if is, ok := after[id]; !same || !ok {
			blocks.Delete(append(bytes.Clone(id[:idPrefix]), oldSuffix...))
		} else if is == was {
			delete(after, id)
		}
	}
	for id, p := range after {
		v := binary.AppendUvarint(nil, uint64(p.offset))
		blocks.Put(append(bytes.Clone(id[:idPrefix]), newSuffix...), binary.AppendUvarint(v, uint64(p.size)))
	}
	return nil
}

// places returns the first place of each block.
func places(r block.Recipe) map[block.ID]place {
	m := make(map[block.ID]place, len(r))
	var offset int64
	for i := range r {
		if _, ok := m[r[i].ID]; !ok {
			m[r[i].ID] = place{offset, r[i].Size}
		}
		offset += int64(r[i].Size)
	}
	return m
}

// recipeOf returns the recipe of the file that a base tells of; nil when there is none or it is not known.
func (u *rowUpdate) recipeOf(p shoal.Path, b *storedBase) (block.Recipe, error) {
	if b == nil {
		return nil, nil
	}
	if err := u.tx.fillBase(p, b); err != nil {
		return nil, err
	}
	if b.value.Recipe != nil || !b.value.long() {
		return b.value.Recipe, nil
	}
	r, _, err := u.tx.Recipe(b.value.Content)
	return r, err
}

// FindBlock returns up to max places where a block was when the files were last looked at. Who reads there must check what
// comes out: the file may have changed, or another block begin with the same 8 bytes of ID.
func (tx *Tx) FindBlock(id block.ID, max int) ([]Place, error) {
	var found []Place
	c := tx.bucket(bBlocks).Cursor()
	for k, v := c.Seek(id[:idPrefix]); bytes.HasPrefix(k, id[:idPrefix]) && len(found) < max; k, v = c.Next() {
		if isProof(k) {
			continue
		}
		p, err := tx.placePath(k)
		if err != nil {
			return nil, err
		}
		d := decoder{data: v}
		offset, size := d.uvarint(), d.uvarint()
		if err := d.end(); err != nil {
			return nil, tx.damaged("block", k, err)
		}
		found = append(found, Place{Path: p, Offset: int64(offset), Size: uint32(size)})
	}
	return found, nil
}

// placePath returns the path of the file that a key of the blocks bucket names.
func (tx *Tx) placePath(k []byte) (shoal.Path, error) {
	d := decoder{data: k[idPrefix:]}
	switch form := d.byte(); {
	case form == placePath && len(d.data) > 0:
		return keyPath(d.data), nil
	case form == placeRecord:
		r := d.ref()
		if err := d.end(); err != nil {
			return "", tx.damaged("block", k, err)
		}
		rec, err := tx.loadRecord(r)
		if err != nil {
			return "", err
		}
		return rec.Entry.Path, nil
	}
	return "", tx.damaged("block", k, errShort)
}

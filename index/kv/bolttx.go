package kv

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/shoalmesh/shoal/crashpoint"
)

// boltSnapshot is what a read transaction sees.
type boltSnapshot struct {
	tx    *bbolt.Tx
	store *Bolt
	table *laterTable
}

func (s *boltSnapshot) bucket(name string) reader {
	below := boltBucket(s.tx, name)
	if s.store.isLate(name) {
		if l := s.table.buckets[name]; l != nil {
			return l.above(below)
		}
	}
	return below
}

func boltBucket(tx *bbolt.Tx, name string) reader {
	defer markDamage()
	if b := tx.Bucket([]byte(name)); b != nil {
		return &boltReader{b: b}
	}
	return emptyReader{}
}

type boltBatch struct {
	tx    *bbolt.Tx
	store *Bolt
	table *laterTable           // as of the commit before
	later map[string]*laterWork // what this one changes of it
}

func (b *boltBatch) bucket(name string) reader {
	below := boltBucket(b.tx, name)
	if !b.store.isLate(name) {
		return below
	}
	if w := b.later[name]; w != nil {
		return w.above(below)
	}
	if l := b.table.buckets[name]; l != nil {
		return l.above(below)
	}
	return below
}

// flush applies the overlay in a fixed order, keys ascending.
func (b *boltBatch) flush(o *overlay) error {
	return b.store.watch(func() error { return b.flushBuckets(o) })
}

func (b *boltBatch) flushBuckets(o *overlay) error {
	defer markDamage()
	names := make([]string, 0, len(o.buckets))
	for name := range o.buckets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := b.flushBucket(name, o.buckets[name]); err != nil {
			return fmt.Errorf("write bucket %s: %w", name, err)
		}
	}
	return nil
}

func (b *boltBatch) flushBucket(name string, ob *overlayBucket) error {
	if b.store.isLate(name) {
		return b.flushLater(name, ob)
	}
	if ob.dropped {
		if err := dropBucket(b.tx, name); err != nil {
			return err
		}
	}
	if ob.changes.Len() == 0 {
		return nil
	}
	bucket, err := b.tx.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return err
	}
	bucket.FillPercent = b.store.fill(name)
	ob.changes.Scan(func(k string, v []byte) bool {
		if v == nil {
			err = bucket.Delete([]byte(k))
		} else {
			err = bucket.Put([]byte(k), v)
		}
		return err == nil
	})
	return err
}

func dropBucket(tx *bbolt.Tx, name string) error {
	if err := tx.DeleteBucket([]byte(name)); !errors.Is(err, bolterrors.ErrBucketNotFound) {
		return err
	}
	return nil
}

// commit and rollback watch for damage themselves: bbolt's write lock may stay locked after a panic, so the next update must
// find the store broken before it tries to begin.
func (b *boltBatch) commit() error {
	return b.store.watch(func() error {
		defer markDamage()
		back, err := b.settleLater()
		if err != nil {
			err = errors.Join(err, b.tx.Rollback())
			b.store.unended.Add(-1)
			return err
		}
		crashpoint.Here("database: to be committed")
		err = b.tx.Commit()
		if err != nil && back != nil {
			b.store.later.Store(back)
		}
		b.store.unended.Add(-1)
		crashpoint.Here("database: committed")
		return err
	})
}

func (b *boltBatch) rollback() {
	_ = b.store.watch(func() error { // nothing was written; damage is remembered
		defer markDamage()
		err := b.tx.Rollback()
		b.store.unended.Add(-1)
		return err
	})
}

// boltReader looks keys up with one cursor: bbolt's own Get takes memory for a new one each time.
type boltReader struct {
	b      *bbolt.Bucket
	cursor *bbolt.Cursor // nil: not yet
}

func (r *boltReader) Get(key []byte) []byte {
	defer markDamage()
	if len(key) == 0 {
		return nil
	}
	if r.cursor == nil {
		r.cursor = r.b.Cursor()
	}
	if k, v := r.cursor.Seek(key); bytes.Equal(k, key) {
		return v
	}
	return nil
}

func (r *boltReader) Cursor() Cursor { return boltCursor{r.b.Cursor()} }

type boltCursor struct{ c *bbolt.Cursor }

func (c boltCursor) Seek(key []byte) (k, v []byte) {
	defer markDamage()
	if len(key) == 0 {
		return c.c.First()
	}
	return c.c.Seek(key)
}

func (c boltCursor) Next() (k, v []byte) {
	defer markDamage()
	return c.c.Next()
}

package kv

import (
	"bytes"

	"github.com/tidwall/btree"
)

// source is what a transaction reads from: a bbolt transaction or a memory snapshot.
type source interface {
	bucket(name string) reader
}

// reader is the reading half of a Bucket.
type reader interface {
	Get(key []byte) []byte
	Cursor() Cursor
}

// overlay is a transaction that keeps its changes in memory, above a source, until they are flushed. So one of several
// transactions that share a commit can fail without harm to the others, and a flush writes in key order.
type overlay struct {
	below   source
	buckets map[string]*overlayBucket
}

var _ Tx = (*overlay)(nil)

func newOverlay(below source) *overlay {
	return &overlay{below: below, buckets: make(map[string]*overlayBucket)}
}

func (o *overlay) Bucket(name string) Bucket {
	b := o.buckets[name]
	if b == nil {
		b = &overlayBucket{below: o.below.bucket(name)}
		o.buckets[name] = b
	}
	return b
}

func (o *overlay) Drop(name string) {
	b := o.buckets[name]
	if b == nil {
		b = new(overlayBucket)
		o.buckets[name] = b
	}
	*b = overlayBucket{below: emptyReader{}, dropped: true}
}

// bucket makes an overlay the source of a nested one.
func (o *overlay) bucket(name string) reader { return o.Bucket(name) }

func (o *overlay) Nested(fn func(Tx) error) error {
	inner := newOverlay(o)
	if err := fn(inner); err != nil {
		return err
	}
	for name, b := range inner.buckets {
		if b.dropped {
			o.Drop(name)
		}
		into := o.Bucket(name)
		b.changes.Scan(func(k string, v []byte) bool {
			if v == nil {
				into.Delete([]byte(k))
			} else {
				into.Put([]byte(k), v)
			}
			return true
		})
	}
	return nil
}

// overlayBucket is one bucket with changes; a nil value in changes means deleted.
type overlayBucket struct {
	below   reader
	changes btree.Map[string, []byte]
	dropped bool // what was below does not count
}

func (b *overlayBucket) Get(key []byte) []byte {
	if b.changes.Len() > 0 {
		if v, ok := b.changes.Get(string(key)); ok {
			return v
		}
	}
	return b.below.Get(key)
}

func (b *overlayBucket) Put(key, value []byte) {
	if len(key) == 0 {
		panic("kv: empty key")
	}
	if value == nil {
		value = []byte{}
	}
	b.changes.Set(string(key), value)
}

func (b *overlayBucket) Delete(key []byte) { b.changes.Set(string(key), nil) }

func (b *overlayBucket) Cursor() Cursor {
	if b.changes.Len() == 0 {
		return b.below.Cursor()
	}
	return &overlayCursor{below: b.below.Cursor(), above: b.changes.Iter()}
}

// overlayCursor merges two sorted sequences; above wins where both have a key.
type overlayCursor struct {
	below  Cursor
	above  btree.MapIter[string, []byte]
	bk, bv []byte // where below stands; bk nil: at its end
	ak     []byte // where above stands; nil: at its end
	av     []byte // nil: deleted
}

func (c *overlayCursor) Seek(key []byte) (k, v []byte) {
	c.bk, c.bv = c.below.Seek(key)
	if len(key) == 0 {
		c.setAbove(c.above.First())
	} else {
		c.setAbove(c.above.Seek(string(key)))
	}
	return c.settle()
}

func (c *overlayCursor) Next() (k, v []byte) {
	if c.ak != nil && (c.bk == nil || bytes.Compare(c.ak, c.bk) <= 0) {
		c.skipAbove()
	} else if c.bk != nil {
		c.bk, c.bv = c.below.Next()
	}
	return c.settle()
}

// settle steps over deleted keys and returns the lesser of the two sides.
func (c *overlayCursor) settle() (k, v []byte) {
	for c.ak != nil && (c.bk == nil || bytes.Compare(c.ak, c.bk) <= 0) {
		if c.av != nil {
			return c.ak, c.av
		}
		c.skipAbove()
	}
	return c.bk, c.bv
}

// skipAbove leaves the key where above stands, on both sides.
func (c *overlayCursor) skipAbove() {
	if c.bk != nil && bytes.Equal(c.ak, c.bk) {
		c.bk, c.bv = c.below.Next()
	}
	c.setAbove(c.above.Next())
}

func (c *overlayCursor) setAbove(ok bool) {
	if !ok {
		c.ak, c.av = nil, nil
		return
	}
	c.ak, c.av = []byte(c.above.Key()), c.above.Value()
}

// readOnly makes a Bucket of a reader; changing it is a fault of the caller.
type readOnly struct{ reader }

func (readOnly) Put(_, _ []byte) { panic("kv: put in a read-only transaction") }
func (readOnly) Delete(_ []byte) { panic("kv: delete in a read-only transaction") }

// snapshot is a read-only transaction.
type snapshot struct{ below source }

var _ Tx = snapshot{}

func (s snapshot) Bucket(name string) Bucket   { return readOnly{s.below.bucket(name)} }
func (s snapshot) Drop(string)                 { panic("kv: drop in a read-only transaction") }
func (s snapshot) Nested(func(Tx) error) error { panic("kv: nested in a read-only transaction") }

// emptyReader is a bucket that does not exist.
type emptyReader struct{}

func (emptyReader) Get([]byte) []byte         { return nil }
func (emptyReader) Cursor() Cursor            { return emptyCursor{} }
func (emptyCursor) Seek([]byte) (k, v []byte) { return nil, nil }
func (emptyCursor) Next() (k, v []byte)       { return nil, nil }

type emptyCursor struct{}

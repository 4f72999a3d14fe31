package disktest

import (
	"io"
	"math/rand/v2"

	"github.com/tidwall/btree"
)

// pageSize is how finely a power cut tears content.
const pageSize = 4096

// content is the bytes of a file: pages that are never changed in place, and holes between them. Bytes of the last page
// beyond size are zero.
type content struct {
	size  int64
	pages *btree.Map[int64, []byte] // by offset / pageSize
}

func newContent() content { return content{pages: new(btree.Map[int64, []byte])} }

func (c content) copy() content { return content{size: c.size, pages: c.pages.Copy()} }

func (c content) readAt(b []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), c.size-off))
	for done := 0; done < n; {
		at := off + int64(done)
		skip := int(at % pageSize)
		part := b[done:min(n, done+pageSize-skip)]
		clear(part)
		if page, ok := c.pages.Get(at / pageSize); ok {
			copy(part, page[skip:])
		}
		done += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// newPages counts the holes that writing n bytes at off would fill.
func (c content) newPages(n int, off int64) int64 {
	if n == 0 {
		return 0
	}
	var count int64
	for i := off / pageSize; i <= (off+int64(n)-1)/pageSize; i++ {
		if _, ok := c.pages.Get(i); !ok {
			count++
		}
	}
	return count
}

func (c *content) writeAt(b []byte, off int64) {
	for done := 0; done < len(b); {
		at := off + int64(done)
		skip := int(at % pageSize)
		page := make([]byte, pageSize)
		if old, ok := c.pages.Get(at / pageSize); ok {
			copy(page, old)
		}
		done += copy(page[skip:], b[done:])
		c.pages.Set(at/pageSize, page)
	}
	if len(b) > 0 {
		c.size = max(c.size, off+int64(len(b)))
	}
}

func (c *content) truncate(size int64) {
	if size < c.size {
		var beyond []int64
		c.pages.Ascend((size+pageSize-1)/pageSize, func(i int64, _ []byte) bool {
			beyond = append(beyond, i)
			return true
		})
		for _, i := range beyond {
			c.pages.Delete(i)
		}
		if old, ok := c.pages.Get(size / pageSize); ok {
			page := make([]byte, pageSize)
			copy(page, old[:size%pageSize])
			c.pages.Set(size/pageSize, page)
		}
	}
	c.size = size
}

// nextData finds the stretch of pages at or after off.
func (c content) nextData(off int64) (start, end int64, err error) {
	first, last := int64(-1), int64(-1)
	c.pages.Ascend(off/pageSize, func(i int64, _ []byte) bool {
		if first < 0 {
			first, last = i, i
			return true
		}
		if i != last+1 {
			return false
		}
		last = i
		return true
	})
	if first < 0 || off >= c.size || first*pageSize >= c.size {
		return 0, 0, io.EOF
	}
	return max(off, first*pageSize), min(c.size, (last+1)*pageSize), nil
}

// torn returns what a power cut may leave of content that was synced as old and last written as c.
func (c content) torn(old content, rng *rand.Rand) content {
	switch rng.IntN(4) {
	case 0:
		return old
	case 1:
		return c
	}
	out := newContent()
	out.size = old.size
	switch rng.IntN(3) {
	case 0:
		out.size = c.size
	case 1:
		if c.size > old.size {
			out.size = old.size + rng.Int64N(c.size-old.size+1)
		}
	}
	pick := func(from content, share int) {
		from.pages.Scan(func(i int64, page []byte) bool {
			if rng.IntN(4) < share {
				out.pages.Set(i, page)
			}
			return true
		})
	}
	pick(old, 4)
	pick(c, 2)
	// Cut what lies beyond the size, as truncate does.
	size := out.size
	out.size = max(c.size, old.size)
	out.truncate(size)
	return out
}

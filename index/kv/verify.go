package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt believes what it reads. Pages that lead in a circle keep a cursor going until memory is used up; a page that is in use and
// counts as free is written over; and after a crash, when bbolt finds the free pages by walking the whole file, it does so in a goroutine
// of its own whose panic about a page that makes no sense ends the process. So the whole file is walked here first.
//
// The layout is bbolt's (go.etcd.io/bbolt v1.5.0, internal/common: page.go, meta.go, bucket.go), in the machine's byte order.

const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaBytes   = 64 // with its checksum in the last 8

	pageHeader    = 16 // id, flags, count, overflow
	branchElement = 16 // position, key size, page
	leafElement   = 16 // flags, position, key size, value size
	bucketHeader  = 16 // root page, sequence

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketLeaf   = 0x01

	manyFree = 0xFFFF // as the count of a freelist page: the real one is the first entry

	noFreelist = ^uint64(0)
	maxDepth   = 64
)

var native = binary.NativeEndian

// meta is what a meta page says.
type meta struct {
	pageSize             int64
	root, freelist, high uint64
	txid                 uint64
}

func parseMeta(b []byte) (m meta, ok bool) {
	h := fnv.New64a()
	_, _ = h.Write(b[:metaBytes-8])
	if native.Uint32(b) != metaMagic || native.Uint32(b[4:]) != metaVersion || native.Uint64(b[metaBytes-8:]) != h.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: int64(native.Uint32(b[8:])), root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		high: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}, true
}

// verify walks a bbolt file. Errors wrap ErrDamaged, or are what the disk says. What is no bbolt file at all is left
// for bbolt to refuse.
func verify(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m, ok := newestMeta(f)
	if !ok {
		return nil
	}
	if m.pageSize < 512 || m.pageSize > 1<<20 || int64(m.high) < 2 || int64(m.high) > info.Size()/m.pageSize {
		return fmt.Errorf("%w: %d pages of %d bytes in a file of %d", ErrDamaged, m.high, m.pageSize, info.Size())
	}
	v := &verifier{file: f, pageSize: m.pageSize, high: m.high, seen: make([]bool, m.high)}
	if err := v.tree(m.root, nil, nil, 0); err != nil || m.freelist == noFreelist {
		return err
	}
	return v.free(m.freelist)
}

// newestMeta reads the two meta pages. The first one's place is fixed; the other is one page later, and pages have 512 bytes to
// 64 KiB.
func newestMeta(f io.ReaderAt) (best meta, found bool) {
	buf := make([]byte, metaBytes)
	for _, at := range []int64{0, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} {
		if _, err := f.ReadAt(buf, at+pageHeader); err != nil {
			break
		}
		m, ok := parseMeta(buf)
		if ok && (at == 0 || at == m.pageSize) && (!found || m.txid > best.txid) {
			best, found = m, true
		}
	}
	return best, found
}

// verifier walks the pages of a file.
type verifier struct {
	file     io.ReaderAt
	pageSize int64
	high     uint64
	seen     []bool
}

func (v *verifier) damaged(page uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, page, fmt.Sprintf(format, args...))
}

// read returns a page with its overflow.
func (v *verifier) read(id uint64) ([]byte, error) {
	if id < 2 || id >= v.high {
		return nil, v.damaged(id, "is not in the file")
	}
	buf := make([]byte, v.pageSize)
	if _, err := v.file.ReadAt(buf, int64(id)*v.pageSize); err != nil {
		return nil, err
	}
	n := uint64(native.Uint32(buf[12:]))
	if native.Uint64(buf) != id || n >= v.high-id {
		return nil, v.damaged(id, "says it is %d with %d more", native.Uint64(buf), n)
	}
	for i := id; i <= id+n; i++ {
		if v.seen[i] {
			return nil, v.damaged(i, "is used twice")
		}
		v.seen[i] = true
	}
	if n == 0 {
		return buf, nil
	}
	buf = append(buf, make([]byte, int64(n)*v.pageSize)...)
	_, err := v.file.ReadAt(buf[v.pageSize:], int64(id+1)*v.pageSize)
	return buf, err
}

// free checks the list of free pages, after the tree: none of them may be in use, or be listed twice.
func (v *verifier) free(id uint64) error {
	page, err := v.read(id)
	if err != nil {
		return err
	}
	if flags := native.Uint16(page[8:]); flags != freelistPage {
		return v.damaged(id, "is of type %#x", flags)
	}
	list, count := page[pageHeader:], uint64(native.Uint16(page[10:]))
	if count == manyFree {
		count, list = native.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return v.damaged(id, "lists %d free pages", count)
	}
	for i := range count {
		free := native.Uint64(list[8*i:])
		if free < 2 || free >= v.high || v.seen[free] {
			return v.damaged(id, "lists page %d as free", free)
		}
		v.seen[free] = true
	}
	return nil
}

// tree checks a page and all below it; keys lie from min on and before max, where these are not nil.
func (v *verifier) tree(id uint64, min, max []byte, depth int) error {
	if depth > maxDepth {
		return v.damaged(id, "is %d levels deep", depth)
	}
	page, err := v.read(id)
	if err != nil {
		return err
	}
	return v.page(id, page, min, max, depth)
}

// page checks one page, also one that lies inside a value (an inline bucket).
func (v *verifier) page(id uint64, page []byte, min, max []byte, depth int) error {
	flags, count := native.Uint16(page[8:]), int(native.Uint16(page[10:]))
	var size int
	switch flags {
	case branchPage:
		size = branchElement
	case leafPage:
		size = leafElement
	default:
		return v.damaged(id, "is of type %#x", flags)
	}
	if flags == branchPage && count == 0 {
		return v.damaged(id, "leads nowhere")
	}
	if len(page) < pageHeader+count*size {
		return v.damaged(id, "has %d elements", count)
	}
	keys := make([][]byte, count+1)
	keys[count] = max
	for i := range count {
		var ok bool
		if keys[i], ok = v.key(page, flags, i); !ok {
			return v.damaged(id, "has a key outside itself")
		}
		if (i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0) || (min != nil && bytes.Compare(keys[i], min) < 0) ||
			(max != nil && bytes.Compare(keys[i], max) >= 0) {
			return v.damaged(id, "is not in order at %d", i)
		}
	}
	for i := range count {
		if err := v.element(id, page, flags, i, keys, depth); err != nil {
			return err
		}
	}
	return nil
}

// key returns the key of an element; false: it does not lie within the page. Positions count from the element.
func (v *verifier) key(page []byte, flags uint16, i int) ([]byte, bool) {
	at := pageHeader + i*branchElement
	pos, ksize := native.Uint32(page[at:]), native.Uint32(page[at+4:])
	vsize := uint32(0)
	if flags == leafPage {
		pos, ksize, vsize = native.Uint32(page[at+4:]), native.Uint32(page[at+8:]), native.Uint32(page[at+12:])
	}
	from, end := int64(at)+int64(pos), int64(at)+int64(pos)+int64(ksize)+int64(vsize)
	if end > int64(len(page)) || from > end {
		return nil, false
	}
	return page[from : from+int64(ksize)], true
}

// element goes down where an element leads.
func (v *verifier) element(id uint64, page []byte, flags uint16, i int, keys [][]byte, depth int) error {
	at := pageHeader + i*leafElement
	if flags == branchPage {
		return v.tree(native.Uint64(page[at+8:]), keys[i], keys[i+1], depth+1)
	}
	if native.Uint32(page[at:])&bucketLeaf == 0 {
		return nil
	}
	from := at + int(native.Uint32(page[at+4:])) + int(native.Uint32(page[at+8:]))
	value := page[from : from+int(native.Uint32(page[at+12:]))]
	if len(value) < bucketHeader {
		return v.damaged(id, "has a bucket of %d bytes", len(value))
	}
	if root := native.Uint64(value); root != 0 {
		return v.tree(root, nil, nil, depth+1)
	}
	if inline := value[bucketHeader:]; len(inline) >= pageHeader && depth < maxDepth {
		return v.page(id, inline, nil, nil, depth+1)
	}
	return v.damaged(id, "has an inline bucket of %d bytes", len(value))
}

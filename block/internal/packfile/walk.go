package packfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/shoalmesh/shoal/block"
)

// walker reads the records of one pack from front to back. Where a record is damaged it looks for the next byte at which a whole
// one begins, so that one bad sector does not cost the rest of the pack.
type walker struct {
	f      io.ReaderAt
	salt   *[32]byte
	end    int64 // size of the file
	window int   // how much is read at once

	buf []byte // what lies at offset at
	at  int64

	torn []int64 // offsets of records whose header is valid and whose block is not, or not all there
}

// Found is one record met by a walker.
type Found struct {
	Record
	Offset uint32 // of the record
	Sealed []byte // of a block, when payloads are read; valid until the next call
}

// How much a walker reads at once: a header and little else when sealed blocks are jumped over, else several records.
const (
	headWindow = 4 << 10
	dataWindow = 4 << 20
)

// WalkHeads calls fn for each record whose header is valid and that lies wholly between from and end. It stops at the first error
// of fn, ctx or the file.
func WalkHeads(ctx context.Context, f io.ReaderAt, salt *[32]byte, from, end int64, fn func(Found) error) error {
	w := walker{f: f, salt: salt, end: end, window: headWindow}
	_, err := w.walk(ctx, from, false, fn)
	return err
}

// WalkBlocks is WalkHeads that reads the sealed blocks too, and leaves out those which are damaged.
func WalkBlocks(ctx context.Context, f io.ReaderAt, salt *[32]byte, from, end int64, fn func(Found) error) error {
	w := walker{f: f, salt: salt, end: end, window: dataWindow}
	_, err := w.walk(ctx, from, true, fn)
	return err
}

// FindTorn returns the offset behind the last record that is whole, and the offsets of those before it that are not.
func FindTorn(ctx context.Context, f io.ReaderAt, salt *[32]byte, from, end int64) (last int64, torn []int64, err error) {
	w := walker{f: f, salt: salt, end: end, window: dataWindow}
	last, err = w.walk(ctx, from, true, func(Found) error { return nil })
	torn = slices.DeleteFunc(w.torn, func(off int64) bool { return off >= last })
	return last, torn, err
}

// walk returns the offset behind the last record that is whole; from, if there is none.
func (w *walker) walk(ctx context.Context, from int64, payloads bool, fn func(Found) error) (int64, error) {
	last := from
	for off := from; off+RecordHeadSize <= w.end; {
		if err := ctx.Err(); err != nil {
			return last, err
		}
		r, ok, err := w.read(off, payloads)
		if err != nil {
			return last, err
		}
		if !ok {
			if off, err = w.next(off + 1); err != nil {
				return last, err
			}
			continue
		}
		if err := fn(r); err != nil {
			return last, err
		}
		off += r.Size()
		last = off
	}
	return last, nil
}

// read returns the record at off; false when there is none that is whole.
func (w *walker) read(off int64, payload bool) (Found, bool, error) {
	head, err := w.bytes(off, RecordHeadSize)
	if err != nil {
		return Found{}, false, err
	}
	r, err := DecodeRecord(head, w.salt, uint32(off))
	if err != nil {
		return Found{}, false, nil
	}
	if off+r.Size() > w.end {
		w.torn = append(w.torn, off)
		return Found{}, false, nil
	}
	f := Found{Record: r, Offset: uint32(off)}
	if payload && r.Kind == KindBlock {
		whole, err := w.bytes(off, int(r.Size()))
		if err != nil {
			return Found{}, false, err
		}
		if f.Sealed = whole[RecordHeadSize:]; block.SealedHash(f.Sealed) != r.Key.Sealed {
			w.torn = append(w.torn, off)
			return Found{}, false, nil
		}
	}
	return f, true, nil
}

// next returns the first offset from off on where a record may begin, or the end.
func (w *walker) next(off int64) (int64, error) {
	for off+RecordHeadSize <= w.end {
		n := int(min(int64(w.window), w.end-off))
		b, err := w.bytes(off, n)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, []byte(RecordMagic)); i >= 0 {
			return off + int64(i), nil
		}
		off += int64(n - len(RecordMagic) + 1)
	}
	return w.end, nil
}

// bytes returns n bytes at off, which lie before the end. The slice is valid until the next call.
func (w *walker) bytes(off int64, n int) ([]byte, error) {
	if off >= w.at && off+int64(n) <= w.at+int64(len(w.buf)) {
		return w.buf[off-w.at:][:n], nil
	}
	size := int(min(max(int64(n), int64(w.window)), w.end-off))
	if cap(w.buf) < size {
		w.buf = make([]byte, size)
	}
	w.buf, w.at = w.buf[:size], off
	if got, err := w.f.ReadAt(w.buf, off); got < size {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read pack at %d: %w", off, err)
	}
	return w.buf[:n], nil
}

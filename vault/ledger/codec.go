package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// format is the version of all objects.
const format = 1

// Limits, in bytes or in elements; docs/formats/vault-ledger.md has them too.
const (
	MaxEntry     = 12 << 20 // a whole entry
	MaxList      = 1 << 16  // elements of each list
	MaxParts     = 1 << 14  // parts of a transfer or a checkpoint
	MaxPart      = 8 << 20  // a whole part
	MaxSettings  = 64 << 10
	MaxStatement = 64 << 10
	MaxHead      = 128 << 10
	MaxRecord    = 3 << 20
	MaxNode      = 128 << 10
	MaxDigests   = 1 << 20 // buckets of a transfer
)

// ErrMalformed: bytes that no encoder of this format writes.
var ErrMalformed = errors.New("malformed")

// Hash is a BLAKE3 hash.
type Hash [32]byte

// Name names a part.
type Name [16]byte

// Genesis returns the chain before the first entry of a mesh's ledger.
func Genesis(m shoal.MeshID) Hash {
	return blake3.Sum256(append([]byte("shoal vault ledger v1\x00"), m[:]...))
}

// Next returns the chain up to an entry, from the chain before it and the entry's bytes.
func Next(chain Hash, entry []byte) Hash {
	h := blake3.New()
	_, _ = h.Write(chain[:]) // never fails
	_, _ = h.Write(entry)
	return Hash(h.Sum(nil))
}

// writer builds an object: what it appended, then a checksum over all of it.
type writer struct{ b []byte }

func newWriter(magic string) *writer {
	w := &writer{b: []byte(magic)}
	w.u32(format)
	return w
}

func (w *writer) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) count(n int)    { w.u32(uint32(n)) }
func (w *writer) fixed(p []byte) { w.b = append(w.b, p...) }

// blob is bytes behind their length.
func (w *writer) blob(p []byte) {
	w.u32(uint32(len(p)))
	w.fixed(p)
}

// done returns the object.
func (w *writer) done() []byte {
	sum := blake3.Sum256(w.b)
	return append(w.b, sum[:]...)
}

// reader takes an object apart. After the first thing that does not fit, bad is set and everything read is zero. What it returns lies in the object's bytes.
type reader struct {
	b   []byte
	bad bool
}

const sumSize = 32

// newReader checks the frame of an object.
func newReader(b []byte, magic string, limit int) (*reader, error) {
	if len(b) > limit || len(b) < len(magic)+4+sumSize || string(b[:len(magic)]) != magic {
		return nil, ErrMalformed
	}
	body, sum := b[:len(b)-sumSize], b[len(b)-sumSize:]
	if got := blake3.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("checksum: %w", ErrMalformed)
	}
	r := &reader{b: body[len(magic):]}
	if f := r.u32(); f != format {
		return nil, fmt.Errorf("format %d: %w", f, ErrMalformed)
	}
	return r, nil
}

// take returns n bytes; n is the size of one element, or was compared with a limit.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, min(n, 64))
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// count reads how many elements of at least that size follow: no more than limit, and no more than there are bytes for.
func (r *reader) count(limit, size int) int {
	n := int64(r.u32())
	if n > int64(limit) || n*int64(size) > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

// blob reads bytes behind their length; nil when there are none.
func (r *reader) blob(limit int) []byte {
	n := r.count(limit, 1)
	if n == 0 {
		return nil
	}
	return r.take(n)
}

// done tells whether everything fitted and nothing is left.
func (r *reader) done() error {
	if r.bad || len(r.b) != 0 {
		return ErrMalformed
	}
	return nil
}

func (w *writer) journal(j shoal.JournalID) { w.fixed(j.Bytes()) }

func (r *reader) journal() shoal.JournalID {
	j, err := shoal.JournalIDFromBytes(r.take(40))
	if err != nil {
		r.bad = true
	}
	return j
}

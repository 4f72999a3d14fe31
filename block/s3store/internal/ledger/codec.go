package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// format is the version of all three objects.
const format = 1

// Limits, in bytes or in elements; docs/formats/ledger.md has them too.
const (
	MaxList  = 1 << 15  // elements of each list of an entry
	MaxEntry = 12 << 20 // a whole entry
	MaxParts = 4096     // parts of a checkpoint
	MaxPart  = 8 << 20  // a whole part
	// MaxAnchor is the size of an anchor with MaxParts parts.
	MaxAnchor = anchorSize + MaxParts*partRefSize
)

// ErrMalformed: bytes that no encoder of this format writes.
var ErrMalformed = errors.New("malformed")

// Hash is a BLAKE3 hash.
type Hash [32]byte

// StoreID names the store that lives under a prefix of a bucket. It is random.
type StoreID [16]byte

// Genesis returns the chain before the first entry of a store.
func Genesis(s StoreID) Hash { return blake3.Sum256(append([]byte("shoal ledger v1\x00"), s[:]...)) }

// Next returns the chain up to an entry, from the chain before it and the entry's bytes.
func Next(chain Hash, entry []byte) Hash {
	h := blake3.New()
	_, _ = h.Write(chain[:]) // never fails
	_, _ = h.Write(entry)
	return Hash(h.Sum(nil))
}

// PackName names a pack: it follows from the salt in its header.
type PackName [16]byte

// NameOf returns the name of the pack with that salt.
func NameOf(salt [32]byte) PackName {
	sum := blake3.Sum256(append([]byte("shoal pack v1\x00"), salt[:]...))
	return PackName(sum[:16])
}

// String returns 32 hex digits.
func (n PackName) String() string { return fmt.Sprintf("%x", n[:]) }

// writer builds an object: what it appended, then a checksum over all of it.
type writer struct {
	b      []byte
	spaces map[space]uint32
	order  []space
}

// space is what keys have in common; each is written once.
type space struct {
	folder shoal.FolderID
	epoch  shoal.EpochID
}

func newWriter(magic string) *writer {
	w := &writer{spaces: make(map[space]uint32)}
	w.b = append(w.b, magic...)
	w.u32(format)
	return w
}

func (w *writer) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) count(n int)    { w.u32(uint32(n)) }
func (w *writer) bytes(p []byte) { w.b = append(w.b, p...) }

// meet gives the space of k its number. Spaces are numbered in the order in which they are met.
func (w *writer) meet(k *block.Key) {
	s := space{k.Folder, k.Epoch}
	if _, ok := w.spaces[s]; !ok {
		w.spaces[s] = uint32(len(w.order))
		w.order = append(w.order, s)
	}
}

// writeSpaces writes those which were met.
func (w *writer) writeSpaces() {
	w.count(len(w.order))
	for _, s := range w.order {
		w.bytes(s.folder[:])
		w.bytes(s.epoch[:])
	}
}

func (w *writer) key(k *block.Key) {
	w.u32(w.spaces[space{k.Folder, k.Epoch}])
	w.bytes(k.ID[:])
	w.bytes(k.Sealed[:])
}

// done returns the object.
func (w *writer) done() []byte {
	sum := blake3.Sum256(w.b)
	return append(w.b, sum[:]...)
}

// Sizes of what is written, in bytes.
const (
	sumSize   = 32
	spaceSize = 16 + 32
	keySize   = 4 + 32 + 32
)

// reader takes an object apart. After the first thing that does not fit, bad is set and everything read is zero.
type reader struct {
	b      []byte
	spaces []space
	bad    bool
}

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

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n) // n is the size of one element
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// count reads how many elements of that size follow: no more than limit, and no more than there are bytes for.
func (r *reader) count(limit, size int) int {
	n := int64(r.u32())
	if n > int64(limit) || n*int64(size) > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) readSpaces(limit int) {
	r.spaces = make([]space, r.count(limit, spaceSize))
	for i := range r.spaces {
		r.spaces[i] = space{shoal.FolderID(r.take(16)), shoal.EpochID(r.take(32))}
	}
}

func (r *reader) key() block.Key {
	n := r.u32()
	k := block.Key{ID: block.ID(r.take(32)), Sealed: [32]byte(r.take(32))}
	if int64(n) >= int64(len(r.spaces)) {
		r.bad = true
		return k
	}
	k.Folder, k.Epoch = r.spaces[n].folder, r.spaces[n].epoch
	return k
}

// done tells whether everything fitted and nothing is left.
func (r *reader) done() error {
	if r.bad || len(r.b) != 0 {
		return ErrMalformed
	}
	return nil
}

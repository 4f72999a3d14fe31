package index

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// recordLabel stands before the clear part in the associated data.
const recordLabel = "shoal/record/v1\x00"

// minPadded is the size to which small entries are padded.
const minPadded = 128

// Reasons to set a record aside.
var (
	errNoEpochKey   = errors.New("no key of the record's epoch")
	errDoesNotOpen  = errors.New("the sealed part does not open")
	errNotCanonical = errors.New("unknown format, or not in the one encoding of its format")
	errElsewhere    = errors.New("it is of another mesh or folder")
	errWrongBlocks  = errors.New("the blocks in the clear part are not those of the entry")
)

// padEntry returns entry followed by a one and zeros: at least 128 bytes, then lengths by Padmé.
func padEntry(entry []byte) []byte {
	n := max(minPadded, block.Padme(len(entry)+1))
	padded := make([]byte, n, n+chacha20poly1305.Overhead)
	copy(padded, entry)
	padded[len(entry)] = 1
	return padded
}

// unpadEntry is the inverse of padEntry; false when padded is not what padEntry makes.
func unpadEntry(padded []byte) ([]byte, bool) {
	n := len(padded)
	for n > 0 && padded[n-1] == 0 {
		n--
	}
	if n == 0 || padded[n-1] != 1 || len(padded) != max(minPadded, block.Padme(n)) {
		return nil, false
	}
	return padded[: n-1 : n-1], true
}

// sealer seals and opens records under one epoch. Not safe for concurrent use.
type sealer struct {
	cipher cipher.AEAD
	nonces *blake3.Hasher // keyed
}

func newSealer(epoch *mesh.Epoch) *sealer {
	c, err := chacha20poly1305.NewX(epoch.Record[:])
	if err != nil {
		panic("index: " + err.Error()) // the key has 32 bytes
	}
	h, err := blake3.NewKeyed(epoch.Nonce[:])
	if err != nil {
		panic("index: " + err.Error()) // the key has 32 bytes
	}
	return &sealer{cipher: c, nonces: h}
}

// nonce is the first 24 bytes of a keyed hash of length ‖ associated data ‖ plaintext: equal records get equal nonces,
// different ones different nonces, so a member can make the sealed bytes again.
func (s *sealer) nonce(ad, padded []byte) []byte {
	s.nonces.Reset()
	_, _ = s.nonces.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(ad))))
	_, _ = s.nonces.Write(ad)
	_, _ = s.nonces.Write(padded)
	return s.nonces.Sum(make([]byte, 0, 32))[:chacha20poly1305.NonceSizeX]
}

// sealPart returns the nonce and data, padded and encrypted with ad as associated data.
func (s *sealer) sealPart(ad, data []byte) []byte {
	padded := padEntry(data)
	nonce := s.nonce(ad, padded)
	b := make([]byte, 0, len(nonce)+len(padded)+chacha20poly1305.Overhead)
	return s.cipher.Seal(append(b, nonce...), nonce, padded, ad)
}

// seal returns the record as it travels: the same bytes for the same arguments, for ever.
func (s *sealer) seal(clear, entry []byte) []byte {
	sealed := s.sealPart(recordAD(clear), entry)
	b := make([]byte, 0, len(clear)+len(sealed)+16)
	return wireBytes(wireBytes(b, 1, clear), 2, sealed)
}

func recordAD(clear []byte) []byte { return append([]byte(recordLabel), clear...) }

// openPart is the inverse of sealPart. Errors: errDoesNotOpen, errNotCanonical.
func (s *sealer) openPart(ad, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX+minPadded+chacha20poly1305.Overhead {
		return nil, errDoesNotOpen
	}
	nonce := sealed[:chacha20poly1305.NonceSizeX]
	padded, err := s.cipher.Open(nil, nonce, sealed[len(nonce):], ad)
	if err != nil {
		return nil, errDoesNotOpen
	}
	entry, ok := unpadEntry(padded)
	if !ok || !bytes.Equal(nonce, s.nonce(ad, padded)) {
		return nil, errNotCanonical
	}
	return entry, nil
}

// plainHashers are unkeyed BLAKE3 states; one is 10 KiB.
var plainHashers = sync.Pool{New: func() any { return blake3.New() }}

// hashLabelled returns the BLAKE3 of a label and parts of known lengths.
func hashLabelled(label string, parts ...[]byte) (out [32]byte) {
	h := plainHashers.Get().(*blake3.Hasher)
	h.Reset()
	_, _ = h.WriteString(label)
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(out[:0])
	plainHashers.Put(h)
	return out
}

// recordHash names a record as it travels; bucket digests are made of it.
func recordHash(record []byte) [32]byte { return hashLabelled(recordLabel, record) }

// splitRecord takes a record apart. The parts share memory with it. Errors wrap ErrMalformed.
func splitRecord(record []byte) (clear, sealed []byte, err error) {
	if len(record) > MaxRecordBytes {
		return nil, nil, malformed("record of %d bytes", len(record))
	}
	next := protowire.Number(1)
	err = eachField(record, func(f wireField) error {
		if f.number != next {
			return malformed("record with field %d where %d is due", f.number, next)
		}
		if next == 1 {
			clear = f.data
		} else {
			sealed = f.data
		}
		next++
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if next != 3 || len(clear) == 0 || len(sealed) == 0 {
		return nil, nil, malformed("record without its two parts")
	}
	// There is one encoding, or the bytes could not be made again. Longer ones of the same are numbers with leading zeros.
	if want := protowire.SizeTag(1) + protowire.SizeBytes(len(clear)) + protowire.SizeTag(2) + protowire.SizeBytes(len(sealed)); len(record) != want {
		return nil, nil, malformed("record of %d bytes, its parts take %d", len(record), want)
	}
	return clear, sealed, nil
}

// checkRefs tells whether the blocks in the clear part are those of the entry. Those of a long recipe are trusted: its root is
// only known with the recipe.
func checkRefs(c *clearPart, e *Entry) error {
	long := len(e.RecipeParts) > 0
	if long != (c.root != [32]byte{}) || (long && c.refs != nil) {
		return errWrongBlocks
	}
	if long {
		return nil
	}
	want := e.refSet(c.epoch)
	if len(want) != len(c.refs) {
		return fmt.Errorf("%d, %d: %w", len(c.refs), len(want), errWrongBlocks)
	}
	for i := range want {
		if want[i] != c.refs[i] {
			return errWrongBlocks
		}
	}
	return nil
}

package block

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal"
)

// SealKey is the key of one epoch of a folder that blocks are sealed under.
type SealKey [32]byte

// The layout of a sealed block, format 1 (docs/formats/block.md):
//
//	format ‖ flags ‖ nonce ‖ AES-256-GCM( payload ‖ zeros ‖ plain size ‖ payload size )
//
// The sizes come last so that the payload is opened where it is wanted.
const (
	sealFormat     = 1
	flagCompressed = 1 // the payload is a zstd frame of the plaintext

	nonceSize   = 12
	headSize    = 2 + nonceSize
	trailerSize = 4 + 4
	tagSize     = 16

	sealLabel = "shoal/block/v1\x00" // first in the associated data
)

// MinSealed and MaxSealed are the sizes of the smallest and the biggest sealed block: one byte, and MaxSize bytes that do not
// compress.
const (
	MinSealed = headSize + trailerSize + 2 + tagSize // Padme(1+8) is 10
	MaxSealed = headSize + maxInner + tagSize
	maxInner  = MaxSize + 1<<15 // Padme(MaxSize+8)

	// PlainOffset is where the payload begins in a sealed block.
	PlainOffset = headSize
)

// Seal appends the sealed form of plaintext to dst and returns the longer slice. id must be plaintext's block ID, which the
// caller has computed already; under a wrong one nobody can open the result. rand gives the nonce and must be cryptographic:
// a nonce that comes twice for one block lets whoever sees both forge that block's tag (the keyed hash still stops it in Open).
//
// The plaintext may lie where it goes, at dst[len(dst)+PlainOffset:]; it is then sealed where it is, uncompressed, and so overwritten.
// Otherwise it must not overlap the room behind dst.
//
// Seal allocates the AES key schedule, 1.3 KiB in two pieces (crypto/aes has no way to change a key), and, where dst lacks room,
// dst: MaxSealed + 64 KiB is always enough. Safe for concurrent use. Errors: ErrSize; what rand returned. On error dst's own bytes
// are unchanged.
func Seal(dst []byte, key SealKey, epoch shoal.EpochID, id ID, plaintext []byte, c Compression, rand io.Reader) ([]byte, error) {
	if len(plaintext) == 0 || len(plaintext) > MaxSize {
		return nil, fmt.Errorf("seal %d bytes: %w", len(plaintext), ErrSize)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s := sealers.Get().(*sealer)
	defer sealers.Put(s)
	if _, err := io.ReadFull(rand, s.nonce[:]); err != nil {
		return nil, fmt.Errorf("seal: read nonce: %w", err)
	}

	start := len(dst)
	dst = slices.Grow(dst, headSize+Padme(len(plaintext)+trailerSize)+tagSize)
	dst = dst[:start+headSize]
	dst, flags := appendPayload(dst, plaintext, c)
	payload := len(dst) - start - headSize
	inner := Padme(payload + trailerSize)
	dst = slices.Grow(dst, start+headSize+inner+tagSize-len(dst))
	body := dst[start+headSize : start+headSize+inner]
	clear(body[payload:])
	binary.BigEndian.PutUint32(body[inner-8:], uint32(len(plaintext)))
	binary.BigEndian.PutUint32(body[inner-4:], uint32(payload))

	dst[start], dst[start+1] = sealFormat, flags
	copy(dst[start+2:], s.nonce[:])
	aead := s.prepare(&key, &epoch, &id, flags)
	aead.Seal(body[:0], s.nonce[:], body, s.ad)
	return dst[:start+headSize+inner+tagSize], nil
}

// appendPayload appends what is to be sealed, and returns its flags. Compression counts only where it shows after padding.
func appendPayload(dst, plaintext []byte, c Compression) ([]byte, byte) {
	if n := len(dst); cap(dst)-n >= len(plaintext) && &dst[:n+1][n] == &plaintext[0] {
		return dst[:n+len(plaintext)], 0
	}
	if c == On || c != Off && !looksDense(plaintext) {
		packed := deflate(dst, plaintext, c)
		if Padme(len(packed)-len(dst)+trailerSize) < Padme(len(plaintext)+trailerSize) {
			return packed, flagCompressed
		}
	}
	return append(dst, plaintext...), 0
}

// Open appends the plaintext of sealed to dst and returns the longer slice. It verifies the tag, inflates with a hard limit
// and checks the keyed hash: what comes back is the block id, whoever sent it. sealed is not changed.
//
// Everything that is wrong with sealed is a *CorruptError; its reason is one of ErrTruncated, ErrOversized, ErrFormat, ErrFlags,
// ErrTag, ErrPadding, ErrInflate, ErrContent. On error dst's own bytes are unchanged, the room behind them is not.
// It allocates the AES key schedule and, where dst lacks room, dst. Safe for concurrent use.
func Open(dst []byte, key SealKey, epoch shoal.EpochID, keys *Keys, id ID, sealed []byte) ([]byte, error) {
	flags, err := checkOutside(sealed)
	if err != nil {
		return nil, &CorruptError{Block: id, Reason: err}
	}
	s := sealers.Get().(*sealer)
	defer sealers.Put(s)
	aead := s.prepare(&key, &epoch, &id, flags)
	start := len(dst)
	if flags&flagCompressed != 0 {
		dst, err = s.openCompressed(dst, aead, sealed)
	} else {
		dst, err = s.openPlain(dst, aead, sealed)
	}
	if err == nil && keys.ID(dst[start:]) != id {
		err = ErrContent
	}
	if err != nil {
		return nil, &CorruptError{Block: id, Reason: err}
	}
	return dst, nil
}

// checkOutside checks what can be seen without a key, and returns the flags.
func checkOutside(sealed []byte) (byte, error) {
	switch {
	case len(sealed) < MinSealed:
		return 0, ErrTruncated
	case len(sealed) > MaxSealed:
		return 0, ErrOversized
	case sealed[0] != sealFormat:
		return 0, ErrFormat
	case sealed[1]&^flagCompressed != 0:
		return 0, ErrFlags
	}
	return sealed[1], nil
}

// sealer is what sealing and opening need beside keys: used again and again, because it would escape to the heap.
type sealer struct {
	nonce  [nonceSize]byte
	key    [32]byte
	ad     []byte
	buffer []byte // a compressed block in the clear; at most maxInner bytes
}

var sealers = sync.Pool{New: func() any { return new(sealer) }}

// prepare returns the cipher of one block and sets s.ad: label ‖ format ‖ epoch ID ‖ block ID ‖ flags.
func (s *sealer) prepare(key *SealKey, epoch *shoal.EpochID, id *ID, flags byte) cipher.AEAD {
	s.ad = append(s.ad[:0], sealLabel...)
	s.ad = append(s.ad, sealFormat)
	s.ad = append(s.ad, epoch[:]...)
	s.ad = append(s.ad, id[:]...)
	s.ad = append(s.ad, flags)

	s.key = blockKey(key, id)
	block, err := aes.NewCipher(s.key[:])
	if err != nil {
		panic("block: " + err.Error()) // the key has 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("block: " + err.Error()) // AES has the block size that GCM wants
	}
	return aead
}

// openPlain opens a payload that is the plaintext itself, right where it is wanted.
func (s *sealer) openPlain(dst []byte, aead cipher.AEAD, sealed []byte) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, len(sealed)-headSize)
	inner, err := aead.Open(dst[start:start], sealed[2:headSize], sealed[headSize:], s.ad)
	if err != nil {
		return nil, ErrTag
	}
	payload, plain, err := checkInside(inner)
	if err != nil {
		return nil, err
	}
	if payload != plain {
		return nil, ErrPadding
	}
	return dst[:start+plain], nil
}

// openCompressed opens a zstd frame and inflates it.
func (s *sealer) openCompressed(dst []byte, aead cipher.AEAD, sealed []byte) ([]byte, error) {
	inner, err := aead.Open(s.buffer[:0], sealed[2:headSize], sealed[headSize:], s.ad)
	if err != nil {
		return nil, ErrTag
	}
	s.buffer = inner
	payload, plain, err := checkInside(inner)
	if err != nil {
		return nil, err
	}
	return inflate(slices.Grow(dst, plain), inner[:payload], plain)
}

// checkInside checks sizes and padding of an opened payload, and returns the sizes of payload and plaintext.
func checkInside(inner []byte) (payload, plain int, err error) {
	end := len(inner) - trailerSize
	p, q := binary.BigEndian.Uint32(inner[end+4:]), binary.BigEndian.Uint32(inner[end:])
	if p == 0 || int64(p) > int64(end) || q == 0 || q > MaxSize || Padme(int(p)+trailerSize) != len(inner) {
		return 0, 0, ErrPadding
	}
	for _, b := range inner[p:end] {
		if b != 0 {
			return 0, 0, ErrPadding
		}
	}
	return int(p), int(q), nil
}

// sealHashers derives per-block keys: one keyed hash per epoch.
var sealHashers keyCache[hashPool]

// blockKey returns the key of one block: BLAKE3, keyed with what is derived from the epoch's seal key, over the block ID. So an
// AES-GCM key sees only sealings of one plaintext, and random nonces are safe.
func blockKey(key *SealKey, id *ID) [32]byte {
	p := sealHashers.get((*[32]byte)(key))
	if p == nil {
		p = new(hashPool)
		deriveKey(contextSeal, key[:], &p.key)
		p = sealHashers.put((*[32]byte)(key), p)
	}
	h := p.get()
	h.write(copy(h.scratch[:], id[:]))
	sum := h.finish()
	p.put(h)
	return sum
}

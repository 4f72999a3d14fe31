package block

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math"

	"github.com/zeebo/blake3"
)

// Chunking profile 1, frozen (docs/formats/block.md). A block may end after a byte where the gear state passes the weak mask
// and its PRF is below a limit: a strict one up to normalSize, a generous one above, as in FastCDC ("normalised chunking",
// Xia et al., USENIX ATC 2016, §3.4). With these figures random data comes to TargetSize on average
// (TestBlocksOfRandomDataHaveTheTargetSizeOnAverage).
const (
	// gearWindow is how many bytes the gear state depends on: each byte's contribution has left a 64-bit state after 64 shifts.
	gearWindow = 64

	normalSize = 208 << 10

	// weakBits is how many top bits of the state must be zero. Each cut that somebody sees tells them so much about the state
	// and no more, hence few; the PRF costs about 15 ns, hence not fewer.
	weakBits = 8

	weakLimit = 1 << (64 - weakBits) // states below it pass

	// In all one position in 2^20 ends a block up to normalSize, one in 2^16 above.
	strictLimit   = math.MaxUint64 >> (20 - weakBits)
	generousLimit = math.MaxUint64 >> (16 - weakBits)
)

// gear is profile 1 under one chunker key: immutable, safe for concurrent use.
type gear struct {
	table [256]uint64
	prf   cipher.Block // AES-256; a secret table alone was broken (DESIGN §4)
}

var gearCache keyCache[gear]

func gearFor(key *[32]byte) *gear {
	if g := gearCache.get(key); g != nil {
		return g
	}
	g := new(gear)
	var raw [256 * 8]byte
	blake3.DeriveKey(contextGearTable, key[:], raw[:])
	for i := range g.table {
		g.table[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	var aesKey [32]byte
	blake3.DeriveKey(contextGearPRF, key[:], aesKey[:])
	prf, err := aes.NewCipher(aesKey[:])
	if err != nil {
		panic("block: " + err.Error()) // the key has 32 bytes
	}
	g.prf = prf
	return gearCache.put(key, g)
}

// scanner looks for the end of one block. Its verdict on a state is remembered, because the state stands still in a run of
// equal bytes, and a run whose state passes the weak mask would otherwise cost one AES block per byte.
type scanner struct {
	gear    *gear
	state   uint64
	lastIn  uint64
	lastOut uint64
	known   bool // lastOut is the PRF of lastIn
	block   [aes.BlockSize]byte
}

// strong returns the PRF of a state: the first 8 bytes, little-endian, of AES(state little-endian ‖ 8 zero bytes).
func (s *scanner) strong(state uint64) uint64 {
	if s.known && s.lastIn == state {
		return s.lastOut
	}
	clear(s.block[:])
	binary.LittleEndian.PutUint64(s.block[:], state)
	s.gear.prf.Encrypt(s.block[:], s.block[:])
	s.lastIn, s.lastOut, s.known = state, binary.LittleEndian.Uint64(s.block[:]), true
	return s.lastOut
}

// warm sets the state to that after window.
func (s *scanner) warm(window []byte) {
	s.state = 0
	for _, b := range window {
		s.state = s.state<<1 + s.gear.table[b]
	}
}

// scan feeds data until a cut whose PRF is at most limit. It returns the number of bytes fed and whether the cut is after the
// last of them.
func (s *scanner) scan(data []byte, limit uint64) (int, bool) {
	for fed := 0; fed < len(data); {
		n, state := nextWeak(&s.gear.table, data[fed:], s.state)
		fed, s.state = fed+n, state
		if state < weakLimit && s.strong(state) <= limit {
			return fed, true
		}
	}
	return len(data), false
}

// nextWeak feeds data until the state passes the weak mask. It returns the number of bytes fed, all if it never does, and the
// state after them. This is the loop that every byte of every file goes through: no calls, one load per 8 bytes of input,
// and no branch that is taken (BenchmarkChunk). The race detector would make it fifty times slower and every test that cuts
// files with it; races on the same bytes still show where they are read in and copied.
//
//go:norace
func nextWeak(table *[256]uint64, data []byte, state uint64) (int, uint64) {
	i := 0
	for ; len(data)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		s1 := state<<1 + table[byte(w)]
		s2 := s1<<1 + table[byte(w>>8)]
		s3 := s2<<1 + table[byte(w>>16)]
		s4 := s3<<1 + table[byte(w>>24)]
		if s1 < weakLimit {
			return i + 1, s1
		}
		if s2 < weakLimit {
			return i + 2, s2
		}
		if s3 < weakLimit {
			return i + 3, s3
		}
		if s4 < weakLimit {
			return i + 4, s4
		}
		s5 := s4<<1 + table[byte(w>>32)]
		s6 := s5<<1 + table[byte(w>>40)]
		s7 := s6<<1 + table[byte(w>>48)]
		state = s7<<1 + table[byte(w>>56)]
		if s5 < weakLimit {
			return i + 5, s5
		}
		if s6 < weakLimit {
			return i + 6, s6
		}
		if s7 < weakLimit {
			return i + 7, s7
		}
		if state < weakLimit {
			return i + 8, state
		}
	}
	for ; i < len(data); i++ {
		if state = state<<1 + table[data[i]]; state < weakLimit {
			return i + 1, state
		}
	}
	return i, state
}

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
	const weak = 1 << (64 - weakBits)
	table := &s.gear.table
	state := s.state
	i := 0
	for ; i+4 <= len(data); i += 4 {
		d := data[i : i+4 : i+4]
		s1 := state<<1 + table[d[0]]
		s2 := s1<<1 + table[d[1]]
		s3 := s2<<1 + table[d[2]]
		s4 := s3<<1 + table[d[3]]
		if s1 < weak && s.strong(s1) <= limit {
			return i + 1, true
		}
		if s2 < weak && s.strong(s2) <= limit {
			return i + 2, true
		}
		if s3 < weak && s.strong(s3) <= limit {
			return i + 3, true
		}
		if s4 < weak && s.strong(s4) <= limit {
			return i + 4, true
		}
		state = s4
	}
	for ; i < len(data); i++ {
		state = state<<1 + table[data[i]]
		if state < weak && s.strong(state) <= limit {
			return i + 1, true
		}
	}
	s.state = state
	return i, false
}

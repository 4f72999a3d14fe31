package block

import (
	"encoding/binary"
	"sync"

	"github.com/zeebo/blake3"
)

// The BLAKE3 derive-key contexts of this package. A context is used for one purpose, for ever.
const (
	contextContent   = "shoal 2026-11 block v1 content ID"
	contextDigest    = "shoal 2026-11 block v1 labelled digest"
	contextGearTable = "shoal 2026-11 block v1 chunker profile 1 gear table"
	contextGearPRF   = "shoal 2026-11 block v1 chunker profile 1 AES-256 key"
	contextSeal      = "shoal 2026-11 block v1 per-block AES-256-GCM key"
)

// Keys are the folder's keys that stay the same for its life: whoever has them can tell whether a file is in the folder. The
// zero value works but keeps nothing secret. Copying is fine; all methods are safe for concurrent use.
type Keys struct {
	Chunker [32]byte // says where files are cut
	BlockID [32]byte // says what blocks and contents are called
}

// ID returns the block ID of plaintext. It does not allocate.
func (k *Keys) ID(plaintext []byte) ID {
	return ID(hashers(&k.BlockID).block.sum(plaintext))
}

// ContentID returns the content ID of r: the keyed hash of r.Encode(). It does not allocate.
func (k *Keys) ContentID(r Recipe) ContentID {
	p := &hashers(&k.BlockID).content
	h := p.get()
	h.scratch[0] = recipeFormat
	n := 1
	for i := range r {
		if n+refSize > len(h.scratch) {
			h.write(n)
			n = 0
		}
		putRef(h.scratch[n:], r[i])
		n += refSize
	}
	h.write(n)
	sum := h.finish()
	p.put(h)
	return ContentID(sum)
}

// Digest returns a keyed hash over label and parts, each preceded by its length, so that ("ab","c") and ("a","bc") differ.
// It names what is neither a block nor a recipe: conflict names, symlink targets. Labels are constants of the caller.
func (k *Keys) Digest(label string, parts ...[]byte) [32]byte {
	p := &hashers(&k.BlockID).digest
	h := p.get()
	h.write(binary.PutUvarint(h.scratch[:], uint64(len(label))))
	h.hash.WriteString(label) // never fails (zeebo/blake3)
	for _, part := range parts {
		h.write(binary.PutUvarint(h.scratch[:], uint64(len(part))))
		h.hash.Write(part)
	}
	sum := h.finish()
	p.put(h)
	return sum
}

// folderHashers are the keyed hashes of one folder, each in its own domain.
type folderHashers struct {
	block, content, digest hashPool
}

var folderHashersCache keyCache[folderHashers]

func hashers(key *[32]byte) *folderHashers {
	if f := folderHashersCache.get(key); f != nil {
		return f
	}
	f := new(folderHashers)
	f.block.key = *key
	deriveKey(contextContent, key[:], &f.content.key)
	deriveKey(contextDigest, key[:], &f.digest.key)
	return folderHashersCache.put(key, f)
}

// deriveKey is BLAKE3's key derivation mode (BLAKE3 paper, §6.2).
func deriveKey(context string, material []byte, out *[32]byte) {
	blake3.DeriveKey(context, material, out[:])
}

// hashPool hands out BLAKE3 states under one key. A state is 10 KiB, which is why they are used again and again.
type hashPool struct {
	key  [32]byte
	pool sync.Pool // of *hashState
}

// hashState is one BLAKE3 state with room for small inputs and the result; both would otherwise escape to the heap.
type hashState struct {
	hash    *blake3.Hasher
	scratch [4096]byte
	out     [32]byte
}

func (p *hashPool) get() *hashState {
	if h, ok := p.pool.Get().(*hashState); ok {
		h.hash.Reset()
		return h
	}
	hash, err := blake3.NewKeyed(p.key[:])
	if err != nil {
		panic("block: " + err.Error()) // the key has 32 bytes
	}
	return &hashState{hash: hash}
}

func (p *hashPool) put(h *hashState) { p.pool.Put(h) }

func (p *hashPool) sum(data []byte) [32]byte {
	h := p.get()
	h.hash.Write(data) // never fails (zeebo/blake3)
	sum := h.finish()
	p.put(h)
	return sum
}

// write hashes the first n bytes of the scratch space.
func (h *hashState) write(n int) { h.hash.Write(h.scratch[:n]) }

func (h *hashState) finish() [32]byte {
	h.hash.Sum(h.out[:0])
	return h.out
}

// maxCachedKeys bounds each keyCache. A device has tens of folders and epochs, not thousands; beyond that the cache is
// emptied and fills again, which costs a few microseconds per key.
const maxCachedKeys = 256

// keyCache remembers what was derived from a key. Safe for concurrent use; values must be too.
type keyCache[T any] struct {
	mu sync.RWMutex
	m  map[[32]byte]*T // guarded by mu
}

// get returns nil when nothing is remembered.
func (c *keyCache[T]) get(key *[32]byte) *T {
	c.mu.RLock()
	v := c.m[*key]
	c.mu.RUnlock()
	return v
}

// put remembers v and returns what is remembered: another's value, if that came first.
func (c *keyCache[T]) put(key *[32]byte, v *T) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.m[*key]; old != nil {
		return old
	}
	if c.m == nil || len(c.m) >= maxCachedKeys {
		c.m = make(map[[32]byte]*T)
	}
	c.m[*key] = v
	return v
}

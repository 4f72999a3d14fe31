package blockexchange

import (
	"sync"

	"github.com/shoalmesh/shoal/block"
)

// sealedBound is the most that a sealed block of size bytes may have: padded, and with generous room for what sealing adds.
func sealedBound(size uint32) int { return block.Padme(int(size)+64) + 128 }

// buffers recycle the memory of blocks by their size, smallest first. All buffers of one pool have the same room: a pool of mixed sizes keeps many that
// nobody can use.
type buffers []bufferPool

type bufferPool struct {
	upTo uint32 // the biggest block that gets such a buffer, in bytes
	room int
	pool *sync.Pool // nil: such buffers are cheap to make anew
}

// sealedBuffers are what blocks are read into and sealed in; plainBuffers what they are opened into, until they were delivered.
var (
	sealedBuffers = buffers{
		pooled(64 << 10),
		{block.MaxSize, block.MaxSealed, new(sync.Pool)},
	}
	plainBuffers = buffers{
		{upTo: 1 << 10}, pooled(4 << 10), pooled(8 << 10), pooled(16 << 10), pooled(32 << 10), pooled(64 << 10),
		pooled(256<<10 - 1), pooled(block.MaxSize),
	}
)

// pooled returns a pool of buffers for blocks of up to so many bytes.
func pooled(upTo uint32) bufferPool { return bufferPool{upTo, sealedBound(upTo), new(sync.Pool)} }

// get returns an empty buffer in which a block of size bytes, at most block.MaxSize, is sealed or opened without growing.
func (b buffers) get(size uint32) []byte {
	for _, p := range b {
		switch {
		case size > p.upTo:
			continue
		case p.pool == nil:
			return make([]byte, 0, sealedBound(size))
		}
		if buf, ok := p.pool.Get().(*[]byte); ok {
			return (*buf)[:0]
		}
		return make([]byte, 0, p.room)
	}
	panic("blockexchange: a want was not checked")
}

// put takes back what get gave. Other buffers, and nil, are left to the collector.
func (b buffers) put(buf []byte) {
	for _, p := range b {
		if p.pool != nil && cap(buf) == p.room {
			p.pool.Put(&buf)
		}
	}
}

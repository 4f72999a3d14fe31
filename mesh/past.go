package mesh

import "math/bits"

const pastChunkBits = 512

type pastChunk [pastChunkBits / 64]uint64

// past is an immutable set of small numbers that stands for the causal past of a statement. Statements share the chunks, and
// where nothing was added the whole set, of those before them: a roster that grows by one line of statements costs a few
// words per statement, and "the same set" is mostly the same pointer.
type past struct{ chunks []*pastChunk }

var (
	emptyPast  = &past{}
	emptyChunk = &pastChunk{}
)

func (p *past) has(i int) bool {
	c := i / pastChunkBits
	return c < len(p.chunks) && p.chunks[c][i%pastChunkBits/64]>>(i%64)&1 == 1
}

// with returns p and i.
func (p *past) with(i int) *past {
	c := i / pastChunkBits
	chunks := make([]*pastChunk, max(len(p.chunks), c+1))
	copy(chunks, p.chunks)
	for n := len(p.chunks); n < c; n++ {
		chunks[n] = emptyChunk
	}
	var last pastChunk
	if c < len(p.chunks) {
		last = *p.chunks[c]
	}
	last[i%pastChunkBits/64] |= 1 << (i % 64)
	chunks[c] = &last
	return &past{chunks: chunks}
}

// union returns the set of all in p or o; it is p or o itself when that holds the other.
func (p *past) union(o *past) *past {
	if p == o || len(o.chunks) == 0 {
		return p
	}
	if len(p.chunks) < len(o.chunks) {
		p, o = o, p
	}
	chunks := make([]*pastChunk, len(p.chunks))
	isP, isO := true, len(p.chunks) == len(o.chunks)
	for i, c := range p.chunks {
		chunks[i] = c
		if i < len(o.chunks) {
			chunks[i] = unionChunk(c, o.chunks[i])
			isO = isO && chunks[i] == o.chunks[i]
		}
		isP = isP && chunks[i] == c
	}
	switch {
	case isP:
		return p
	case isO:
		return o
	}
	return &past{chunks: chunks}
}

func unionChunk(a, b *pastChunk) *pastChunk {
	if a == b {
		return a
	}
	var u pastChunk
	for i := range u {
		u[i] = a[i] | b[i]
	}
	switch u {
	case *a:
		return a
	case *b:
		return b
	}
	return &u
}

// each calls fn for every number in ascending order.
func (p *past) each(fn func(i int)) {
	for c, chunk := range p.chunks {
		for w, word := range chunk {
			for ; word != 0; word &= word - 1 {
				fn(c*pastChunkBits + w*64 + bits.TrailingZeros64(word))
			}
		}
	}
}

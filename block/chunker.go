package block

import (
	"fmt"
	"io"
)

// readStep is how much a Chunker reads at once beyond what it has looked at: the most it may have to carry over to the next
// block. A file smaller than that is read in one go.
const readStep = 128 << 10

// maxEmptyReads is how many reads in a row may bring nothing before the reader counts as broken, as in package bufio.
const maxEmptyReads = 100

// Chunker cuts a stream into blocks. It is not safe for concurrent use. It holds 128 KiB once a stream is longer than a
// block; Reset reuses them.
type Chunker struct {
	r    io.Reader
	scan scanner
	rest []byte // read, but behind the last cut; at most readStep bytes
	err  error  // what reading ended with; given once rest is empty
}

// NewChunker returns a Chunker of profile 1 that reads from r and cuts as the folder's chunker key says.
func NewChunker(r io.Reader, key [32]byte) *Chunker {
	return &Chunker{r: r, scan: scanner{gear: gearFor(&key)}}
}

// Reset makes c cut another stream with the same key.
func (c *Chunker) Reset(r io.Reader) {
	c.r, c.rest, c.err = r, c.rest[:0], nil
}

// Next puts the next block into buf, which must have MaxSize bytes or more, and returns its size. Outcomes:
//
//   - MinSize to MaxSize bytes, nil: a block
//   - 1 to MaxSize bytes, nil: the last block; less than MinSize only here
//   - 0, io.EOF: no block is left; at once for an empty stream
//   - 0, another error: reading failed; what was read since the last block is lost, and every further call fails alike
//
// What lies in buf behind the block is rubbish. Next does not allocate, but for 128 KiB when a stream turns out longer than
// one block.
func (c *Chunker) Next(buf []byte) (int, error) {
	if len(buf) < MaxSize {
		panic("block: Chunker.Next needs room for MaxSize bytes")
	}
	buf = buf[:MaxSize]
	filled := copy(buf, c.rest)
	c.rest = c.rest[:0]
	cut := 0
	for seen := 0; cut == 0 && seen < MaxSize; {
		if filled == seen {
			filled = c.fill(buf, filled)
		}
		if filled == seen {
			break
		}
		seen, cut = c.look(buf[:filled], seen)
	}
	return c.finish(buf, filled, cut)
}

// finish decides what Next returns for buf[:filled] with a cut after cut bytes, or none (0).
func (c *Chunker) finish(buf []byte, filled, cut int) (int, error) {
	if cut == 0 {
		if filled < MaxSize && c.err != io.EOF {
			return 0, c.err
		}
		if filled == 0 {
			return 0, io.EOF
		}
		cut = filled
	}
	if cut < filled {
		if c.rest == nil {
			c.rest = make([]byte, 0, readStep)
		}
		c.rest = append(c.rest, buf[cut:filled]...)
	}
	return cut, nil
}

// fill reads up to readStep bytes behind buf[:filled] and returns the new filled. It returns the old one only at the end of
// the stream, or with c.err set.
func (c *Chunker) fill(buf []byte, filled int) int {
	end := min(filled+readStep, MaxSize)
	for empty := 0; c.err == nil && filled < end; {
		n, err := c.r.Read(buf[filled:end])
		if n < 0 || n > end-filled {
			panic("block: reader returned an impossible count")
		}
		filled += n
		switch {
		case err == io.EOF:
			c.err = io.EOF
		case err != nil:
			c.err = fmt.Errorf("read to cut into blocks: %w", err)
		case n > 0:
			empty = 0
		default:
			if empty++; empty == maxEmptyReads {
				c.err = fmt.Errorf("read to cut into blocks: %w", io.ErrNoProgress)
			}
		}
	}
	return filled
}

// look feeds data[seen:] to the scanner, where data is the block so far. It returns how much has been looked at, and the size
// of the block if its end was found, else 0.
func (c *Chunker) look(data []byte, seen int) (int, int) {
	if seen < MinSize {
		// The smallest block is cut by the window before its end, so that is where looking begins: the byte at MinSize-1 first.
		if len(data) < MinSize {
			return len(data), 0
		}
		c.scan.warm(data[MinSize-gearWindow : MinSize-1])
		seen = MinSize - 1
	}
	if seen < normalSize {
		n, found := c.scan.scan(data[seen:min(len(data), normalSize)], strictLimit)
		if seen += n; found {
			return seen, seen
		}
	}
	if seen < len(data) {
		n, found := c.scan.scan(data[seen:], generousLimit)
		if seen += n; found {
			return seen, seen
		}
	}
	return seen, 0
}

package blockexchange

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// maxSmallBytes bounds the sealed blocks that were handed over by KeepSmall and not fetched yet. The oldest go first; they
// are then fetched like any other.
const maxSmallBytes = 8 << 20

// smallStore holds sealed blocks that came beside records, until they are fetched.
type smallStore struct {
	blocks map[Key]smallBlock
	order  []Key // in the order of coming; some are gone already
	bytes  int
}

type smallBlock struct {
	epoch  shoal.EpochID
	sealed []byte
}

func (s *smallStore) put(k Key, b smallBlock) {
	if _, there := s.blocks[k]; there {
		return
	}
	if s.blocks == nil {
		s.blocks = make(map[Key]smallBlock)
	}
	s.blocks[k] = b
	s.order = append(s.order, k)
	s.bytes += len(b.sealed)
	for s.bytes > maxSmallBytes || len(s.order) > 2*len(s.blocks)+16 {
		s.take(s.order[0])
		s.order = s.order[1:]
	}
}

func (s *smallStore) take(k Key) (smallBlock, bool) {
	b, ok := s.blocks[k]
	if ok {
		delete(s.blocks, k)
		s.bytes -= len(b.sealed)
	}
	return b, ok
}

// ReadSmall seals a small block for another to keep: it asks the Source, with the record as the hint. False: the block is not
// at hand, or there is no key. It lets small blocks travel beside records (see indexexchange.SmallBlocks).
func (x *Exchange) ReadSmall(ctx context.Context, f shoal.FolderID, rec shoal.Dot, id block.ID, size uint32, epoch shoal.EpochID) ([]byte, bool) {
	w := Want{Folder: f, Block: id, Size: size, Epoch: epoch, Hint: Hint{Record: rec}}
	if w.Validate() != nil {
		return nil, false
	}
	sealed, err := x.sealBlock(ctx, nil, w, block.Auto)
	return sealed, err == nil
}

// KeepSmall takes a sealed block that came unasked. The next Fetch that wants it opens it and needs no peer. It is not checked
// before, and may be forgotten; a block that does not open is fetched like any other.
func (x *Exchange) KeepSmall(f shoal.FolderID, id block.ID, epoch shoal.EpochID, sealed []byte) {
	if len(sealed) == 0 || len(sealed) > maxSmallBytes/64 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.small.put(Key{Folder: f, Block: id}, smallBlock{epoch: epoch, sealed: sealed})
}

// fromSmall opens what was kept of a want; nil when there is nothing, or it is of no use.
func (x *Exchange) fromSmall(w Want) []byte {
	x.mu.Lock()
	b, ok := x.small.take(w.Key())
	x.mu.Unlock()
	if !ok {
		return nil
	}
	w.Epoch = b.epoch
	plaintext, err := x.openBlock(w, b.sealed)
	if err != nil || len(plaintext) != int(w.Size) {
		return nil
	}
	return plaintext
}

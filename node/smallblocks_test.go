package node

import (
	"bytes"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

func TestSmallBlocksAreKeptUntilTheyAreOnTheDisk(t *testing.T) {
	c := newSmallBlocks()
	key := func(folder, n byte) smallKey { return smallKey{shoal.FolderID{folder}, block.ID{n}} }
	for folder := range byte(2) {
		for n := range byte(3) {
			c.put(key(folder, n), []byte{folder, n})
		}
	}
	c.drop(shoal.FolderID{0}, []block.ID{{1}, {9}})
	c.dropFolder(shoal.FolderID{1})
	for folder := range byte(2) {
		for n := range byte(3) {
			want := folder == 0 && n != 1
			if data, ok := c.get(key(folder, n)); ok != want || ok && !bytes.Equal(data, []byte{folder, n}) {
				t.Errorf("block %d of folder %d: there %v, holds %v; want there %v", n, folder, ok, data, want)
			}
		}
	}
	if c.bytes != 4 || c.order.Len() != 2 {
		t.Errorf("%d bytes in %d blocks are counted, want 4 in 2", c.bytes, c.order.Len())
	}
}

func TestSmallBlocksStayWithinTheirBound(t *testing.T) {
	c := newSmallBlocks()
	const size = 1 << 20
	for n := range byte(2 * smallCache / size) {
		c.put(smallKey{id: block.ID{n}}, make([]byte, size))
	}
	if c.bytes != smallCache || len(c.items) != smallCache/size {
		t.Errorf("%d bytes in %d blocks are kept, want %d", c.bytes, len(c.items), smallCache)
	}
	if _, ok := c.get(smallKey{id: block.ID{0}}); ok {
		t.Error("the oldest block is still there")
	}
}

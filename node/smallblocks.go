package node

import (
	"container/list"
	"context"
	"crypto/rand"
	"sync"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// smallCache is how much plaintext of small blocks that came along with records is kept until their files are written or the folder rests, in bytes. What
// does not fit any more is fetched like any other block.
const smallCache = 32 << 20

type smallKey struct {
	folder shoal.FolderID
	id     block.ID
}

// smallBlocks keeps the least recently used small blocks. Safe for concurrent use.
type smallBlocks struct {
	mu    sync.Mutex
	bytes int                        // guarded by mu
	order *list.List                 // guarded by mu; of smallItem, newest first
	items map[smallKey]*list.Element // guarded by mu
}

type smallItem struct {
	key  smallKey
	data []byte
}

func newSmallBlocks() *smallBlocks {
	return &smallBlocks{order: list.New(), items: map[smallKey]*list.Element{}}
}

func (c *smallBlocks) put(k smallKey, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[k] != nil {
		return
	}
	c.items[k] = c.order.PushFront(smallItem{k, data})
	c.bytes += len(data)
	for c.bytes > smallCache {
		c.remove(c.order.Back())
	}
}

// remove is called with c.mu held.
func (c *smallBlocks) remove(e *list.Element) {
	it := c.order.Remove(e).(smallItem)
	delete(c.items, it.key)
	c.bytes -= len(it.data)
}

// drop lets go of blocks that can be read from the disk by now.
func (c *smallBlocks) drop(f shoal.FolderID, ids []block.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if e := c.items[smallKey{f, id}]; e != nil {
			c.remove(e)
		}
	}
}

// dropFolder lets go of all blocks of a folder: of records, say, that others took the place of before their files were written.
func (c *smallBlocks) dropFolder(f shoal.FolderID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.items {
		if k.folder == f {
			c.remove(e)
		}
	}
}

func (c *smallBlocks) get(k smallKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[k]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(smallItem).data, true
}

// KeepSmall opens a small block that came along with a record and keeps it for a while. One that does not open is dropped: it is
// fetched and checked like any other.
func (n *Node) KeepSmall(f shoal.FolderID, id block.ID, epoch shoal.EpochID, sealed []byte) {
	keys := n.roster.Keys(f)
	if keys == nil {
		return
	}
	ep, ok := keys.Epoch(epoch)
	if !ok {
		return
	}
	bk := blockKeys(keys)
	data, err := block.Open(nil, block.SealKey(ep.Seal), epoch, &bk, id, sealed)
	if err != nil {
		n.log.Debug("a block beside a record did not open", "block", id.CIDString(), "err", err)
		return
	}
	n.small.put(smallKey{f, id}, data)
}

// ReadSmall seals a small block of a record that is about to be pushed, if it can be read at once.
func (n *Node) ReadSmall(ctx context.Context, f shoal.FolderID, rec shoal.Dot, id block.ID, size uint32, epoch shoal.EpochID) ([]byte, bool) {
	keys := n.roster.Keys(f)
	if keys == nil {
		return nil, false
	}
	ep, ok := keys.Epoch(epoch)
	if !ok {
		return nil, false
	}
	data, err := n.readBlock(ctx, f, wantOf(id, size, rec), make([]byte, size))
	if err != nil {
		return nil, false
	}
	sealed, err := block.Seal(nil, block.SealKey(ep.Seal), epoch, id, data, block.Off, rand.Reader)
	return sealed, err == nil
}

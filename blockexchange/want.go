package blockexchange

import (
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Want names one block that is needed, and what helps a source to find it. It compares with ==.
type Want struct {
	Folder shoal.FolderID
	Block  block.ID
	Size   uint32        // of the plaintext in bytes, 1 to block.MaxSize; 0: a keeper asks, which does not know it
	Epoch  shoal.EpochID // whose seal key the source is to use
	Hint   Hint
	Node   bool    // a reference node is wanted, not a block: Block is its hash, Epoch empty
	Not    Devices // that are connected now and are not to be asked; not told to anybody
}

// Devices is a set of devices, as one string, so that it compares with ==.
type Devices string

// DevicesOf makes a set of a list.
func DevicesOf(list []shoal.DeviceID) Devices {
	var b []byte
	for _, d := range list {
		b = append(b, d[:]...)
	}
	return Devices(b)
}

// Has tells whether a device is in the set.
func (d Devices) Has(dev shoal.DeviceID) bool {
	for ; len(d) >= len(dev); d = d[len(dev):] {
		if string(d[:len(dev)]) == string(dev[:]) {
			return true
		}
	}
	return false
}

// Hint says where the block occurs, so that a source that keeps no block store finds it in one of its files. The zero value
// says nothing; a wrong hint costs time, never correctness.
type Hint struct {
	Record shoal.Dot // a record whose file has the block
	Index  uint32    // position in that record's recipe
	Part   bool      // true: the block is part Index of the recipe itself, not of the content
}

// Key is what makes two wants the same: the block, in its folder.
type Key struct {
	Folder shoal.FolderID
	Block  block.ID
}

// Key returns the want's key.
func (w Want) Key() Key { return Key{Folder: w.Folder, Block: w.Block} }

// Validate refuses empty names and sizes that no block has. Wants from peers pass through here before they are used.
func (w Want) Validate() error {
	if w.Folder == (shoal.FolderID{}) {
		return fmt.Errorf("want without a folder: %w", shoal.ErrInvalid)
	}
	if err := w.Block.Validate(); err != nil {
		return fmt.Errorf("want: %w", err)
	}
	if w.Size > block.MaxSize {
		return fmt.Errorf("want of %d bytes: %w", w.Size, shoal.ErrInvalid)
	}
	if w.Node && (w.Size != 0 || w.Epoch != (shoal.EpochID{}) || w.Hint.Record.IsZero()) {
		return fmt.Errorf("want of a reference node with size or epoch, or without a record: %w", shoal.ErrInvalid)
	}
	return nil
}

// room is the most that the block may have, in bytes.
func (w *Want) room() uint32 {
	switch {
	case w.Node:
		return block.MaxRefNode
	case w.Size == 0:
		return block.MaxSize
	}
	return w.Size
}

// sealedRoom is the most that an answer may have, in bytes.
func (w *Want) sealedRoom() int {
	switch {
	case w.Node:
		return block.MaxRefNode
	case w.Size == 0:
		return block.MaxSealed
	}
	return sealedBound(w.Size)
}

// Cost orders links: what is cheaper is used first.
type Cost uint8

// The costs of links. Other values between or above them are fine; lower is cheaper.
const (
	CostLAN    Cost = 0
	CostDirect Cost = 1
	CostRelay  Cost = 2
)

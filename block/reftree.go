package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// EpochRef names a sealed block without saying which copy: the block, and the epoch that sealed it. It compares with ==.
type EpochRef struct {
	ID    ID
	Epoch shoal.EpochID
}

// Compare orders refs by epoch, then ID.
func (r EpochRef) Compare(o EpochRef) int {
	if c := bytes.Compare(r.Epoch[:], o.Epoch[:]); c != 0 {
		return c
	}
	return r.ID.Compare(o.ID)
}

// Validate refuses an empty ID and an empty epoch.
func (r EpochRef) Validate() error {
	if r.Epoch == (shoal.EpochID{}) {
		return fmt.Errorf("epoch of a block is empty: %w", shoal.ErrInvalid)
	}
	return r.ID.Validate()
}

// SortRefs sorts refs in place, drops repetitions and returns what is left: the set.
func SortRefs(refs []EpochRef) []EpochRef {
	slices.SortFunc(refs, EpochRef.Compare)
	return slices.Compact(refs)
}

// The limits of a reference node in children. A node ends after a child whose hash says so (1 in 256), so that a set which
// changes a little keeps most of its nodes.
const (
	minNode  = 64
	maxNode  = 1024
	nodeMask = 1<<8 - 1

	// maxHeight is more than any set that fits in memory needs: each level has about 64 times fewer nodes at least.
	maxHeight = 7
)

// MaxRefNode is the size of the biggest encoded reference node: 1,024 refs, each with an epoch of its own.
const MaxRefNode = 2 + maxNode*(32+2+32)

// RefTree returns a set of refs as a tree: its nodes, encoded, children before parents, and the plain BLAKE3 of the last, which
// names the tree. Equal sets give equal trees; similar sets share nodes. refs may be in any order and is left alone. The
// empty set has no node and a zero root.
func RefTree(refs []EpochRef) (root [32]byte, nodes [][]byte) {
	if len(refs) == 0 {
		return root, nil
	}
	set := SortRefs(slices.Clone(refs))
	var level [][32]byte
	for len(set) > 0 {
		n := nodeLen(len(set), func(i int) uint32 { return binary.BigEndian.Uint32(set[i].ID[:]) })
		node := encodeLeaf(set[:n])
		nodes, level = append(nodes, node), append(level, blake3.Sum256(node))
		set = set[n:]
	}
	for height := 1; len(level) > 1; height++ {
		var above [][32]byte
		for len(level) > 0 {
			n := nodeLen(len(level), func(i int) uint32 { return binary.BigEndian.Uint32(level[i][:]) })
			node := encodeInner(height, level[:n])
			nodes, above = append(nodes, node), append(above, blake3.Sum256(node))
			level = level[n:]
		}
		level = above
	}
	return level[0], nodes
}

// nodeLen returns how many of the n children that are left go into the next node.
func nodeLen(n int, hash func(i int) uint32) int {
	end := min(n, maxNode)
	for i := minNode; i < end; i++ {
		if hash(i-1)&nodeMask == 0 {
			return i
		}
	}
	return end
}

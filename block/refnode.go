package block

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// The first byte of a reference node is the format, the second its height: 0 for a leaf, for others one more than that of
// their children (docs/formats/recipe.md).
const (
	nodeFormat   = 1
	nodeHeadSize = 2
	groupHead    = 32 + 2 // epoch, count
)

// RefNode is a decoded reference node: either Refs (a leaf) or Children is empty.
type RefNode struct {
	Height   int
	Refs     []EpochRef // ascending
	Children [][32]byte // plain BLAKE3 of the encoded children, in order
}

// encodeLeaf writes a group per epoch: epoch, count (2 bytes, big-endian), that many IDs; all ascending.
func encodeLeaf(refs []EpochRef) []byte {
	out := append(make([]byte, 0, nodeHeadSize+groupHead+32*len(refs)), nodeFormat, 0)
	for len(refs) > 0 {
		epoch := refs[0].Epoch
		n := 1
		for n < len(refs) && refs[n].Epoch == epoch {
			n++
		}
		out = append(out, epoch[:]...)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		for i := range n {
			out = append(out, refs[i].ID[:]...)
		}
		refs = refs[n:]
	}
	return out
}

// encodeInner writes the hashes of the children in order.
func encodeInner(height int, children [][32]byte) []byte {
	out := append(make([]byte, 0, nodeHeadSize+32*len(children)), nodeFormat, byte(height))
	for i := range children {
		out = append(out, children[i][:]...)
	}
	return out
}

// DecodeRefNode decodes one node of a reference tree. Whether the node stands where RefTree would have cut shows only in
// the whole tree (ReadRefTree). Errors: ErrMalformed, ErrTooLarge.
func DecodeRefNode(data []byte) (RefNode, error) {
	if len(data) > MaxRefNode {
		return RefNode{}, fmt.Errorf("reference node of %d bytes: %w", len(data), ErrTooLarge)
	}
	if len(data) <= nodeHeadSize || data[0] != nodeFormat || data[1] > maxHeight {
		return RefNode{}, fmt.Errorf("reference node: %w", ErrMalformed)
	}
	node := RefNode{Height: int(data[1])}
	body := data[nodeHeadSize:]
	if node.Height > 0 {
		if len(body)%32 != 0 || len(body)/32 > maxNode {
			return RefNode{}, fmt.Errorf("reference node with %d bytes of children: %w", len(body), ErrMalformed)
		}
		for ; len(body) > 0; body = body[32:] {
			node.Children = append(node.Children, [32]byte(body))
		}
		return node, nil
	}
	for len(body) > 0 {
		var err error
		if body, err = node.decodeGroup(body); err != nil {
			return RefNode{}, err
		}
	}
	return node, nil
}

// decodeGroup appends the first group of body to node.Refs and returns what is left of body.
func (node *RefNode) decodeGroup(body []byte) ([]byte, error) {
	if len(body) < groupHead {
		return nil, fmt.Errorf("reference node ends in a group: %w", ErrMalformed)
	}
	epoch, count := shoal.EpochID(body[:32]), int(binary.BigEndian.Uint16(body[32:]))
	body = body[groupHead:]
	last := len(node.Refs) - 1
	switch {
	case count == 0 || len(body) < 32*count:
		return nil, fmt.Errorf("reference group of %d in %d bytes: %w", count, len(body), ErrMalformed)
	case last+1+count > maxNode:
		return nil, fmt.Errorf("reference node of more than %d: %w", maxNode, ErrMalformed)
	case last >= 0 && node.Refs[last].Epoch == epoch:
		return nil, fmt.Errorf("reference group of the same epoch twice: %w", ErrMalformed)
	}
	for ; count > 0; count-- {
		ref := EpochRef{ID: ID(body[:32]), Epoch: epoch}
		if err := ref.Validate(); err != nil {
			return nil, fmt.Errorf("reference node: %w: %w", ErrMalformed, err)
		}
		if n := len(node.Refs); n > 0 && node.Refs[n-1].Compare(ref) >= 0 {
			return nil, fmt.Errorf("references out of order: %w", ErrMalformed)
		}
		node.Refs = append(node.Refs, ref)
		body = body[32:]
	}
	return body, nil
}

// ReadRefTree is the inverse of RefTree: it returns the set, ascending. fetch gives the node of a hash; it is called for one
// node after another, children from left to right, so that it may stream. More than maxRefs refs are ErrTooLarge; nodes that
// do not match their hash, or that RefTree would not have made, are ErrMalformed; what fetch returns comes back wrapped.
func ReadRefTree(root [32]byte, maxRefs int, fetch func(hash [32]byte) ([]byte, error)) ([]EpochRef, error) {
	if root == ([32]byte{}) {
		return nil, nil
	}
	r := refReader{fetch: fetch, max: maxRefs}
	if err := r.read(root, -1); err != nil {
		return nil, err
	}
	if again, _ := RefTree(r.refs); again != root {
		return nil, fmt.Errorf("reference tree cut in another way: %w", ErrMalformed)
	}
	return r.refs, nil
}

type refReader struct {
	fetch func([32]byte) ([]byte, error)
	max   int
	refs  []EpochRef
}

// read appends the refs below hash. height is what the node must have; -1 means any. Since refs must ascend, a hostile tree
// that names one node twice ends at the second.
func (r *refReader) read(hash [32]byte, height int) error {
	data, err := r.fetch(hash)
	if err != nil {
		return fmt.Errorf("fetch reference node: %w", err)
	}
	if len(data) > MaxRefNode {
		return fmt.Errorf("reference node of %d bytes: %w", len(data), ErrTooLarge)
	}
	if blake3.Sum256(data) != hash {
		return fmt.Errorf("reference node does not match its hash: %w", ErrMalformed)
	}
	node, err := DecodeRefNode(data)
	if err != nil {
		return err
	}
	if height >= 0 && node.Height != height {
		return fmt.Errorf("reference node of height %d where %d was due: %w", node.Height, height, ErrMalformed)
	}
	if n := len(r.refs); n > 0 && len(node.Refs) > 0 && r.refs[n-1].Compare(node.Refs[0]) >= 0 {
		return fmt.Errorf("references out of order: %w", ErrMalformed)
	}
	if len(r.refs)+len(node.Refs) > r.max {
		return fmt.Errorf("more than %d references: %w", r.max, ErrTooLarge)
	}
	r.refs = append(r.refs, node.Refs...)
	for _, child := range node.Children {
		if err := r.read(child, node.Height-1); err != nil {
			return err
		}
	}
	return nil
}

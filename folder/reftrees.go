package folder

import (
	"context"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// maxTreeBytes is how much of one reference tree is kept for the next question: the tree of a file of some 300 GiB. Bigger ones are made for
// each node again.
const maxTreeBytes = 64 << 20

// refTrees keeps the reference tree that was asked for last: a vault asks for one node after another. Safe for concurrent use.
type refTrees struct {
	mu     sync.Mutex
	record shoal.Dot           // guarded by mu
	nodes  map[[32]byte][]byte // guarded by mu
}

// RefNode returns a node of the reference tree of a record's long file. Errors: ErrAbsent.
func (e *Engine) RefNode(ctx context.Context, record shoal.Dot, hash [32]byte) ([]byte, error) {
	e.trees.mu.Lock()
	defer e.trees.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.trees.record == record {
		if data, ok := e.trees.nodes[hash]; ok {
			return data, nil
		}
	}
	var nodes [][]byte
	if err := e.Index.View(func(tx *index.Tx) (err error) {
		nodes, err = tx.RefTree(record)
		return err
	}); err != nil {
		return nil, err
	}
	byHash, size := make(map[[32]byte][]byte, len(nodes)), 0
	for _, data := range nodes {
		byHash[blake3.Sum256(data)] = data
		size += len(data)
	}
	if e.trees.record, e.trees.nodes = record, byHash; size > maxTreeBytes {
		e.trees.record, e.trees.nodes = shoal.Dot{}, nil
	}
	if data, ok := byHash[hash]; ok {
		return data, nil
	}
	return nil, ErrAbsent
}

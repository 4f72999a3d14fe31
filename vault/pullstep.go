package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Pull goes once through everything that a folder lacks, and tells whether something came. Run does the same without end; a simulation, which has no
// goroutines to wait, calls this. Errors: those of the index. That nobody has something, or that the store or the quota says no, is none.
func (t *Tenant) Pull(ctx context.Context, id shoal.FolderID) (came bool, err error) {
	if t.index(id) == nil {
		return false, fmt.Errorf("folder %s: %w", id, block.ErrNotFound)
	}
	var at block.EpochRef
	for ctx.Err() == nil {
		next, some, err := t.pullOnce(ctx, id, at, nil)
		came = came || some
		if errors.Is(err, errTrouble) || errors.Is(err, errNothingCame) {
			return came, nil
		}
		if err != nil || next == (block.EpochRef{}) {
			return came, err
		}
		at = next
	}
	return came, ctx.Err()
}

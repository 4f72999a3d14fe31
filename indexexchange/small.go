package indexexchange

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
)

// smallRef is a block that may travel beside its record.
type smallRef struct {
	record shoal.Dot
	ref    block.Ref
	epoch  shoal.EpochID
}

// smallRefs finds the files of one small block among the records of a short batch.
func smallRefs(tx *index.Tx, b index.Batch) ([]smallRef, error) {
	if b.To-b.From > maxSmallRecords {
		return nil, nil
	}
	var out []smallRef
	total := 0
	for seq := b.From + 1; seq <= b.To; seq++ {
		r, live, err := tx.Record(shoal.Dot{Journal: b.Journal, Seq: seq})
		if err != nil {
			return nil, err
		}
		if !live || len(r.Entry.Recipe) != 1 || r.Entry.Recipe[0].Size > maxSmallBlock {
			continue
		}
		total += int(r.Entry.Recipe[0].Size)
		if total > maxSmallBytes {
			break
		}
		epoch := r.Epoch
		if len(r.Entry.Epochs) > 0 {
			epoch = r.Entry.Epochs[0].Epoch
		}
		out = append(out, smallRef{record: r.Dot, ref: r.Entry.Recipe[0], epoch: epoch})
	}
	return out, nil
}

// readSmall gets the sealed blocks that are at hand.
func (s *Session) readSmall(ctx context.Context, f shoal.FolderID, refs []smallRef) []smallBlock {
	var out []smallBlock
	for _, r := range refs {
		if sealed, ok := s.core.cfg.Small.ReadSmall(ctx, f, r.record, r.ref.ID, r.ref.Size, r.epoch); ok {
			out = append(out, smallBlock{id: r.ref.ID, epoch: r.epoch, sealed: sealed})
		}
	}
	return out
}

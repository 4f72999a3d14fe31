package indexexchange

import (
	"context"
	"slices"

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

// smallRefs finds the files of one small block among the records of a short batch. Blocks that a peer that had everything before has
// already are left out: after a rename, a copy, a change of mode.
func smallRefs(tx *index.Tx, b index.Batch) ([]smallRef, error) {
	if b.To-b.From > maxSmallRecords {
		return nil, nil
	}
	records, err := liveRecords(tx, b)
	if err != nil {
		return nil, err
	}
	old := contentBefore(records)
	var out []smallRef
	sent := make(map[block.ID]bool)
	total := 0
	for i := range records {
		e := &records[i].Entry
		if len(e.Recipe) != 1 || e.Recipe[0].Size > maxSmallBlock || sent[e.Recipe[0].ID] {
			continue
		}
		was, err := old.has(tx, &records[i])
		if err != nil {
			return nil, err
		}
		if was {
			continue
		}
		if total += int(e.Recipe[0].Size); total > maxSmallBytes {
			break
		}
		epoch := records[i].Epoch
		if len(e.Epochs) > 0 {
			epoch = e.Epochs[0].Epoch
		}
		sent[e.Recipe[0].ID] = true
		out = append(out, smallRef{record: records[i].Dot, ref: e.Recipe[0], epoch: epoch})
	}
	return out, nil
}

func liveRecords(tx *index.Tx, b index.Batch) ([]index.Record, error) {
	var out []index.Record
	for seq := b.From + 1; seq <= b.To; seq++ {
		r, live, err := tx.Record(shoal.Dot{Journal: b.Journal, Seq: seq})
		if err != nil {
			return nil, err
		}
		if live {
			out = append(out, r)
		}
	}
	return out, nil
}

// oldContent tells which contents of a batch were there before it.
type oldContent struct {
	paths    map[shoal.Path]bool      // that the batch is about
	replaced map[block.ContentID]bool // that it took the place of
}

func contentBefore(records []index.Record) oldContent {
	o := oldContent{paths: make(map[shoal.Path]bool), replaced: make(map[block.ContentID]bool)}
	for i := range records {
		o.paths[records[i].Entry.Path], o.replaced[records[i].Entry.Replaced] = true, true
	}
	return o
}

// otherPlaces is how many files are looked at for a block that is there already.
const otherPlaces = 8

func (o *oldContent) has(tx *index.Tx, r *index.Record) (bool, error) {
	e := &r.Entry
	if e.ContentFrom != (shoal.Dot{}) && e.ContentFrom != r.Dot || o.replaced[e.Content] {
		return true, nil
	}
	places, err := tx.FindBlock(e.Recipe[0].ID, otherPlaces)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(places, func(p index.Place) bool { return p.Size == e.Recipe[0].Size && !o.paths[p.Path] }), nil
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

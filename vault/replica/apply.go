package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// workNodes is how many reference nodes are worked on in one transaction.
const workNodes = 16

// apply takes in an entry. Doing it again, after a crash in the middle, changes nothing. turn is held.
func (r *Replica) apply(ctx context.Context, l ledger.Link) error {
	s := r.state.clone()
	s.at = l.After
	e := l.Entry
	if e == nil {
		return r.become(s)
	}
	if err := r.applySettings(e, s); err != nil {
		return err
	}
	if err := r.applyStatements(ctx, e, s); err != nil {
		return err
	}
	for i := range e.Batches {
		if err := r.applyBatch(ctx, &e.Batches[i]); err != nil {
			return err
		}
	}
	for i := range e.Transfers {
		if err := r.applyTransfer(ctx, &e.Transfers[i]); err != nil {
			return err
		}
	}
	if err := r.applyRest(ctx, e); err != nil {
		return err
	}
	touched := s.note(e)
	s.made = time.Unix(int64(e.Made), 0).UTC()
	if err := r.become(s); err != nil {
		return err
	}
	for _, id := range touched {
		r.cfg.Keeping().Brought(id)
	}
	return nil
}

// applySettings takes over settings, unless others were chosen here that the ledger does not have yet: they come after.
func (r *Replica) applySettings(e *ledger.Entry, s *state) error {
	if len(e.Settings) == 0 {
		return nil
	}
	mine, err := r.cfg.Settings.Shared()
	if err != nil {
		return err
	}
	if len(s.settings) > 0 && string(mine) != string(s.settings) {
		return nil
	}
	return r.cfg.Settings.AdoptShared(e.Settings)
}

func (r *Replica) applyStatements(ctx context.Context, e *ledger.Entry, s *state) error {
	if len(e.Statements) == 0 {
		return nil
	}
	same := len(r.cfg.Roster.Since(s.heads)) == 0
	grew, err := r.cfg.Roster.Add(e.Statements)
	if err != nil && !refusedStatement(err) {
		return err
	}
	if err != nil {
		r.cfg.Log.Warn("a statement in the ledger does not count here", "err", err)
	}
	if same {
		s.heads = r.cfg.Roster.Heads()
	}
	if !grew {
		return nil
	}
	r.cfg.Grew()
	return r.cfg.Keeping().OpenFolders(ctx)
}

// refusedStatement tells whether a statement is nothing to take in, for anybody. It does not keep the others away.
func refusedStatement(err error) bool {
	for _, of := range []error{mesh.ErrTooLarge, mesh.ErrMalformed, mesh.ErrForged, mesh.ErrOtherMesh, mesh.ErrRefused, mesh.ErrFull} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// refused tells whether what an entry brings does not count here: that is no error of this process.
func refused(err error) bool {
	for _, of := range []error{index.ErrGap, index.ErrVoid, index.ErrMismatch, index.ErrMalformed, index.ErrForged, index.ErrOwnJournal, index.ErrIncomplete, index.ErrNotFound} {
		if errors.Is(err, of) {
			return true
		}
	}
	_, fork := errors.AsType[*index.ForkError](err)
	return fork
}

// accept takes in a batch. What of it does not count here is kept beside.
func accept(tx *index.Tx, b index.Batch) (error, error) {
	_, why := tx.Accept(b)
	if why != nil && !refused(why) {
		return nil, why
	}
	return why, retain(tx, b.Journal, b.Records)
}

// retain keeps beside what is not live here.
func retain(tx *index.Tx, j shoal.JournalID, records [][]byte) error {
	for _, raw := range records {
		if err := tx.Retain(j, raw); err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

func (r *Replica) applyBatch(ctx context.Context, b *ledger.Batch) error {
	f, err := r.cfg.Folder(b.Folder)
	if err != nil {
		return err
	}
	var why error
	err = f.Update(ctx, func(tx *index.Tx) (err error) {
		why, err = accept(tx, index.Batch{Journal: b.Journal, From: b.From, To: b.To, Records: b.Records, Head: b.Head})
		return err
	})
	r.explain(why, b.Folder, b.Journal)
	return err
}

// explain logs why a batch did not count. That this process was faster is the normal case.
func (r *Replica) explain(why error, f shoal.FolderID, j shoal.JournalID) {
	if why != nil && !errors.Is(why, index.ErrGap) {
		r.cfg.Log.Warn("what another process accepted does not count here", "folder", f, "device", j.Device, "err", why)
	}
}

// maxAccept is how many bytes of records a transfer that does not begin at the start may have: they are taken in at once.
const maxAccept = 64 << 20

func (r *Replica) applyTransfer(ctx context.Context, t *ledger.Transfer) error {
	f, err := r.cfg.Folder(t.Folder)
	if err != nil {
		return err
	}
	head, err := index.DecodeHead(t.Head)
	if err != nil {
		r.explain(err, t.Folder, t.Journal)
		return nil
	}
	same := false
	if err := f.View(func(tx *index.Tx) error {
		p := tx.Frontier()[t.Journal]
		same = p.Seq == t.To && p.HeadHash == head.Hash()
		return nil
	}); err != nil || same {
		return err
	}
	stream, err := ledger.ReadTransfer(r.cfg.Ledger.NewPartReader(ctx, t.Parts))
	if errors.Is(err, ledger.ErrMalformed) {
		return fmt.Errorf("%w: %w", ledger.ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	if t.From > 0 {
		err = r.acceptStream(ctx, f, t, stream)
	} else {
		err = r.stageStream(ctx, f, t, stream)
	}
	if errors.Is(err, ledger.ErrMalformed) {
		err = fmt.Errorf("%w: %w", ledger.ErrDamaged, err)
	}
	return err
}

// acceptStream takes in a transfer at once.
func (r *Replica) acceptStream(ctx context.Context, f *index.Folder, t *ledger.Transfer, stream *ledger.TransferReader) error {
	b := index.Batch{Journal: t.Journal, From: t.From, To: t.To, Head: t.Head}
	size := 0
	if err := eachBucket(stream, func(bucket ledger.Bucket) error {
		for _, raw := range bucket.Records {
			if size += len(raw); size > 2*maxAccept {
				return fmt.Errorf("transfer of more than %d bytes: %w", size, ledger.ErrMalformed)
			}
		}
		b.Records = append(b.Records, bucket.Records...)
		return nil
	}); err != nil {
		return err
	}
	var why error
	err := f.Update(ctx, func(tx *index.Tx) (err error) {
		why, err = accept(tx, b)
		return err
	})
	r.explain(why, t.Folder, t.Journal)
	return err
}

func eachBucket(stream *ledger.TransferReader, fn func(ledger.Bucket) error) error {
	for {
		b, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(b)
		}
		if err != nil {
			return err
		}
	}
}

// stageStream takes in a whole journal, bucket by bucket.
func (r *Replica) stageStream(ctx context.Context, f *index.Folder, t *ledger.Transfer, stream *ledger.TransferReader) error {
	missing := map[uint64]bool{}
	var why error
	err := f.Update(ctx, func(tx *index.Tx) error {
		var list []uint64
		list, why = tx.Stage(t.Journal, t.Head, stream.Digests)
		if errors.Is(why, index.ErrGap) && tx.Frontier()[t.Journal].Seq < t.To { // a transfer from a device is under way
			if err := tx.EndTransfer(t.Journal); err != nil {
				return err
			}
			list, why = tx.Stage(t.Journal, t.Head, stream.Digests)
		}
		for _, n := range list {
			missing[n] = true
		}
		if why != nil && !refused(why) {
			return why
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = eachBucket(stream, func(b ledger.Bucket) error {
		return f.Update(ctx, func(tx *index.Tx) error {
			if why == nil && missing[b.N] {
				_, why = tx.StageBucket(t.Journal, b.N, b.Records)
			}
			if why != nil && !refused(why) {
				return why
			}
			if why != nil {
				return retain(tx, t.Journal, b.Records)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return f.Update(ctx, func(tx *index.Tx) error {
		if why == nil {
			_, why = tx.FinishStage(t.Journal)
		}
		r.explain(why, t.Folder, t.Journal)
		if why != nil && !refused(why) {
			return why
		}
		return nil
	})
}

// applyRest takes in nodes, losses, and which folders were whole.
func (r *Replica) applyRest(ctx context.Context, e *ledger.Entry) error {
	for _, n := range e.Nodes {
		f, err := r.cfg.Folder(n.Folder)
		if err != nil {
			return err
		}
		// Its parent came before it, maybe in this entry, and must have told it that it is demanded.
		for more := true; more; {
			if err := f.Update(ctx, func(tx *index.Tx) (err error) {
				if err := tx.PutToldNode(blake3.Sum256(n.Data), n.Data); err != nil && !refused(err) {
					return err
				}
				more, err = tx.WorkNodes(workNodes)
				return err
			}); err != nil {
				return err
			}
		}
	}
	for _, l := range e.Lost {
		if err := r.cfg.Keeping().Lost(ctx, l.Folder, l.Block); err != nil {
			return err
		}
	}
	for _, id := range e.Whole {
		f, err := r.cfg.Folder(id)
		if err != nil {
			return err
		}
		if err := f.Update(ctx, func(tx *index.Tx) error { tx.SetWhole(); return nil }); err != nil {
			return err
		}
	}
	return nil
}

package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// Sizes of what goes into one entry, in bytes.
const (
	maxInline = 4 << 20 // of one batch; what is longer goes into parts
	maxTold   = 8 << 20 // of everything
)

// news is what is here and not told, as far as it goes into one entry.
type news struct {
	entry        *ledger.Entry
	heads        []mesh.Hash                 // of the roster, when the entry has all statements up to them
	nodes        map[shoal.FolderID][][]byte // keys of untold nodes
	parts        []*ledger.PartWriter        // of transfers
	size         int                         // bytes, about
	transferring bool                        // a transfer is under way somewhere
}

// drop removes the parts of an entry that did not come about.
func (n *news) drop(ctx context.Context) error {
	var errs []error
	for _, p := range n.parts {
		errs = append(errs, p.Drop(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

// collect gathers what is to be told. turn is held, and everything there is was applied.
func (r *Replica) collect(ctx context.Context) (*news, error) {
	n := &news{entry: &ledger.Entry{}, nodes: map[shoal.FolderID][][]byte{}}
	settings, err := r.cfg.Settings.Shared()
	if err != nil {
		return nil, err
	}
	if string(settings) != string(r.state.settings) {
		n.entry.Settings = settings
	}
	r.collectStatements(n)
	for _, id := range r.cfg.Keeping().IDs() {
		f, err := r.cfg.Folder(id)
		if err != nil {
			return nil, err
		}
		if err := f.View(func(tx *index.Tx) error { return r.collectFolder(ctx, n, id, tx) }); err != nil {
			return nil, errors.Join(fmt.Errorf("collect what is new in folder %s: %w", id, err), n.drop(ctx))
		}
	}
	return n, nil
}

// collectStatements adds statements, as many as there is room for. A roster that is longer goes into several entries, as it was when the first was made.
func (r *Replica) collectStatements(n *news) {
	if len(r.statements) == 0 {
		r.heads = r.cfg.Roster.Heads() // first, so that what comes in between is told again, not left out
		r.statements = r.cfg.Roster.Since(r.state.heads)
	}
	for _, raw := range r.statements {
		if n.size > maxInline || len(n.entry.Statements) == ledger.MaxList {
			return
		}
		n.entry.Statements = append(n.entry.Statements, raw)
		n.size += len(raw)
	}
	if len(r.statements) > 0 {
		n.heads = r.heads
	}
}

func (r *Replica) collectFolder(ctx context.Context, n *news, id shoal.FolderID, tx *index.Tx) error {
	transferring := tx.Transferring()
	n.transferring = n.transferring || transferring
	told := r.state.told[id]
	all := true
	for j, p := range tx.Frontier() {
		if p.Seq <= told[j] {
			continue
		}
		if n.size > maxTold-maxInline || len(n.entry.Batches)+len(n.entry.Transfers) == ledger.MaxList {
			all = false
			continue
		}
		if err := r.collectJournal(ctx, n, id, j, told[j], tx); err != nil {
			return err
		}
	}
	if tx.EverWhole() && !r.state.whole[id] && all {
		n.entry.Whole = append(n.entry.Whole, id)
	}
	// Nodes count for others only when they have the records that demand them; those of transfers they have not.
	if !all || transferring || n.size > maxTold-maxInline {
		return nil
	}
	nodes, err := tx.UntoldNodes(maxInline)
	if err != nil {
		return err
	}
	for i := range nodes {
		n.nodes[id] = append(n.nodes[id], nodes[i].Key)
		if len(nodes[i].Data) > 0 {
			n.entry.Nodes = append(n.entry.Nodes, ledger.Node{Folder: id, Data: nodes[i].Data})
			n.size += len(nodes[i].Data)
		}
	}
	return nil
}

// collectJournal adds what a journal has after a seq: a batch, or a transfer if that is long.
func (r *Replica) collectJournal(ctx context.Context, n *news, f shoal.FolderID, j shoal.JournalID, after shoal.Seq, tx *index.Tx) error {
	b, err := tx.ReadAfter(j, after, r.cfg.Inline)
	if err == nil && len(b.Records) <= ledger.MaxList {
		n.entry.Batches = append(n.entry.Batches, ledger.Batch{Folder: f, Journal: j, From: b.From, To: b.To, Head: b.Head, Records: b.Records})
		for _, raw := range b.Records {
			n.size += len(raw) + 4
		}
		return nil
	}
	if err != nil && !errors.Is(err, index.ErrTooFar) {
		return err
	}
	if after > 0 {
		if _, err := tx.ReadAfter(j, after, maxAccept); errors.Is(err, index.ErrTooFar) {
			after = 0 // from the start, so that nobody has to hold it in memory
		} else if err != nil {
			return err
		}
	}
	return r.upload(ctx, n, f, j, after, tx)
}

// upload writes the buckets of a journal that may have something after a seq into parts.
func (r *Replica) upload(ctx context.Context, n *news, f shoal.FolderID, j shoal.JournalID, after shoal.Seq, tx *index.Tx) error {
	list, head, err := tx.Digests(j)
	if err != nil {
		return err
	}
	h, err := index.DecodeHead(head)
	if err != nil {
		return err
	}
	w := r.cfg.Ledger.NewPartWriter(ctx)
	n.parts = append(n.parts, w)
	if err := ledger.WriteDigests(w, list); err != nil {
		return err
	}
	for i := range list {
		if list[i].N < uint64(after+1)/index.BucketSize {
			continue
		}
		records, err := tx.Bucket(j, list[i].N)
		if err != nil {
			return err
		}
		if err := ledger.WriteBucket(w, ledger.Bucket{N: list[i].N, Records: records}); err != nil {
			return err
		}
	}
	parts, err := w.Finish()
	n.entry.Transfers = append(n.entry.Transfers, ledger.Transfer{Folder: f, Journal: j, From: after, To: h.Seq, Head: head, Parts: parts})
	return err
}

package index

import (
	"bytes"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// Accept applies a batch, all or nothing: afterwards the journal counts up to b.To. A batch whose records are all here already,
// or that only brings a newer signature of the same head, is fine. Errors, by what the caller does: ErrMalformed, ErrForged, ErrMismatch:
// another source; ErrGap: ask for what follows the own frontier; ErrVoid: nobody's records; ErrOwnJournal; *ForkError: evidence was kept.
func (tx *Tx) Accept(b Batch) (Accepted, error) {
	var out Accepted
	err := tx.change(func() (err error) {
		out, err = tx.accept(b)
		return err
	})
	return out, tx.noteFork(err)
}

func (tx *Tx) accept(b Batch) (Accepted, error) {
	h, j, err := tx.admitHead(b.Head, b.Journal)
	if err != nil {
		return Accepted{}, err
	}
	switch {
	case h.Seq != b.To || b.From > b.To:
		return Accepted{}, malformed("batch from %d to %d with a head at %d", b.From, b.To, h.Seq)
	case b.From > j.seq || b.To < j.seq:
		return Accepted{}, fmt.Errorf("batch from %d to %d, frontier %d: %w", b.From, b.To, j.seq, ErrGap)
	case b.To == j.seq:
		return Accepted{}, tx.renewHead(j, &h, b.Head)
	}
	r := tx.newReceiver(j, h.Seq)
	if err := r.dropStage(); err != nil {
		return Accepted{}, err
	}
	if err := r.learn(&h, b.Head); err != nil {
		return Accepted{}, err
	}
	var last shoal.Seq
	for _, raw := range b.Records {
		in, err := r.read(raw)
		if err != nil {
			return Accepted{}, err
		}
		if in.clear.seq <= last {
			return Accepted{}, malformed("records out of order at %d", in.clear.seq)
		}
		if last = in.clear.seq; last <= j.seq {
			continue // is here already
		}
		if err := r.take(in); err != nil {
			return Accepted{}, err
		}
	}
	out, err := r.complete(&h, b.Head)
	if err == nil {
		err = tx.leaveAbandoned(j, &out)
	}
	return out, err
}

// admitHead checks what a head says by itself and against roster and journal, and returns the journal. It writes nothing but a
// new journal's number.
func (tx *Tx) admitHead(raw []byte, id shoal.JournalID) (Head, *journal, error) {
	if err := tx.requireMember(); err != nil {
		return Head{}, nil, err
	}
	h, err := DecodeHead(raw)
	if err != nil {
		return Head{}, nil, err
	}
	if h.Journal != id || h.Mesh != tx.config.Mesh || h.Folder != tx.folder.id {
		return Head{}, nil, fmt.Errorf("head of journal %s in folder %s: %w", h.Journal, h.Folder, ErrForged)
	}
	if seq, hash, cut := tx.config.Roster().Cut(h.Folder, id); cut {
		if h.Seq > seq || (h.Seq == seq && hash != [32]byte{} && hash != h.Hash()) {
			return Head{}, nil, fmt.Errorf("head at %d, cut at %d: %w", h.Seq, seq, ErrVoid)
		}
	}
	if tx.abandoned(&h) {
		return Head{}, nil, fmt.Errorf("head at %d of a history that its author left: %w", h.Seq, ErrVoid)
	}
	j, err := tx.journalOf(id)
	if err != nil {
		return Head{}, nil, err
	}
	if j.number == tx.writing {
		if h.Seq == j.seq && h.Hash() == j.headHash {
			return h, j, nil
		}
		return Head{}, nil, fmt.Errorf("journal %s: %w", id, ErrOwnJournal)
	}
	return h, j, nil
}

// renewHead keeps a head that says the same as ours, if it was signed later. One that says something else is a fork.
func (tx *Tx) renewHead(j *journal, h *Head, raw []byte) error {
	switch {
	case j.seq == 0:
		return nil
	case h.Hash() != j.headHash:
		return &ForkError{Journal: j.id, Ours: bytes.Clone(j.head), Theirs: bytes.Clone(raw)}
	case h.Time > j.headTime && j.number != tx.writing:
		j.head, j.headTime = bytes.Clone(raw), h.Time
		tx.putJournal(j)
	}
	return nil
}

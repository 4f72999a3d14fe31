package index

import (
	"bytes"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// chunk is the number of records after which rows are written, so that memory stays bounded however many there are.
const chunk = 4096

// FinishStage ends a transfer: the journal counts up to the transfer's head. Without a transfer it does nothing. Errors:
// ErrIncomplete: buckets are missing; *ForkError: the history under the new head does not go on from ours.
func (tx *Tx) FinishStage(id shoal.JournalID) (Accepted, error) {
	var out Accepted
	err := tx.change(func() (err error) {
		out, err = tx.finishStage(id)
		return err
	})
	return out, tx.noteFork(err)
}

func (tx *Tx) finishStage(id shoal.JournalID) (Accepted, error) {
	t, err := tx.journalTable()
	if err != nil {
		return Accepted{}, err
	}
	j := t.byID[id]
	if j == nil {
		return Accepted{}, nil
	}
	s, err := tx.loadStage(j)
	if err != nil || s == nil {
		return Accepted{}, err
	}
	if err := tx.requireMember(); err != nil {
		return Accepted{}, err
	}
	if missing, err := tx.missing(j, s); err != nil || len(missing) > 0 {
		return Accepted{}, errIf(err, fmt.Errorf("%d of journal %s: %w", len(missing), id, ErrIncomplete))
	}
	f := &finisher{receiver: tx.newReceiver(j, s.head.Seq)}
	if err := f.placeRecords(); err != nil {
		return Accepted{}, err
	}
	for _, b := range s.list {
		if !bytes.Equal(tx.bucket(bDigests).Get(bucketKey(j.number, b.N)), b.Digest[:]) {
			f.changes.touched[b.N] = struct{}{}
		}
	}
	f.clearStage()
	out, err := f.complete(&s.head, s.raw)
	if err != nil {
		if j.seq > 0 {
			err = f.fork(s) // every bucket was as the list says, so the list does not go on from ours
		}
		return Accepted{}, err
	}
	out.Paths, out.More = append(f.paths, out.Paths...), out.More || f.more
	return out, tx.leaveAbandoned(j, &out)
}

// errIf returns err, or otherwise when err is nil.
func errIf(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// finisher lets the records of a transfer take their places.
type finisher struct {
	*receiver
	paths []shoal.Path
	more  bool
	done  int // records since rows were written
}

// placeRecords goes through what the transfer brought, in order. Most records are shown already and begin their slot: they are
// only counted.
func (f *finisher) placeRecords() error {
	type waiting struct {
		seq      shoal.Seq
		slot     shoal.Slot
		deferred bool
	}
	var list []waiting
	tx, j := f.tx, f.journal
	deferred := make(map[shoal.Seq]bool)
	for _, k := range tx.keysOf(bDeferred, j) {
		deferred[recordKeySeq(k)] = true
	}
	c := tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(recordKey(j.number, j.seq+1)); k != nil && keyJournal(k) == j.number; k, v = c.Next() {
		seq := recordKeySeq(k)
		f.changes.count++
		if slot := storedSlotOf(v, seq); uint64(slot) != uint64(seq) || deferred[seq] {
			list = append(list, waiting{seq, slot, deferred[seq]})
		}
	}
	for _, w := range list {
		if err := f.place(ref{j.number, w.seq}, w.slot, w.deferred); err != nil {
			return err
		}
	}
	return nil
}

// place makes a staged record the live one of its slot.
func (f *finisher) place(at ref, slot shoal.Slot, deferred bool) error {
	tx := f.tx
	s, err := tx.load(at)
	if err != nil {
		return err
	}
	in := &received{clear: &clearPart{seq: at.seq, slot: slot}, s: s}
	if s.raw == nil {
		if in.rec, err = tx.record(at, s); err != nil {
			return err
		}
	}
	var old *liveRecord
	if seq := tx.liveInSlot(f.journal, slot); seq != 0 && seq != at.seq {
		if old, err = f.live(ref{at.journal, seq}); err != nil {
			return err
		}
	}
	if err := f.report(in, old); err != nil {
		return err
	}
	if old != nil {
		if err := f.changes.supersede(f.rows, old.at, old.rec); err != nil {
			return err
		}
	}
	tx.putRecord(at, in.s)
	tx.setSlot(at, slot)
	if in.rec != nil && deferred {
		if err := f.rows.attach(at, in.rec); err != nil {
			return err
		}
	}
	return f.pause()
}

// pause writes the rows now and then.
func (f *finisher) pause() error {
	if f.done++; f.done < chunk {
		return nil
	}
	f.done = 0
	out, err := f.accepted(false)
	if err != nil {
		return err
	}
	if len(f.paths) < MaxAcceptedPaths {
		f.paths = append(f.paths, out.Paths...)
	} else {
		f.more = true
	}
	f.rows = f.tx.newRowUpdate()
	return nil
}

package index

import (
	"errors"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// noteFork keeps the evidence when err is a fork, and returns err.
func (tx *Tx) noteFork(err error) error {
	if fork, ok := errors.AsType[*ForkError](err); ok {
		return errors.Join(err, tx.putFork(fork))
	}
	return err
}

// putFork keeps the first evidence against a journal; more would prove nothing more.
func (tx *Tx) putFork(f *ForkError) error {
	if !tx.writable {
		return ErrReadOnly
	}
	b, key := tx.bucket(bForks), f.Journal.Bytes()
	if b.Get(key) == nil {
		b.Put(key, append(appendBytes(nil, f.Ours), f.Theirs...))
	}
	return nil
}

// Forks returns the journals that were seen with two histories, with the heads that prove it.
func (tx *Tx) Forks() ([]ForkError, error) {
	var out []ForkError
	c := tx.bucket(bForks).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		j, err := shoal.JournalIDFromBytes(k)
		d := decoder{data: v}
		ours := d.bytes()
		if err != nil || d.err != nil {
			return nil, tx.damaged("fork", k, errors.Join(err, d.err))
		}
		out = append(out, ForkError{Journal: j, Ours: append([]byte(nil), ours...), Theirs: append([]byte(nil), d.data...)})
	}
	return out, nil
}

// A device whose journal has two histories was restored from an image, or resumed from a snapshot, and went on in the journal
// because a peer that had seen nothing of its former life showed the same head. It leaves the form that it writes itself, the only
// one that it knows whole: it begins a new journal that continues the old one where the lives parted, records in it again what
// it wrote since, and takes the form that others have. The new journal's heads name the lives that were left, so that those who
// have that form leave it too.

// Rival tells whether a signed head of the journal that is being written here is of another history of it. parted is a seq up to
// which both are the same, and left are the lives, since then, of which it is certain that the other history does not have them.
func (tx *Tx) Rival(head []byte) (parted shoal.Seq, left []uint64, rival bool) {
	j := tx.mustOwn()
	h, err := DecodeHead(head)
	if err != nil || j == nil || j.number != tx.writing || h.Journal != j.id || h.Folder != tx.folder.id || h.Mesh != tx.config.Mesh {
		return 0, nil, false
	}
	last := len(j.lives) - 1
	at := last // the life of the head, -1 for the first; len: none that this database knows
	if h.Life != j.life() {
		at = slices.IndexFunc(j.lives, func(l life) bool { return l.nonce == h.Life })
		if at < 0 && h.Life != 0 {
			at = len(j.lives)
		}
	}
	switch {
	case at == last: // one life twice: a snapshot was resumed
		if at >= 0 {
			parted = j.lives[at].after
		}
		return parted, nil, h.Seq > j.seq || h.Seq == j.seq && h.Hash() != j.headHash
	case at < last: // the head is of a life that is over here, but went on elsewhere
		for _, l := range j.lives[at+1:] {
			left = append(left, l.nonce)
		}
		parted = j.lives[at+1].after
	case len(j.lives) > 0: // which lives both have is not known; the present one began here
		parted, left = j.lives[0].after, []uint64{j.life()}
	}
	return parted, left, h.Seq > parted
}

// LeaveHistory begins a new journal when head is a Rival: what this device wrote since the histories parted is recorded again,
// unless somebody who had seen it has replaced it, and taken out of the old journal, which others bring in their form. It tells
// whether there was anything to do.
func (tx *Tx) LeaveHistory(head []byte) (Accepted, bool, error) {
	parted, left, rival := tx.Rival(head)
	if !rival {
		return Accepted{}, false, nil
	}
	var out Accepted
	err := tx.change(func() error {
		old := tx.mustOwn()
		if err := tx.putFork(&ForkError{Journal: old.id, Ours: old.head, Theirs: head}); err != nil {
			return err
		}
		if err := tx.openJournal(old.dot(parted), left); err != nil {
			return err
		}
		var mine []ref
		for _, k := range tx.keysOf(bRecords, old) {
			if at := recordKeySeq(k); at > parted {
				mine = append(mine, ref{old.number, at})
			}
		}
		for group := range slices.Chunk(mine, chunk) {
			if err := tx.recordAgain(group, parted); err != nil {
				return err
			}
		}
		return tx.cutJournal(old, parted, &out)
	})
	return out, true, err
}

// recordAgain writes records of the own journal before to the open one, but for those that somebody who had seen them has
// replaced. Where the disk shows one of them, it shows the new one then.
func (tx *Tx) recordAgain(group []ref, parted shoal.Seq) error {
	var old []*Record
	var drafts []Entry
	for _, r := range group {
		rec, err := tx.loadRecord(r)
		if err != nil {
			return err
		}
		if replaced, err := tx.isReplaced(r, rec); replaced || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		e := rec.Entry
		e.ContentFrom, e.ModeFrom = dotUpTo(e.ContentFrom, rec.Dot.Journal, parted), dotUpTo(e.ModeFrom, rec.Dot.Journal, parted)
		old, drafts = append(old, rec), append(drafts, e)
	}
	dots, err := tx.Append(drafts)
	if err != nil {
		return err
	}
	for i, was := range old {
		if err := tx.showAgain(was, dots[i], parted); err != nil {
			return err
		}
	}
	return nil
}

// isReplaced tells whether a live record of another journal has seen this one.
func (tx *Tx) isReplaced(at ref, rec *Record) (bool, error) {
	row, err := tx.row(rec.Entry.Path)
	if err != nil || row == nil {
		return false, errIf(err, tx.damaged("row of", pathKey(rec.Entry.Path), errShort))
	}
	for _, l := range row.live {
		if l.journal == at.journal {
			continue
		}
		other, err := tx.loadRecord(l)
		if err != nil {
			return false, err
		}
		if tx.Lineage().Descends(other.Version(), rec.Version()) {
			return true, nil
		}
	}
	return false, nil
}

// showAgain lets a base that shows a record show the one that it was recorded as again.
func (tx *Tx) showAgain(was *Record, dot shoal.Dot, parted shoal.Seq) error {
	b, err := tx.Base(was.Entry.Path)
	if err != nil || b == nil || b.Record != was.Dot {
		return err
	}
	rec, _, err := tx.Record(dot)
	if err != nil {
		return err
	}
	again := *b
	again.Record, again.ContentFrom, again.ModeFrom = dot, rec.ContentFrom(), rec.ModeFrom()
	again.Version = tx.Lineage().Prune(versionUpTo(b.Version, was.Dot.Journal, parted).With(dot))
	return tx.SetBase(was.Entry.Path, &again)
}

// versionUpTo is v without what it has seen of a journal above a seq.
func versionUpTo(v conflict.Version, j shoal.JournalID, seq shoal.Seq) conflict.Version {
	if v.Get(j) <= seq {
		return v
	}
	v = slices.DeleteFunc(slices.Clone(v), func(d shoal.Dot) bool { return d.Journal == j })
	if seq == 0 {
		return v
	}
	return v.With(shoal.Dot{Journal: j, Seq: seq})
}

// dotUpTo is d, or no dot where that is a journal's above a seq.
func dotUpTo(d shoal.Dot, j shoal.JournalID, seq shoal.Seq) shoal.Dot {
	if d.Journal == j && d.Seq > seq {
		return shoal.Dot{}
	}
	return d
}

// rebase takes from the base at p what it says of records that are taken out of a journal: others may come under their names.
func (r *receiver) rebase(p shoal.Path, seq shoal.Seq) error {
	e, err := r.rows.edit(p)
	if err != nil || e.row.base == nil {
		return err
	}
	if err := r.tx.fillBase(p, e.row.base); err != nil {
		return err
	}
	j, b := r.journal.id, *e.row.base.value
	if b.Version.Get(j) <= seq {
		return nil
	}
	b.Version = versionUpTo(b.Version, j, seq)
	b.Record, b.ContentFrom, b.ModeFrom = dotUpTo(b.Record, j, seq), dotUpTo(b.ContentFrom, j, seq), dotUpTo(b.ModeFrom, j, seq)
	e.baseSet, e.row.base = true, &storedBase{value: &b}
	r.rows.mark(e)
	return nil
}

// abandoned tells whether a head belongs to a history of its journal that its author has left.
func (tx *Tx) abandoned(h *Head) bool {
	for _, j := range tx.mustJournals().list {
		if j.continues.Journal == h.Journal && h.Seq > j.continues.Seq && slices.Contains(j.abandons, h.Life) {
			return true
		}
	}
	return false
}

// leaveAbandoned takes out of the journal that j continues what its author left, if it is in that form here. To be called when
// all of j counts, which has what of it nobody else had.
func (tx *Tx) leaveAbandoned(j *journal, out *Accepted) error {
	old := tx.mustJournals().byID[j.continues.Journal]
	if len(j.abandons) == 0 || old == nil || old.number == tx.writing {
		return nil
	}
	if s, err := tx.loadStage(old); err != nil || s != nil && tx.abandoned(&s.head) {
		if err != nil {
			return err
		}
		if err := tx.cutJournal(old, max(old.seq, j.continues.Seq), out); err != nil { // the transfer alone
			return err
		}
	}
	if old.seq == 0 {
		return nil
	}
	h, err := DecodeHead(old.head)
	if err != nil {
		return tx.damaged("head of", journalKey(old.number), err)
	}
	if !tx.abandoned(&h) {
		return nil
	}
	return tx.cutJournal(old, j.continues.Seq, out)
}

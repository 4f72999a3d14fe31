package index

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// received is a record that came from elsewhere.
type received struct {
	raw   []byte
	clear *clearPart
	rec   *Record // nil: set aside
	s     *stored
}

// receiver takes records into one journal.
type receiver struct {
	tx       *Tx
	journal  *journal
	limit    shoal.Seq // of the head
	rows     *rowUpdate
	changes  *journalChanges
	problems []Problem
}

func (tx *Tx) newReceiver(j *journal, limit shoal.Seq) *receiver {
	return &receiver{tx: tx, journal: j, limit: limit, rows: tx.newRowUpdate(), changes: newJournalChanges(j)}
}

// learn notes the journal's lineage and has the rows that waited for it resolved again.
func (r *receiver) learn(h *Head, raw []byte) error {
	paths, err := r.tx.learn(r.journal, h, raw)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := r.rows.again(p); err != nil {
			return err
		}
	}
	return nil
}

// read takes a record apart and opens it. What does not open or is invalid comes back to be set aside; only what does not even
// say what it is, or that does not belong here, is an error.
func (r *receiver) read(raw []byte) (*received, error) {
	clear, sealed, err := splitRecord(raw)
	if err != nil {
		return nil, err
	}
	c, canonical, err := decodeClear(clear)
	if err != nil {
		return nil, err
	}
	tx := r.tx
	if c.journal != r.journal.id || c.seq > r.limit {
		return nil, fmt.Errorf("record %s:%d in journal %s up to %d: %w", c.journal, c.seq, r.journal.id, r.limit, ErrMismatch)
	}
	in := &received{raw: raw, clear: c, s: &stored{hash: recordHash(raw), slot: c.slot}}
	if tx.keeping() {
		in.keep(tx, canonical)
		return in, nil
	}
	if err := in.open(tx, clear, sealed, canonical); err != nil {
		if _, ok := errors.AsType[*DamagedError](err); ok {
			return nil, err
		}
		in.setAside(err)
	}
	return in, nil
}

// setAside turns a record into one that is kept as it travelled.
func (in *received) setAside(reason error) {
	in.rec = nil
	in.s = &stored{
		hash: in.s.hash, slot: in.clear.slot, raw: bytes.Clone(in.raw), path: in.s.path,
		reason: reason.Error(), retry: errors.Is(reason, errNoEpochKey),
	}
}

// open fills in what is kept of a good record.
func (in *received) open(tx *Tx, clear, sealed []byte, canonical bool) error {
	if !canonical {
		return errNotCanonical
	}
	c := in.clear
	if c.mesh != tx.config.Mesh || c.folder != tx.folder.id {
		return errElsewhere
	}
	seal := tx.sealer(c.epoch)
	if seal == nil {
		return errNoEpochKey
	}
	entry, err := seal.openPart(recordAD(clear), sealed)
	if err != nil {
		return err
	}
	e, err := decodeEntry(entry, shoal.Dot{Journal: c.journal, Seq: c.seq}, &tx.names)
	if err != nil {
		in.s.path = pathOf(entry)
		return err
	}
	in.s.path = e.Path
	if err := checkRefs(c, e); err != nil {
		return err
	}
	in.s.path = ""
	if in.s.epoch, err = tx.epochNumber(c.epoch); err != nil {
		return err
	}
	for _, d := range c.replaces {
		j, err := tx.namedJournal(d.Journal)
		if err != nil {
			return err
		}
		if j == nil {
			return malformed("replaces a record of one more unknown journal")
		}
		in.s.replaces = append(in.s.replaces, ref{j.number, d.Seq})
	}
	in.s.more, in.s.root, in.s.entry = c.more, c.root, entry
	in.rec = &Record{Dot: shoal.Dot{Journal: c.journal, Seq: c.seq}, Slot: c.slot, Epoch: c.epoch, Entry: *e, Hash: in.s.hash}
	return nil
}

// take makes a record the live one of its slot.
func (r *receiver) take(in *received) error {
	at := ref{r.journal.number, in.clear.seq}
	if r.tx.keeping() { // first, so that nothing that both demand is let go of in between
		if err := r.tx.enter(at, in.s); err != nil {
			return err
		}
	}
	old, err := r.superseded(in.clear.slot)
	if err != nil {
		return err
	}
	if err := r.report(in, old); err != nil {
		return err
	}
	if old != nil {
		if err := r.changes.supersede(r.rows, old.at, old.rec); err != nil {
			return err
		}
	}
	return r.changes.add(r.rows, at, in.s, in.rec)
}

// report holds and reports the path of a record that was set aside, and ends that when a good one takes its place.
func (r *receiver) report(in *received, old *liveRecord) error {
	if r.tx.keeping() {
		return nil
	}
	if old != nil && old.rec == nil && old.path == "" {
		if err := r.tx.countUnknown(-1); err != nil {
			return err
		}
	}
	h := hold{r.journal.number, in.clear.slot}
	if in.rec != nil {
		return r.release(h)
	}
	if old != nil && old.path != "" {
		in.s.path = old.path
	}
	if in.s.retry {
		r.tx.bucket(bRetries).Put(recordKey(r.journal.number, in.clear.seq), nil)
	}
	return r.hold(h, in.s.path, fmt.Sprintf("record %s: %s", r.journal.dot(in.clear.seq), in.s.reason))
}

// liveRecord is a record that is about to be superseded.
type liveRecord struct {
	at   ref
	slot shoal.Slot
	rec  *Record // nil: set aside
	path shoal.Path
}

// superseded returns the live record of a slot; nil: none.
func (r *receiver) superseded(slot shoal.Slot) (*liveRecord, error) {
	seq := r.tx.liveInSlot(r.journal, slot)
	if seq == 0 {
		return nil, nil
	}
	return r.live(ref{r.journal.number, seq})
}

func (r *receiver) live(at ref) (*liveRecord, error) {
	s, err := r.tx.load(at)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, r.tx.damaged("slot", recordKey(at.journal, at.seq), errShort)
	}
	if s.raw != nil {
		return &liveRecord{at: at, slot: s.slot, path: s.path}, nil
	}
	rec, err := r.tx.record(at, s)
	if err != nil {
		return nil, err
	}
	return &liveRecord{at: at, slot: s.slot, rec: rec, path: rec.Entry.Path}, nil
}

// hold keeps a path as it is because of what a slot has, and reports why. "": the path is not known.
func (r *receiver) hold(h hold, p shoal.Path, why string) error {
	r.problems = append(r.problems, Problem{Path: p, Kind: ProblemRecord, Message: why, Since: r.tx.now()})
	if err := r.tx.SetProblem(p, ProblemRecord, why); err != nil {
		return err
	}
	if p == "" {
		return r.tx.countUnknown(1)
	}
	r.tx.bucket(bHolds).Put(recordKey(h.journal, shoal.Seq(h.slot)), pathKey(p))
	return r.rows.hold(p, h, true)
}

// release ends what a slot held.
func (r *receiver) release(h hold) error {
	key := recordKey(h.journal, shoal.Seq(h.slot))
	v := r.tx.bucket(bHolds).Get(key)
	if v == nil {
		return nil
	}
	p := keyPath(v)
	r.tx.bucket(bHolds).Delete(key)
	if err := r.rows.hold(p, h, false); err != nil {
		return err
	}
	if e, err := r.rows.edit(p); err != nil || len(e.row.held) > 0 {
		return err
	}
	return r.tx.SetProblem(p, ProblemRecord, "")
}

// releaseAwaited ends the holds of slots that are whole up to a head and in which nothing is set aside. An honest journal has a
// record in every slot that anything ever took the place of; but what is void need not be honest.
func (r *receiver) releaseAwaited(upTo shoal.Seq) error {
	var done []hold
	c := r.tx.bucket(bHolds).Cursor()
	for k, _ := c.Seek(journalKey(r.journal.number)); k != nil && keyJournal(k) == r.journal.number; k, _ = c.Next() {
		h := hold{r.journal.number, shoal.Slot(recordKeySeq(k))}
		seq := r.tx.liveInSlot(r.journal, h.slot)
		s, err := r.tx.load(ref{h.journal, seq})
		if err != nil {
			return err
		}
		if shoal.Seq(h.slot) <= upTo && (s == nil || s.raw == nil) {
			done = append(done, h)
		}
	}
	for _, h := range done {
		if err := r.release(h); err != nil {
			return err
		}
	}
	return nil
}

// complete holds the digests against the head and lets the journal count up to there.
func (r *receiver) complete(h *Head, raw []byte) (Accepted, error) {
	j := r.journal
	r.changes.seq = h.Seq
	list, err := r.changes.digests(r.tx)
	if err != nil {
		return Accepted{}, err
	}
	if bucketListHash(list) != h.Buckets || r.changes.count != h.Count {
		return Accepted{}, fmt.Errorf("records of journal %s up to %d: %w", j.id, h.Seq, ErrMismatch)
	}
	last, err := r.tx.load(ref{j.number, h.Seq})
	if err != nil {
		return Accepted{}, err
	}
	if last == nil || last.more {
		return Accepted{}, malformed("the head of journal %s at %d is not at the end of a commit", j.id, h.Seq)
	}
	if err := r.releaseAwaited(h.Seq); err != nil {
		return Accepted{}, err
	}
	if j.id.Device == r.tx.config.Identity.Device() && !j.foreign {
		j.foreign, j.held = true, j.seq
	}
	j.seq, j.count = h.Seq, h.Count
	j.head, j.headHash, j.headTime = bytes.Clone(raw), h.Hash(), h.Time
	r.tx.putJournal(j)
	return r.accepted(true)
}

// accepted writes the rows and tells what changed.
func (r *receiver) accepted(done bool) (Accepted, error) {
	paths, err := r.rows.finish()
	if err != nil {
		return Accepted{}, err
	}
	out := Accepted{Paths: paths, Problems: r.problems, Done: done}
	if len(paths) > MaxAcceptedPaths {
		out.Paths, out.More = slices.Clip(paths[:MaxAcceptedPaths]), true
	}
	return out, nil
}

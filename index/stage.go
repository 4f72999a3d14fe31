package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// A transfer by buckets brings a journal that is too far ahead for one batch. Under a head and its list of digests, each bucket
// that differs is fetched and checked by itself. Records above the frontier are kept beside the others at once, but count for
// nothing: no digest that is served covers them. Those that create something where nothing is are shown at once; the others wait
// in the deferred bucket. When all buckets are there, FinishStage lets the new records take the place of the old.

// Stage begins a transfer of a journal under a head, or goes on with one under a newer head: buckets that did not change are
// kept. It returns the buckets to fetch. Errors as Accept; ErrMismatch: the list is not the head's; ErrGap: the head is older
// than what is here.
func (tx *Tx) Stage(id shoal.JournalID, head []byte, list []BucketDigest) (missing []uint64, err error) {
	err = tx.change(func() error {
		missing, err = tx.stage(id, head, list)
		return err
	})
	return missing, tx.noteFork(err)
}

func (tx *Tx) stage(id shoal.JournalID, head []byte, list []BucketDigest) ([]uint64, error) {
	h, j, err := tx.admitHead(head, id)
	if err != nil {
		return nil, err
	}
	if err := validateList(list, &h); err != nil {
		return nil, err
	}
	if bucketListHash(list) != h.Buckets {
		return nil, fmt.Errorf("list of %d buckets of journal %s: %w", len(list), id, ErrMismatch)
	}
	before, err := tx.loadStage(j)
	if err != nil {
		return nil, err
	}
	switch {
	case h.Seq < j.seq || (before != nil && h.Seq < before.head.Seq):
		return nil, fmt.Errorf("head at %d, frontier %d: %w", h.Seq, j.seq, ErrGap)
	case h.Seq == j.seq:
		return nil, tx.renewHead(j, &h, head)
	}
	r := tx.newReceiver(j, h.Seq)
	if err := r.learn(&h, head); err != nil {
		return nil, err
	}
	tx.putJournal(j)
	st := &staging{head: h, raw: head, list: list}
	tx.bucket(bStage).Put(journalKey(j.number), st.encode())
	if err := r.dropEmptied(st); err != nil {
		return nil, err
	}
	if _, err := r.rows.finish(); err != nil {
		return nil, err
	}
	return tx.missing(j, st)
}

// staging is the head and the list that a transfer is under.
type staging struct {
	head Head
	raw  []byte
	list []BucketDigest
}

func (s *staging) encode() []byte {
	b := appendBytes(make([]byte, 0, len(s.raw)+40*len(s.list)+16), s.raw)
	for i := range s.list {
		b = append(binary.BigEndian.AppendUint64(b, s.list[i].N), s.list[i].Digest[:]...)
	}
	return b
}

// loadStage returns the journal's transfer; nil: none is under way.
func (tx *Tx) loadStage(j *journal) (*staging, error) {
	key := journalKey(j.number)
	v := tx.bucket(bStage).Get(key)
	if v == nil {
		return nil, nil
	}
	d := decoder{data: v}
	s := &staging{raw: d.bytes()}
	for d.err == nil && len(d.data) > 0 {
		n := d.take(8)
		if n != nil {
			s.list = append(s.list, BucketDigest{N: binary.BigEndian.Uint64(n), Digest: d.array32()})
		}
	}
	var err error
	if s.head, err = DecodeHead(s.raw); err != nil || d.err != nil {
		return nil, tx.damaged("transfer", key, errors.Join(err, d.err))
	}
	return s, nil
}

// digest returns what a bucket must hash to.
func (s *staging) digest(n uint64) ([32]byte, bool) {
	for i := range s.list {
		if s.list[i].N == n {
			return s.list[i].Digest, true
		}
	}
	return [32]byte{}, false
}

// missing returns the buckets that are not here as the list wants them.
func (tx *Tx) missing(j *journal, s *staging) ([]uint64, error) {
	var out []uint64
	for i := range s.list {
		key := bucketKey(j.number, s.list[i].N)
		have := tx.bucket(bStage).Get(key)
		if have == nil {
			have = tx.bucket(bDigests).Get(key)
		}
		if !bytes.Equal(have, s.list[i].Digest[:]) {
			out = append(out, s.list[i].N)
		}
	}
	return out, nil
}

// stagedBuckets returns the numbers of the buckets of which something is staged.
func (tx *Tx) stagedBuckets(j *journal) []uint64 {
	var out []uint64
	c := tx.bucket(bStage).Cursor()
	for k, _ := c.Seek(bucketKey(j.number, 0)); len(k) == 12 && keyJournal(k) == j.number; k, _ = c.Next() {
		out = append(out, bucketKeyN(k))
	}
	return out
}

// dropEmptied forgets staged buckets that are not in the list any more.
func (r *receiver) dropEmptied(s *staging) error {
	for _, n := range r.tx.stagedBuckets(r.journal) {
		if _, ok := s.digest(n); ok {
			continue
		}
		if err := r.unstageBucket(n, nil); err != nil {
			return err
		}
		r.tx.bucket(bStage).Delete(bucketKey(r.journal.number, n))
	}
	return nil
}

// StageBucket brings one bucket of a transfer. Errors: ErrNotFound: no transfer is under way, or its head has no such bucket;
// ErrMismatch, ErrMalformed: another source; *ForkError.
func (tx *Tx) StageBucket(id shoal.JournalID, n uint64, records [][]byte) (Accepted, error) {
	var out Accepted
	err := tx.change(func() (err error) {
		out, err = tx.stageBucket(id, n, records)
		return err
	})
	return out, tx.noteFork(err)
}

func (tx *Tx) stageBucket(id shoal.JournalID, n uint64, records [][]byte) (Accepted, error) {
	j, s, err := tx.staged(id)
	if err != nil {
		return Accepted{}, err
	}
	want, ok := s.digest(n)
	if !ok {
		return Accepted{}, fmt.Errorf("bucket %d of journal %s: %w", n, id, ErrNotFound)
	}
	hashes := make([]byte, 0, 32*len(records))
	for _, raw := range records {
		hash := recordHash(raw)
		hashes = append(hashes, hash[:]...)
	}
	if bucketDigest(hashes) != want {
		return Accepted{}, fmt.Errorf("bucket %d of journal %s: %w", n, id, ErrMismatch)
	}
	r := tx.newReceiver(j, s.head.Seq)
	keep := make(map[shoal.Seq][]byte, len(records))
	for i, raw := range records {
		seq, err := recordSeq(raw)
		if err != nil {
			return Accepted{}, err
		}
		if keep[seq] != nil || uint64(seq)/BucketSize != n {
			return Accepted{}, malformed("record %d in bucket %d", seq, n)
		}
		keep[seq] = hashes[32*i : 32*i+32]
	}
	if err := r.unstageBucket(n, keep); err != nil {
		return Accepted{}, err
	}
	for _, raw := range records {
		if err := r.stageRecord(raw, s); err != nil {
			return Accepted{}, err
		}
	}
	tx.bucket(bStage).Put(bucketKey(j.number, n), want[:])
	return r.accepted(false)
}

// recordSeq reads the seq of a record without opening it.
func recordSeq(raw []byte) (shoal.Seq, error) {
	clear, _, err := splitRecord(raw)
	if err != nil {
		return 0, err
	}
	c, _, err := decodeClear(clear)
	if err != nil {
		return 0, err
	}
	return c.seq, nil
}

// staged returns a journal with a transfer under way.
func (tx *Tx) staged(id shoal.JournalID) (*journal, *staging, error) {
	if err := tx.requireMember(); err != nil {
		return nil, nil, err
	}
	t, err := tx.journalTable()
	if err != nil {
		return nil, nil, err
	}
	j := t.byID[id]
	if j == nil {
		return nil, nil, fmt.Errorf("transfer of journal %s: %w", id, ErrNotFound)
	}
	s, err := tx.loadStage(j)
	if err == nil && s == nil {
		err = fmt.Errorf("transfer of journal %s: %w", id, ErrNotFound)
	}
	return j, s, err
}

// stageRecord keeps a record that is not here yet, and shows it if that hides nothing.
func (r *receiver) stageRecord(raw []byte, s *staging) error {
	in, err := r.read(raw)
	if err != nil {
		return err
	}
	tx, at := r.tx, ref{r.journal.number, in.clear.seq}
	old, err := tx.load(at)
	switch {
	case err != nil:
		return err
	case old != nil && old.hash == in.s.hash:
		return nil
	case old != nil || at.seq <= r.journal.seq:
		// Another record under this seq, or one that was superseded before our head and lives again under a later one.
		return r.fork(s)
	}
	tx.putRecord(at, in.s)
	if tx.keeping() {
		return r.stageKept(at, in)
	}
	if in.rec != nil && tx.liveInSlot(r.journal, in.clear.slot) == seqIfFirst(in.clear) {
		e, err := r.rows.edit(in.rec.Entry.Path)
		if err != nil {
			return err
		}
		if len(e.row.live) == 0 && len(e.row.held) == 0 {
			return r.rows.attach(at, in.rec)
		}
	}
	tx.bucket(bDeferred).Put(recordKey(at.journal, at.seq), nil)
	return nil
}

// stageKept is what a keeper does with a staged record: one that begins its slot hides nothing, and has its place already.
func (r *receiver) stageKept(at ref, in *received) error {
	if r.tx.liveInSlot(r.journal, in.clear.slot) != seqIfFirst(in.clear) {
		r.tx.bucket(bDeferred).Put(recordKey(at.journal, at.seq), nil)
	}
	return r.tx.enter(at, in.s)
}

// seqIfFirst is what liveInSlot says of a record, just kept, in a slot that nothing else has.
func seqIfFirst(c *clearPart) shoal.Seq {
	if uint64(c.slot) == uint64(c.seq) {
		return c.seq
	}
	return 0
}

func (r *receiver) fork(s *staging) error {
	return &ForkError{Journal: r.journal.id, Ours: bytes.Clone(r.journal.head), Theirs: bytes.Clone(s.raw)}
}

// Digests returns the digests of what counts of a journal, and the head that they belong to. Errors: ErrNotFound.
func (tx *Tx) Digests(id shoal.JournalID) ([]BucketDigest, []byte, error) {
	j, err := tx.readable(id)
	if err != nil {
		return nil, nil, err
	}
	list, err := tx.bucketList(j)
	return list, bytes.Clone(j.head), err
}

// Bucket returns the live records of one bucket, in seq order; none when it is empty. Errors: ErrNotFound: nothing counts of
// the journal.
func (tx *Tx) Bucket(id shoal.JournalID, n uint64) ([][]byte, error) {
	j, err := tx.readable(id)
	if err != nil || n > uint64(j.seq)/BucketSize {
		return nil, err
	}
	var records [][]byte
	err = tx.eachRecord(j, shoal.Seq(n*BucketSize), min(j.seq, shoal.Seq(n*BucketSize+BucketSize-1)), func(raw []byte) error {
		records = append(records, raw)
		return nil
	})
	return records, err
}

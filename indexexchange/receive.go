package indexexchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// maxPartial bounds the bytes of a bucket that comes in pieces: 1,024 records of 32 KiB, many times what is usual.
const maxPartial = 32 << 20

// headOf reads a head that came with records of k, and says where it leads to.
func headOf(k journalKey, raw []byte) (position, error) {
	h, err := index.DecodeHead(raw)
	if err != nil {
		return position{}, err
	}
	if h.Folder != k.folder || h.Journal != k.journal || h.Seq == 0 {
		return position{}, fmt.Errorf("head of journal %s at %d instead of %s: %w", h.Journal, h.Seq, k.journal, index.ErrMismatch)
	}
	return position{seq: h.Seq, head: h.Hash(), time: h.Time}, nil
}

// update runs fn in one transaction. Of a fork the index keeps the evidence.
func (s *Session) update(ctx context.Context, id shoal.FolderID, fn func(*index.Tx) error) error {
	f, kept := s.core.cfg.Folders.Folder(id)
	if !kept {
		return fmt.Errorf("folder %s: %w", id, index.ErrNotFound)
	}
	err := f.Update(ctx, fn)
	if fork, ok := errors.AsType[*index.ForkError](err); ok && s.core.cfg.Effects.Fork != nil {
		s.core.cfg.Effects.Fork(id, fork)
	}
	return err
}

// took ends taking something in. Whatever happened, the engine hears of it, or it would wait for ever; when it went well it hears
// before of the frontier, which may have moved.
func (s *Session) took(ctx context.Context, id shoal.FolderID, a index.Accepted, err error, ev event) error {
	if o := outcomeOf(err); o == troubled && ctx.Err() == nil {
		s.core.cfg.Log.Error("cannot take in what a device sent", "device", s.peer, "folder", id, "err", err)
	} else if o != fine {
		s.core.cfg.Log.Debug("did not take in what a device sent", "device", s.peer, "folder", id, "err", err)
	}
	var trouble error
	if _, bucket := ev.(bucketStaged); err == nil && !bucket {
		trouble = s.core.refresh(id)
	}
	acts := s.core.effects(s.core.step(ev))
	if err == nil {
		s.core.changed(id, a)
	}
	return errors.Join(trouble, s.carryOn(ctx, acts), context.Cause(ctx))
}

// carryOn finishes a stage, if that is what a step of the engine left to be done.
func (s *Session) carryOn(ctx context.Context, acts []action) error {
	if f, ok := find[finish](acts); ok {
		return s.finish(ctx, f.journal)
	}
	return nil
}

func (s *Session) receiveBatch(ctx context.Context, m batchMessage) error {
	k := journalKey{m.folder, m.batch.Journal}
	at, err := headOf(k, m.batch.Head)
	if err == nil && at.seq != m.batch.To {
		err = fmt.Errorf("batch to %d with a head at %d: %w", m.batch.To, at.seq, index.ErrMismatch)
	}
	if err != nil {
		// The empty position ends an ask that this was the answer to.
		s.core.apply(batchCame{peer: s.peer, journal: k})
		s.misbehaved(err)
		return nil
	}
	if s.core.rivalCame(k, s.peer, m.batch.Head) {
		s.core.apply(batchCame{peer: s.peer, journal: k})
		return nil
	}
	acts := s.core.effects(s.core.step(batchCame{peer: s.peer, journal: k, at: at}))
	yes, ok := find[accept](acts)
	if !ok {
		return nil
	}
	var a index.Accepted
	err = s.update(ctx, m.folder, func(tx *index.Tx) (err error) {
		a, err = tx.Accept(m.batch)
		return err
	})
	if err == nil && s.core.cfg.Small != nil {
		for _, b := range m.small {
			s.core.cfg.Small.KeepSmall(m.folder, b.id, b.epoch, b.sealed)
		}
	}
	return s.took(ctx, m.folder, a, err, accepted{peer: s.peer, journal: k, at: at, asked: yes.asked, outcome: outcomeOf(err), reason: err})
}

func find[A action](acts []action) (found A, ok bool) {
	for _, a := range acts {
		if found, ok = a.(A); ok {
			return found, true
		}
	}
	return found, false
}

func (s *Session) receiveDigests(ctx context.Context, m digestsMessage) error {
	at, err := headOf(m.journal, m.head)
	if err != nil {
		s.core.apply(digestsCame{peer: s.peer, journal: m.journal})
		s.misbehaved(err)
		return nil
	}
	if s.core.rivalCame(m.journal, s.peer, m.head) {
		s.core.apply(digestsCame{peer: s.peer, journal: m.journal})
		return nil
	}
	acts := s.core.effects(s.core.step(digestsCame{peer: s.peer, journal: m.journal, at: at}))
	if _, ok := find[stage](acts); !ok {
		return nil
	}
	ev := staged{peer: s.peer, journal: m.journal, at: at}
	err = s.update(ctx, m.journal.folder, func(tx *index.Tx) error {
		numbers, err := tx.Stage(m.journal.journal, m.head, m.list)
		if err != nil {
			return err
		}
		ev.missing, err = pick(m.list, numbers)
		return err
	})
	ev.outcome, ev.reason = outcomeOf(err), err
	return s.took(ctx, m.journal.folder, index.Accepted{}, err, ev)
}

// pick returns the digests with these numbers.
func pick(list []index.BucketDigest, numbers []uint64) ([]index.BucketDigest, error) {
	byNumber := make(map[uint64]index.BucketDigest, len(list))
	for _, d := range list {
		byNumber[d.N] = d
	}
	out := make([]index.BucketDigest, 0, len(numbers))
	for _, n := range numbers {
		d, ok := byNumber[n]
		if !ok {
			return nil, fmt.Errorf("bucket %d is missing but not in the list", n)
		}
		out = append(out, d)
	}
	return out, nil
}

func (s *Session) receiveBucket(ctx context.Context, m bucketMessage) error {
	whole, err := s.join(m)
	if err != nil {
		s.misbehaved(err)
		return err
	}
	if whole == nil {
		return nil
	}
	k := whole.journal
	acts := s.core.effects(s.core.step(bucketCame{peer: s.peer, journal: k, n: whole.n}))
	yes, ok := find[stageBucket](acts)
	if !ok {
		return nil
	}
	var a index.Accepted
	err = s.update(ctx, k.folder, func(tx *index.Tx) (err error) {
		a, err = tx.StageBucket(k.journal, whole.n, whole.records)
		return err
	})
	return s.took(ctx, k.folder, a, err, bucketStaged{peer: s.peer, journal: k, n: whole.n, generation: yes.generation,
		outcome: outcomeOf(err), reason: err})
}

// partial is a bucket of which more is to come.
type partial struct {
	bucketMessage
	bytes  int
	wanted bool // false: nobody asked for it; nothing of it is kept
}

// join puts the pieces of a bucket together. Pieces come one after the other, so there is never more than one bucket open.
func (s *Session) join(m bucketMessage) (whole *bucketMessage, err error) {
	p := s.partial
	if p == nil {
		p = &partial{bucketMessage: bucketMessage{journal: m.journal, n: m.n}, wanted: s.core.wants(s.peer, m.journal, m.n)}
	}
	if p.journal != m.journal || p.n != m.n {
		return nil, errWire("bucket %d while %d is not complete", m.n, p.n)
	}
	if p.wanted {
		p.records = append(p.records, m.records...)
	}
	for _, r := range m.records {
		p.bytes += len(r)
	}
	if p.bytes > maxPartial || len(p.records) > index.BucketSize {
		return nil, errWire("bucket of %d records, %d bytes", len(p.records), p.bytes)
	}
	s.partial = p
	if m.more {
		return nil, nil
	}
	s.partial = nil
	if !p.wanted {
		return nil, nil
	}
	return &p.bucketMessage, nil
}

// finish ends a bucket-wise transfer.
func (s *Session) finish(ctx context.Context, k journalKey) error {
	var a index.Accepted
	err := s.update(ctx, k.folder, func(tx *index.Tx) (err error) {
		a, err = tx.FinishStage(k.journal)
		return err
	})
	return s.took(ctx, k.folder, a, err, finished{peer: s.peer, journal: k, outcome: outcomeOf(err)})
}

func (s *Session) receiveStatuses(ctx context.Context, m statusesMessage) error {
	if _, kept := s.core.cfg.Folders.Folder(m.folder); !kept {
		return nil
	}
	var news []shoal.DeviceID
	var bad error
	back := make(map[shoal.DeviceID]bool) // vaults that take back what they said before
	former := false                       // a former life of this device said more than it has said since: go on above that
	err := s.update(ctx, m.folder, func(tx *index.Tx) error {
		for _, raw := range m.raw {
			dev, err := index.StatusDevice(raw)
			newer := false
			if err == nil {
				newer, err = tx.PutStatus(dev, raw)
			}
			switch o := outcomeOf(err); {
			case newer && dev == s.core.cfg.Device:
				former = true
			case newer:
				news = append(news, dev)
				before, err := tx.TakenBack(dev)
				if err != nil {
					return err
				}
				back[dev] = before != nil
			case o == lie:
				bad = err
			case o == troubled:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store statuses of folder %s: %w", m.folder, err)
	}
	if bad != nil {
		s.misbehaved(bad)
	}
	if former && !s.outlived { // once: a copy of this device that runs somewhere does the same
		s.outlived = true
		s.core.apply(localChanged{folder: m.folder})
	}
	for _, dev := range news {
		from := s.peer
		if back[dev] {
			from = s.core.cfg.Device // whoever passed it on may not know what was said before
		}
		s.core.apply(statusNews{folder: m.folder, dev: dev, from: from})
		if s.core.cfg.Effects.Status != nil {
			s.core.cfg.Effects.Status(m.folder, dev)
		}
	}
	return nil
}

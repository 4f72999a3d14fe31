package indexexchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/index"
)

// Next returns the messages that are to be sent next, encoded, in order; none when there is nothing to say now. What they
// hold is durable here. Errors: ErrReplaced, ctx's, and trouble of the own stores; the session is to be closed then.
func (s *Session) Next(ctx context.Context) ([][]byte, error) {
	for {
		s.core.mu.Lock()
		closed, j := s.closed, s.box.next()
		s.core.mu.Unlock()
		switch {
		case closed:
			return nil, ErrReplaced
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case j == nil:
			return nil, nil
		case !s.trusted() && !ofRoster(j):
			continue
		}
		messages, err := s.carryOut(ctx, j)
		if err != nil {
			return nil, err
		}
		if len(messages) == 0 {
			continue
		}
		if frames := s.encodeAll(messages); len(frames) > 0 {
			return frames, nil
		}
	}
}

// trusted tells whether the peer may have anything but the roster.
func (s *Session) trusted() bool {
	return s.core.cfg.Allow == nil || s.core.cfg.Allow(s.peer)
}

// ofRoster tells whether a job concerns the roster alone.
func ofRoster(j job) bool {
	switch j.(type) {
	case helloJob, answerJob:
		return true
	}
	return false
}

// encodeAll leaves out what no peer would take. Only a journal of some 80 million records has such a list of digests.
func (s *Session) encodeAll(messages []message) [][]byte {
	frames := make([][]byte, 0, len(messages))
	for _, m := range messages {
		raw := encode(m)
		if len(raw) > MaxMessage {
			s.core.cfg.Log.Error("message is too big to be sent", "device", s.peer, "bytes", len(raw))
			continue
		}
		frames = append(frames, raw)
	}
	return frames
}

func (s *Session) carryOut(ctx context.Context, j job) ([]message, error) {
	switch j := j.(type) {
	case helloJob:
		return s.hello(j.wanted), nil
	case answerJob:
		return s.statements(j), nil
	case pushJob:
		return s.push(ctx, j.journal)
	case forkJob:
		return s.fork(j.journal)
	case *frontierJob:
		return s.frontier(j)
	case serveJob:
		return s.serve(ctx, j)
	case *statusJob:
		return s.statuses(j)
	default:
		return []message{j}, nil
	}
}

func (s *Session) hello(wanted bool) []message {
	heads := s.core.cfg.Roster.Heads()
	if len(heads) > maxHeads {
		heads = heads[:maxHeads] // a hint is enough: who lacks one asks for all that it lacks
	}
	return []message{rosterMessage{heads: heads, wanted: wanted}}
}

func (s *Session) statements(j answerJob) []message {
	var out []message
	for piece := range pieces(s.core.cfg.Roster.Since(j.heads)) {
		out = append(out, statementsMessage{raw: piece})
	}
	return append(out, statementsMessage{last: true})
}

// pieces cuts a list of byte strings into lists of maxBatchBytes, or of one string if that is bigger.
func pieces(list [][]byte) func(yield func([][]byte) bool) {
	return func(yield func([][]byte) bool) {
		for len(list) > 0 {
			n, size := 1, len(list[0])
			for n < len(list) && size+len(list[n]) <= maxBatchBytes {
				size += len(list[n])
				n++
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// frontier looks up the positions that are to be told, as they are now.
func (s *Session) frontier(j *frontierJob) ([]message, error) {
	m := frontierMessage{folder: j.folder, scope: j.scope, positions: make(map[shoal.JournalID]position)}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	f := s.core.engine.folders[j.folder]
	switch {
	case j.scope == scopeLeft && f == nil:
		return []message{m}, nil
	case f == nil || j.scope == scopeLeft:
		return nil, nil // it has come or gone meanwhile: another job says so
	case j.scope == scopeAll:
		var out []message
		for chunk := range slices.Chunk(sortedJournals(f.local), maxPositions) {
			for _, journal := range chunk {
				m.positions[journal] = f.local[journal]
			}
			out = append(out, m)
			m = frontierMessage{folder: j.folder, scope: scopeChanged, positions: make(map[shoal.JournalID]position)}
		}
		if len(out) == 0 {
			out = append(out, m)
		}
		return out, nil
	}
	for _, journal := range j.journals {
		if at, here := f.local[journal]; here {
			m.positions[journal] = at
		}
	}
	return []message{m}, nil
}

// push sends what the peer lacks of the own journal. When that is too much for one batch the position is told instead.
func (s *Session) push(ctx context.Context, k journalKey) ([]message, error) {
	s.core.mu.Lock()
	var after shoal.Seq
	p := s.core.engine.peer(s.peer)
	talking := p != nil && p.folders[k.folder] != nil
	if talking {
		after = p.folders[k.folder].pos[k.journal].seq
	}
	s.core.mu.Unlock()
	if !talking {
		return nil, nil
	}
	m, err := s.batch(ctx, k, after)
	switch {
	case errors.Is(err, index.ErrTooFar):
		return s.frontier(&frontierJob{folder: k.folder, scope: scopeChanged, journals: []shoal.JournalID{k.journal}})
	case errors.Is(err, index.ErrNotFound), errors.Is(err, index.ErrNoKey):
		return nil, nil // the journal or the key has gone; the peer asks when it can be had
	case err != nil:
		return nil, err
	}
	return []message{m}, nil
}

// fork reads the heads that prove a journal's two histories. They travel as batches without records.
func (s *Session) fork(k journalKey) ([]message, error) {
	f, kept := s.core.cfg.Folders.Folder(k.folder)
	if !kept {
		return nil, nil
	}
	var forks []index.ForkError
	err := f.View(func(tx *index.Tx) (err error) {
		forks, err = tx.Forks()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read forks of folder %s: %w", k.folder, err)
	}
	var out []message
	for _, fork := range forks {
		for _, head := range [][]byte{fork.Ours, fork.Theirs} {
			at, err := headOf(k, head)
			if fork.Journal == k.journal && err == nil {
				out = append(out, batchMessage{folder: k.folder, batch: index.Batch{Journal: k.journal, From: at.seq, To: at.seq, Head: head}})
			}
		}
	}
	return out, nil
}

// batch reads the records of a journal after a seq, and the small blocks that go with them.
func (s *Session) batch(ctx context.Context, k journalKey, after shoal.Seq) (batchMessage, error) {
	m := batchMessage{folder: k.folder}
	var small []smallRef
	var at position
	err := s.view(ctx, k, func(tx *index.Tx) (err error) {
		if m.batch, err = tx.ReadAfter(k.journal, after, s.core.batchBytes); err != nil {
			return err
		}
		at = positionOf(tx.Frontier()[k.journal])
		small, err = smallRefs(tx, m.batch)
		return err
	})
	if err != nil {
		return m, err
	}
	if s.core.cfg.Small != nil {
		m.small = s.readSmall(ctx, k.folder, small)
	}
	s.core.step(sentTo{peer: s.peer, journal: k, at: at})
	return m, nil
}

// view reads from a folder what is about to leave the device. The first time that is something of the own journal, the
// database notes that it is shared before anything leaves.
func (s *Session) view(ctx context.Context, k journalKey, fn func(*index.Tx) error) error {
	f, kept := s.core.cfg.Folders.Folder(k.folder)
	if !kept {
		return fmt.Errorf("folder %s: %w", k.folder, index.ErrNotFound)
	}
	secret := false
	err := f.View(func(tx *index.Tx) error {
		own, _ := tx.Own()
		secret = own == k.journal && !tx.JournalShared()
		return fn(tx)
	})
	if err != nil || !secret {
		return err
	}
	crashpoint.Here("journal: to be marked as shared")
	err = f.Update(ctx, func(tx *index.Tx) error { return tx.MarkShared() })
	crashpoint.Here("journal: marked as shared")
	return err
}

// serve answers an ask.
func (s *Session) serve(ctx context.Context, j serveJob) ([]message, error) {
	out, err := s.lookUp(ctx, j)
	if err == nil {
		return out, nil
	}
	if !errors.Is(err, index.ErrNotFound) && !errors.Is(err, index.ErrNoKey) && ctx.Err() == nil {
		s.core.cfg.Log.Error("cannot read what a device asks for", "device", s.peer, "folder", j.journal.folder, "err", err)
	}
	return []message{nothingMessage{journal: j.journal}}, nil
}

func (s *Session) lookUp(ctx context.Context, j serveJob) ([]message, error) {
	if j.bucket != nil {
		return s.bucket(ctx, j)
	}
	m, err := s.batch(ctx, j.journal, j.after)
	if errors.Is(err, index.ErrTooFar) {
		return s.digests(ctx, j.journal)
	}
	if err != nil {
		return nil, err
	}
	return []message{m}, nil
}

func (s *Session) digests(ctx context.Context, k journalKey) ([]message, error) {
	m := digestsMessage{journal: k}
	err := s.view(ctx, k, func(tx *index.Tx) (err error) {
		m.list, m.head, err = tx.Digests(k.journal)
		return err
	})
	return []message{m}, err
}

// bucket reads a bucket that has the digest which was asked for. When it has not, the journal has gone on: the answer is the
// newer head and list.
func (s *Session) bucket(ctx context.Context, j serveJob) ([]message, error) {
	k, m := j.journal, digestsMessage{journal: j.journal}
	var records [][]byte
	err := s.view(ctx, k, func(tx *index.Tx) (err error) {
		if m.list, m.head, err = tx.Digests(k.journal); err != nil || !slices.Contains(m.list, *j.bucket) {
			return err
		}
		records, err = tx.Bucket(k.journal, j.bucket.N)
		return err
	})
	if err != nil || records == nil {
		return []message{m}, err
	}
	var out []message
	for piece := range pieces(records) {
		out = append(out, bucketMessage{journal: k, n: j.bucket.N, records: piece, more: true})
	}
	last := out[len(out)-1].(bucketMessage)
	last.more = false
	out[len(out)-1] = last
	return out, nil
}

func (s *Session) statuses(j *statusJob) ([]message, error) {
	f, kept := s.core.cfg.Folders.Folder(j.folder)
	if !kept {
		return nil, nil
	}
	var raw [][]byte
	err := f.View(func(tx *index.Tx) error {
		all, err := tx.Statuses()
		for dev, st := range all {
			// Its own statement tells the peer something only if it is of a former life: once, at the greeting.
			if dev == s.peer && j.devs != nil || len(st) > maxStatusBytes || j.devs != nil && !slices.Contains(j.devs, dev) {
				continue
			}
			raw = append(raw, st)
			before, backErr := tx.TakenBack(dev)
			if err = errors.Join(err, backErr); before != nil && len(before) <= maxStatusBytes {
				raw = append(raw, before)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read statuses of folder %s: %w", j.folder, err)
	}
	slices.SortFunc(raw, bytes.Compare)
	var out []message
	for piece := range pieces(raw) {
		for chunk := range slices.Chunk(piece, maxStatuses) {
			out = append(out, statusesMessage{folder: j.folder, raw: chunk})
		}
	}
	return out, nil
}

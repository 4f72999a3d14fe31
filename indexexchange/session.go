package indexexchange

import (
	"context"
	"errors"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// Session is one conversation with one peer. Receive and Next may run at the same time, each once.
type Session struct {
	core   *Core          // set once
	peer   shoal.DeviceID // set once
	wakeup chan struct{}  // depth 1: sent on when the outbox may have something; never closed

	// used by Receive alone
	partial  *partial // nil: no bucket is open
	outlived bool     // the peer had a statement of a former life of this device

	roster []mesh.Hash // guarded by core.mu; heads of the peer's roster, as it told last
	box    outbox      // guarded by core.mu
	closed bool        // guarded by core.mu
}

// Peer returns whom the session is with.
func (s *Session) Peer() shoal.DeviceID { return s.peer }

// Wakeup is sent on whenever Next may have something. It is never closed.
func (s *Session) Wakeup() <-chan struct{} { return s.wakeup }

// Close ends the session. What the peer owed is asked of others. It may be called twice.
func (s *Session) Close() {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	s.closeLocked()
}

func (s *Session) closeLocked() {
	if s.closed {
		return
	}
	s.closed = true
	s.poke()
	delete(s.core.sessions, s.peer)
	s.core.stepLocked(peerDown{peer: s.peer})
}

func (s *Session) isClosed() bool {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.closed
}

func (s *Session) poke() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
}

// Receive takes in one message, raw as it came. What it leads to is in the outboxes, and told to Effects, when it returns.
//
// Errors: ErrProtocol (the session is to be closed, and began anew after a pause), ErrReplaced, ctx's, and trouble of the own
// stores. What a peer sends that is well formed but false is no error: it is handled.
func (s *Session) Receive(ctx context.Context, raw []byte) error {
	m, err := decode(raw)
	if err != nil {
		s.misbehaved(err)
		return err
	}
	if s.isClosed() {
		return ErrReplaced
	}
	switch m := m.(type) {
	case rosterMessage:
		s.receiveRoster(m)
		return nil
	case statementsMessage:
		return s.receiveStatements(ctx, m)
	}
	if !s.trusted() {
		return nil
	}
	switch m := m.(type) {
	case frontierMessage:
		s.core.apply(frontierCame{peer: s.peer, m: m})
		return nil
	case askMessage:
		return s.owe(serveJob{journal: m.journal, after: m.after})
	case askBucketsMessage:
		jobs := make([]serveJob, len(m.list))
		for i := range m.list {
			jobs[i] = serveJob{journal: m.journal, bucket: &m.list[i]}
		}
		return s.owe(jobs...)
	case batchMessage:
		return s.receiveBatch(ctx, m)
	case digestsMessage:
		return s.receiveDigests(ctx, m)
	case bucketMessage:
		return s.receiveBucket(ctx, m)
	case nothingMessage:
		s.core.apply(nothingCame{peer: s.peer, journal: m.journal})
		return nil
	case statusesMessage:
		return s.receiveStatuses(ctx, m)
	}
	panic("indexexchange: decode returned an unknown message")
}

func (s *Session) misbehaved(why error) { s.core.apply(misbehaved{peer: s.peer, reason: why}) }

func (s *Session) owe(jobs ...serveJob) error {
	s.core.mu.Lock()
	ok := s.box.serve(jobs...)
	s.poke()
	s.core.mu.Unlock()
	if !ok {
		err := errWire("more than %d open asks", maxServes)
		s.misbehaved(err)
		return err
	}
	return nil
}

// receiveRoster compares rosters: who lacks something asks for it.
func (s *Session) receiveRoster(m rosterMessage) {
	lacking := false
	for _, h := range m.heads {
		if !s.core.cfg.Roster.Has(h) {
			lacking = true
		}
	}
	s.core.mu.Lock()
	s.roster = m.heads
	if m.wanted {
		s.box.answers, s.box.answering = m.heads, true
	} else if lacking {
		s.box.want = true
	}
	s.poke()
	s.core.mu.Unlock()
	if !lacking && !m.wanted {
		s.core.apply(peerReady{peer: s.peer})
	}
}

func (s *Session) receiveStatements(ctx context.Context, m statementsMessage) error {
	if len(m.raw) > 0 {
		if err := s.core.cfg.Roster.Add(ctx, m.raw); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.core.cfg.Log.Warn("statements of the roster were refused", "device", s.peer, "err", err)
			s.misbehaved(err)
		}
	}
	if m.last {
		// Even if something is still lacking: one statement that this device cannot take must not stop all folders.
		s.core.apply(peerReady{peer: s.peer})
	}
	return nil
}

// outcomeOf sorts errors of taking something in by what follows from them.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return fine
	case errors.Is(err, index.ErrForged), errors.Is(err, index.ErrMalformed), errors.Is(err, index.ErrMismatch):
		return lie
	case errors.Is(err, index.ErrGap), errors.Is(err, index.ErrNotFound), errors.Is(err, index.ErrIncomplete), errors.Is(err, index.ErrOwnJournal):
		return unfit
	case errors.Is(err, index.ErrVoid), errors.Is(err, index.ErrNoKey):
		return void
	case isFork(err):
		return forked
	}
	return troubled
}

func isFork(err error) bool {
	_, fork := errors.AsType[*index.ForkError](err)
	return fork
}

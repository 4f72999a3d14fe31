package folder

import (
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// State says in one word what a folder is doing.
type State string

// The states, as the command line shows them.
const (
	StateScanning State = "scanning"
	StateSyncing  State = "syncing"
	StateIdle     State = "idle"
	StatePaused   State = "paused"
	StateError    State = "error"
)

// Snapshot is what can be said of a running folder without asking it. It is immutable.
type Snapshot struct {
	State    State
	Err      error // set in StateError
	Problems []Problem
	Held     int  // deletions that wait for an answer
	Joining  bool // the first complete frontier is not here yet
	Excused  map[shoal.Path]string
	FullScan time.Time // when the whole folder was last looked at
}

func (s *Service) show(st State) {
	old := s.snapshot.Load()
	if old.State == st {
		return
	}
	n := *old
	n.State, n.Err = st, nil
	s.snapshot.Store(&n)
	if s.Changed != nil {
		s.Changed()
	}
}

// publish makes a new snapshot of what is so after a step.
func (s *Service) publish() {
	e := s.Engine
	n := &Snapshot{State: StateIdle, Problems: e.Problems(), Held: e.HeldDeletions(), Joining: e.Joining(), FullScan: s.lastFull}
	n.Excused = make(map[shoal.Path]string, len(e.Excused()))
	for p, why := range e.Excused() {
		n.Excused[p] = why
	}
	switch {
	case s.paused.Load():
		n.State = StatePaused
	case s.err != nil:
		n.State, n.Err = StateError, s.err
	case s.owes(n.Excused):
		n.State = StateSyncing
	}
	s.snapshot.Store(n)
	if s.Changed != nil {
		s.Changed()
	}
}

// owes tells whether anything is owed to this disk, or by it to the index.
func (s *Service) owes(excused map[shoal.Path]string) bool {
	if s.Engine.Joining() || s.waiting || s.fullScan || len(s.running) > 0 || s.Engine.unsettled() {
		return true
	}
	owes := true // until the index says otherwise
	if err := s.Engine.Index.View(func(tx *index.Tx) (err error) {
		owes, err = Owes(tx, excused)
		return err
	}); err != nil {
		return true
	}
	return owes
}

package folder

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/watch"
	"github.com/shoalmesh/shoal/index"
)

// watcher tells which folders may have changed; *watch.Watcher is one.
type watcher interface {
	// Changed is signalled when Take has something.
	Changed() <-chan struct{}
	// Take returns what may have changed since the last call.
	Take() watch.Dirty
	// Blind returns how many folders nothing is told of, and why.
	Blind() (folders int, why error)
}

// fetcher gets blocks from other devices. It returns when every want was delivered or ctx ended; deliver is called one at a time.
type fetcher func(ctx context.Context, wants []Want, deliver func(Want, []byte) error) error

// ServiceConfig is what a Service works with.
type ServiceConfig struct {
	Engine  *Engine
	Watcher watcher // nil: nothing is watched, only rescans see changes
	Fetch   fetcher
	Log     *slog.Logger
	// Changed is called after each step that changed what Snapshot says.
	Changed func()
	// Duty is told how each run of a background duty ended; nil for nobody. What was stopped, or waits for the journal, has not ended.
	Duty func(d Duty, err error)
	// FullEvery is how often the whole folder is looked at; default 1 h.
	FullEvery time.Duration
}

// Service runs one Engine: the watcher tells what to look at, timers bring it back to what was postponed, workers assemble contents. Run is its
// lifetime; the other methods may be called from any goroutine at any time.
type Service struct {
	ServiceConfig

	wake     chan struct{}  // by Wake, depth 1: one signal stands for any number
	ended    chan struct{}  // closed when Run has returned
	commands chan command   // by Do; taken by Run
	results  chan jobResult // by batches; taken by Run, closed by nobody
	snapshot atomic.Pointer[Snapshot]
	paused   atomic.Bool

	// Of those who work beside the engine.
	life     context.Context // ends when Run is about to return
	endLife  context.CancelFunc
	besideMu sync.Mutex // held while it is decided whether one more may begin
	beside   sync.WaitGroup

	// Owned by Run.
	batches  sync.WaitGroup
	running  map[*batch]bool
	queue    []*Job                   // jobs that wait for room, about planWindow at most: while there are some nothing more is planned
	resting  map[shoal.Path]time.Time // jobs that were ended for others are not begun before
	crowded  bool                     // something found no room in the last pass
	fullScan bool
	lastFull time.Time
	began    time.Time     // when the service was made; with the monotonic clock
	fullTook time.Duration // of the last look at everything
	blind    bool          // the watcher does not tell of everything
	waiting  bool          // changes wait for the journal to be settled
	err      error
}

type command struct {
	do   func(ctx context.Context, e *Engine) error
	done chan error // depth 1, so that Run never waits
}

// Duty is something that a folder does again and again by itself.
type Duty string

// The duties of a folder.
const (
	DutyRescan Duty = "full rescan"       // the whole folder is looked at
	DutyPrune  Duty = "history pruning"   // what is too old or too much is let go of
	DutyLate   Duty = "late-writer watch" // files taken away lately are looked at for late writes
)

// NewService makes a service. It starts nothing.
func NewService(c ServiceConfig) *Service {
	if c.FullEvery == 0 {
		c.FullEvery = time.Hour
	}
	s := &Service{
		ServiceConfig: c, wake: make(chan struct{}, 1), ended: make(chan struct{}), commands: make(chan command), results: make(chan jobResult, 64),
		running: map[*batch]bool{}, resting: map[shoal.Path]time.Time{}, fullScan: true, began: time.Now(),
	}
	s.life, s.endLife = context.WithCancel(context.Background())
	s.snapshot.Store(&Snapshot{State: StateScanning})
	return s
}

// Wake says that the index changed.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Snapshot returns what the folder said of itself last.
func (s *Service) Snapshot() *Snapshot { return s.snapshot.Load() }

// SetPaused stops or resumes looking and applying.
func (s *Service) SetPaused(paused bool) {
	s.paused.Store(paused)
	s.Wake()
}

// ErrStopped: the folder does not run (any more).
var ErrStopped = errors.New("the folder is not running")

// Do runs fn between two steps of the engine and returns its error; ErrStopped when Run has returned.
func (s *Service) Do(ctx context.Context, fn func(ctx context.Context, e *Engine) error) error {
	c := command{do: fn, done: make(chan error, 1)}
	select {
	case s.commands <- c:
	case <-s.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-s.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Beside runs fn in the caller's goroutine while the engine goes on, and returns its error. It ends fn's ctx and waits for fn before Run returns, so that fn may use the
// disk; ErrStopped when Run has returned.
func (s *Service) Beside(ctx context.Context, fn func(ctx context.Context) error) error {
	s.besideMu.Lock()
	if s.life.Err() != nil {
		s.besideMu.Unlock()
		return ErrStopped
	}
	s.beside.Add(1)
	s.besideMu.Unlock()
	defer s.beside.Done()
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := fn(both)
	if s.life.Err() != nil && errors.Is(err, context.Canceled) {
		return ErrStopped
	}
	return err
}

// endBeside ends what works beside the engine, and waits for it.
func (s *Service) endBeside() {
	s.besideMu.Lock()
	s.endLife()
	s.besideMu.Unlock()
	s.beside.Wait()
}

// Rescan looks at the whole folder now and returns when everything found is recorded.
func (s *Service) Rescan(ctx context.Context) error {
	return s.Do(ctx, func(ctx context.Context, e *Engine) error {
		s.fullScan = true
		return s.look(ctx)
	})
}

// Run works until ctx ends, or the root is gone (ErrRootGone). Other errors of the folder do not end it: they are shown, and it is tried again.
func (s *Service) Run(ctx context.Context) error {
	defer close(s.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer s.batches.Wait()
	defer cancel()
	defer s.endBeside()
	if err := s.Engine.Recover(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.step(ctx)
		s.publish()
		var damaged *index.DamagedError
		if errors.Is(s.err, ErrRootGone) || errors.As(s.err, &damaged) {
			return s.err
		}
		timer.Reset(s.pause())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.changed():
		case <-s.wake:
			s.Engine.DropUnwanted()
		case r := <-s.results:
			s.take(ctx, r)
		case c := <-s.commands:
			c.done <- c.do(ctx, s.Engine)
		case <-timer.C:
		}
	}
}

func (s *Service) changed() <-chan struct{} {
	if s.Watcher == nil {
		return nil
	}
	return s.Watcher.Changed()
}

// step does everything that can be done now.
func (s *Service) step(ctx context.Context) {
	if s.paused.Load() || ctx.Err() != nil {
		return
	}
	s.err = nil
	for _, do := range []func(context.Context) error{s.look, s.Engine.Follow, s.bringUpToDate, s.late} {
		err := do(ctx)
		switch {
		case err == nil:
		case errors.Is(err, ErrWaitJournal):
			s.waiting = true
		case errors.Is(err, ErrDiskFull):
		case ctx.Err() != nil:
			return
		default:
			s.Log.Error("folder step failed", "err", err)
			s.err = err
			return
		}
	}
}

// tell says how a duty ended, if it did.
func (s *Service) tell(ctx context.Context, d Duty, err error) {
	if s.Duty != nil && ctx.Err() == nil && !errors.Is(err, ErrWaitJournal) {
		s.Duty(d, err)
	}
}

func (s *Service) late(ctx context.Context) error {
	if !s.Engine.LateDue() {
		return nil
	}
	err := s.Engine.CheckLate(ctx)
	s.tell(ctx, DutyLate, err)
	return err
}

// retryAfter is how soon is tried again what did not work, or could not be looked at.
const retryAfter = 250 * time.Millisecond

// pause is how long there is nothing to do if nothing happens.
func (s *Service) pause() time.Duration {
	switch {
	case s.paused.Load():
		return s.FullEvery // resuming wakes
	case s.err != nil || s.waiting:
		return retryAfter
	}
	wait := time.Until(s.lastFull.Add(s.fullEvery()))
	if due := s.Engine.NextDue(); !due.IsZero() {
		wait = min(wait, time.Until(due))
	}
	if len(s.Engine.dirty) > 0 {
		wait = min(wait, retryAfter)
	}
	if now := time.Now(); s.crowded || len(s.resting) > 0 {
		wait = min(wait, max(s.roomDue(now), 100*time.Millisecond))
	}
	return max(wait, time.Millisecond)
}

// bringUpToDate plans and applies until nothing more can be done without new content.
func (s *Service) bringUpToDate(ctx context.Context) error {
	defer s.endUnwanted()
	for {
		progress, err := s.pass(ctx)
		switch {
		case err != nil:
			return err
		case progress:
		case (len(s.running) > 0 || s.Engine.Untidy()) && s.nothingNeeded():
			s.Engine.DropUnwanted()
			if s.endUnwanted(); len(s.running) > 0 || !s.Engine.Untidy() {
				return nil
			}
			return s.Engine.Tidy()
		default:
			return nil
		}
	}
}

func (s *Service) nothingNeeded() (yes bool) {
	err := s.Engine.Index.View(func(tx *index.Tx) error {
		paths, err := tx.Needs("", 1)
		yes = len(paths) == 0
		return err
	})
	return err == nil && yes
}

// pass goes once through all needs.
func (s *Service) pass(ctx context.Context) (progress bool, err error) {
	after := shoal.Path("")
	s.crowded = false
	for {
		w, err := s.Engine.Plan(ctx, after)
		if err != nil {
			return progress, err
		}
		if w.Ready() {
			s.show(StateSyncing)
			n, err := s.Engine.Apply(ctx, w)
			if err != nil {
				return progress, err
			}
			progress = progress || n > 0
		}
		if s.start(ctx, w.Jobs) {
			progress = true
		}
		if w.More == "" || len(s.queue) > 0 || s.busy(time.Now()) >= maxBatches {
			s.crowded = s.crowded || w.More != ""
			return progress, nil
		}
		after = w.More
	}
}

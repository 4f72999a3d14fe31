package folder

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
)

// A burst of events is over when none came for quietAfter, and is looked at after burstLimit in any case.
const (
	quietAfter = 4 * time.Millisecond
	burstLimit = 60 * time.Millisecond
)

// settle waits for a burst of events to end: most programs write a file in several steps. What is known to be closed after writing needs no waiting.
func (s *Service) settle(ctx context.Context) {
	limit := time.NewTimer(burstLimit)
	defer limit.Stop()
	for {
		if s.takeEvents() {
			return
		}
		quiet := time.NewTimer(quietAfter)
		select {
		case <-s.Watcher.Changed():
			quiet.Stop()
		case <-quiet.C:
			return
		case <-limit.C:
			quiet.Stop()
			return
		case <-ctx.Done():
			quiet.Stop()
			return
		}
	}
}

// takeEvents notes what the watcher saw and tells whether nothing of it is still being written.
func (s *Service) takeEvents() (settled bool) {
	if s.Watcher == nil {
		return true
	}
	d := s.Watcher.Take()
	s.fullScan = s.fullScan || d.All
	settled = !d.All
	for _, f := range d.Folders {
		settled = settled && f.Settled
		s.Engine.markChanged(shoal.Path(f.Path), f.Deep)
	}
	return settled
}

// look scans what may have changed.
func (s *Service) look(ctx context.Context) error {
	s.settle(ctx)
	e := s.Engine
	s.checkBlind()
	if time.Since(s.lastFull) > s.fullEvery() {
		s.fullScan = true
	}
	s.waiting = false
	if s.fullScan {
		s.show(StateScanning)
		begun := time.Now()
		err := e.ScanAll(ctx)
		s.tell(ctx, DutyRescan, err)
		if err != nil {
			return fmt.Errorf("look at the folder: %w", err)
		}
		s.fullScan, s.lastFull, s.fullTook = false, time.Now(), time.Since(begun)
		s.prune(ctx)
		return nil
	}
	if e.Dirty() {
		s.show(StateSyncing) // a change may take long to read
		return e.Scan(ctx)
	}
	return nil
}

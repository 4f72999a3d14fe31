package folder

import (
	"context"
	"slices"
	"time"

	"github.com/shoalmesh/shoal/folder/disk"
)

// Old versions are let go of only by a device that has run for pruneAfter with a steady clock: one that wakes up in the wrong year would take all of them
// for old.
const (
	pruneAfter  = 50 * time.Minute
	clockSteady = time.Minute
)

// prune lets go of old versions, after a full scan.
func (s *Service) prune(ctx context.Context) {
	now := time.Now()
	ran, byTheWall := now.Sub(s.began), now.Round(0).Sub(s.began.Round(0))
	if ran < pruneAfter || (byTheWall-ran).Abs() > clockSteady {
		return
	}
	err := s.Engine.PruneHistory(ctx)
	s.tell(ctx, DutyPrune, err)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("old versions can't be let go of", "err", err)
	}
}

// PruneHistory lets go of what is older than historyAge, then of the oldest beyond its share of the disk. What may still be written to is kept.
func (e *Engine) PruneHistory(ctx context.Context) error {
	days, err := e.FS.List(historyDir)
	if err != nil {
		return err
	}
	_, total, err := e.FS.Space()
	if err != nil {
		return err
	}
	watched := map[string]bool{}
	for _, l := range e.late {
		watched[l.at] = true
	}
	left := total / 100 * historyShare
	oldest := e.Now().Add(-historyAge).UTC().Format("2006-01-02")
	for _, day := range slices.Backward(days) {
		dir := historyDir + "/" + day.Name
		files, err := e.FS.List(dir)
		if err != nil {
			return err
		}
		kept := 0
		for _, f := range slices.Backward(files) {
			if err := ctx.Err(); err != nil {
				return err
			}
			left -= f.Size
			at := dir + "/" + f.Name
			if watched[at] || day.Name >= oldest && left >= 0 {
				kept++
				continue
			}
			if err := e.FS.Remove(at); err != nil && !isNotExist(err) {
				return err
			}
		}
		if kept == 0 && day.Name < oldest {
			if err := e.removeDay(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeDay removes an empty folder of history; one that something came into meanwhile stays.
func (e *Engine) removeDay(dir string) error {
	var list []disk.Stat
	list, err := e.FS.List(dir)
	if err != nil || len(list) > 0 {
		return err
	}
	return e.FS.Rmdir(dir)
}

package folder

import (
	"fmt"
	"time"
)

// Where the system does not tell of changes, everything is looked at so often instead, but for no more than a small part of the time.
const (
	blindEvery = time.Minute
	blindShare = 20
)

// checkBlind says whether there are folders of which the watcher is told nothing: the system's watches ran out, or the file system has none.
func (s *Service) checkBlind() {
	if s.Watcher == nil {
		return
	}
	n, why := s.Watcher.Blind()
	s.blind = n > 0
	if !s.blind {
		s.Engine.settled("", "unwatched")
		return
	}
	s.Engine.report("", "unwatched", fmt.Sprintf("changes here are noticed late: the system does not tell of them (%v). The whole folder is looked at every minute or so instead.", why))
}

// fullEvery is how often everything is looked at.
func (s *Service) fullEvery() time.Duration {
	if !s.blind {
		return s.FullEvery
	}
	return min(s.FullEvery, max(blindEvery, blindShare*s.fullTook))
}

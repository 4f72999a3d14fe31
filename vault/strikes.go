package vault

import (
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// What follows when a copy of a block that a device gave does not open.
const (
	firstStrike = time.Minute    // it is not asked for the block so long; doubles
	lastStrike  = 24 * time.Hour // but never longer
	maxStruck   = 10_000         // blocks of which strikes are remembered; of others they are forgotten
)

// blockKey is a block of a folder under an epoch.
type blockKey struct {
	folder shoal.FolderID
	ref    block.EpochRef
}

// strikes remembers who gave copies of which blocks that do not open, so that others are asked, and whoever it was again only after
// a pause. So neither who gives garbage nor who doubts what is good has a block fetched without end. They are in memory only: after a
// restart each is asked once more. Safe for concurrent use.
type strikes struct {
	mu sync.Mutex
	of map[blockKey]map[shoal.DeviceID]strike // guarded by mu
}

// strike is what one device has against it, for one block.
type strike struct {
	times int
	until time.Duration // running time
}

// add counts a copy that does not open.
func (s *strikes) add(k blockKey, dev shoal.DeviceID, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[blockKey]map[shoal.DeviceID]strike{}
	}
	if s.of[k] == nil {
		if len(s.of) >= maxStruck {
			s.forgetOne(now)
		}
		s.of[k] = map[shoal.DeviceID]strike{}
	}
	x := s.of[k][dev]
	x.until = now + min(firstStrike<<min(x.times, 20), lastStrike)
	x.times++
	s.of[k][dev] = x
}

// forgetOne makes room: for a block whose strikes have all passed, if one is found soon.
func (s *strikes) forgetOne(now time.Duration) {
	tried := 0
	for k, of := range s.of {
		tried++
		passed := true
		for _, x := range of {
			passed = passed && x.until <= now
		}
		if passed || tried == 16 {
			delete(s.of, k)
			return
		}
	}
}

// against returns who is not to be asked for a block now.
func (s *strikes) against(k blockKey, now time.Duration) (out []shoal.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for dev, x := range s.of[k] {
		if x.until > now {
			out = append(out, dev)
		}
	}
	return out
}

// has tells whether a device is not to be asked for a block now.
func (s *strikes) has(k blockKey, dev shoal.DeviceID, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[k][dev].until > now
}

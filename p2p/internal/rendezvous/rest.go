package rendezvous

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// acquire returns the second host, starting it if it rests. Call release when it succeeded.
func (s *Service) acquire() (*second, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	h, ended := s.host, s.ended
	if h != nil {
		s.users++
	}
	s.mu.Unlock()
	if h != nil || ended {
		return h, errIf(ended)
	}
	h, err := openSecond(hostOptions{
		listen: s.cfg.Listen, key: s.cfg.Key, portMap: s.cfg.PortMap, serve: s.serves(), public: s.cfg.Public,
		clock: s.cfg.Clock, entries: s.known,
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.host, s.users = h, s.users+1
	s.mu.Unlock()
	return h, nil
}

func errIf(ended bool) error {
	if ended {
		return ErrAlone
	}
	return nil
}

func (s *Service) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.used = time.Now()
}

// end closes the second host for good. What uses it still fails.
func (s *Service) end() {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	h := s.host
	s.host, s.ended = nil, true
	s.mu.Unlock()
	if h != nil {
		s.rest(h)
	}
}

// rest closes h, and remembers through whom it could be entered.
func (s *Service) rest(h *second) {
	if infos, err := peer.AddrInfosFromP2pAddrs(h.neighbours(maxKept)...); err == nil && len(infos) > 0 {
		s.keep("neighbours", infos)
	}
	if err := h.Close(); err != nil {
		s.cfg.Log.Debug("close host for the hash table", "err", err)
	}
}

package rendezvous

import (
	"bytes"
	"context"
	"strings"
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
	o := hostOptions{
		listen: s.cfg.Listen, key: s.cfg.Key, portMap: s.cfg.PortMap, serve: s.serves(), public: s.cfg.Public,
		clock: s.cfg.Clock, entries: s.known, asked: s.cfg.Asked,
	}
	h, err := openSecond(o)
	if err != nil && s.serves() {
		s.cfg.Log.Info("the ports of the hash table are taken: others are", "err", err)
		o.listen = anyPorts(s.cfg.Listen)
		h, err = openSecond(o)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.host, s.users = h, s.users+1
	s.mu.Unlock()
	return h, nil
}

// anyPorts is listen with ports that the system chooses.
func anyPorts(listen []string) []string {
	var out []string
	for _, text := range listen {
		parts := strings.Split(text, "/")
		for i := 1; i < len(parts); i++ {
			if parts[i-1] == "tcp" || parts[i-1] == "udp" {
				parts[i] = "0"
			}
		}
		out = append(out, strings.Join(parts, "/"))
	}
	return out
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

// partWait bounds leaving a last record: whoever stops a device waits for it.
const partWait = 3 * time.Second

// part leaves a record once more if this run has not told what there is to tell: a device that changes something and goes
// must not keep it to itself because records are left rarely. If leaving them fails, or nobody was entered, it goes at once.
func (s *Service) part(ctx context.Context) {
	if len(s.cfg.Secrets()) == 0 || len(s.known()) == 0 {
		return
	}
	_, note := s.cfg.Told()
	s.mu.Lock()
	tell := s.plan.Works() && !bytes.Equal(note, s.left)
	s.mu.Unlock()
	if !tell {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWait)
	defer cancel()
	h, err := s.acquire()
	if err != nil {
		return
	}
	defer s.release()
	if err := s.announce(ctx, h); err != nil {
		s.cfg.Log.Debug("leave a last rendezvous record", "err", err)
	}
}

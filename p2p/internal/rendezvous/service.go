package rendezvous

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// maxLooks bounds the devices that are looked for at once.
	maxLooks = 8
	// restAfter is how long the second host of a device that does not serve stays up with nothing to do.
	restAfter = time.Minute
	// maxSecrets bounds the secrets under which others are looked for: that of the newest epoch, and of those before.
	maxSecrets = 3
	// maxKept bounds the ways in that are kept of each source.
	maxKept = 64
)

// Config is what a Service is built from.
type Config struct {
	Identity *mesh.Identity
	Listen   []string       // of a serving host; empty: it does not serve
	Key      crypto.PrivKey // of a serving host; nil: thrown away with it
	PortMap  bool
	// Public makes a host serve only once others have confirmed that it can be reached.
	Public    bool
	Bootstrap []ma.Multiaddr // with /p2p/
	Clock     func() time.Time
	After     func(time.Duration) <-chan time.Time // a timer by Clock; nil: time.After
	Rand      io.Reader
	Log       *slog.Logger

	// Told returns what to tell now: addresses, best first, and a note. No secrets: nothing is left and nobody looked for.
	Told func() (addrs []ma.Multiaddr, note []byte)
	// Secrets returns the rendezvous keys of this device, newest first; the first is the one to announce under.
	Secrets func() []Secret
	// Missing returns the devices to look for now.
	Missing func() map[shoal.DeviceID]bool
	// Found is called with each sighting that is newer than the last of its device; calls do not overlap per device.
	Found func(*Sighting)
	// Asked is called for each request that the second host gets, before it is looked at; nil: nobody counts them.
	Asked func()
	// Entered is called when the addresses of a serving host are known.
	Entered func(addrs []ma.Multiaddr)
}

// Service leaves this device's record and looks for missing devices. Make it with New, then Run it. Safe for concurrent use.
type Service struct {
	cfg  Config
	bell chan struct{} // depth 1; full means the loop is awake already

	mu      sync.Mutex // guards all below
	plan    Plan
	entries map[string][]peer.AddrInfo // by source
	seen    map[shoal.DeviceID]int64   // time of the newest sighting of each device
	told    [32]byte                   // hash of what was to be told when the loop last looked
	left    []byte                     // the note of the last record that was left; nil: none was in this run
	host    *second                    // nil: it rests
	users   int                        // of host, now
	used    time.Time                  // when the last of them ended
	pinned  bool                       // host must stay up
	ended   bool                       // Run is over: host stays away

	opening sync.Mutex // held while host is made; taken before mu
}

// New builds a service.
func New(c Config) *Service {
	if c.After == nil {
		c.After = time.After
	}
	s := &Service{cfg: c, bell: make(chan struct{}, 1), entries: make(map[string][]peer.AddrInfo), seen: make(map[shoal.DeviceID]int64)}
	s.AddEntries("bootstrap", c.Bootstrap)
	return s
}

// AddEntries sets the ways in that a source knows, as addresses with /p2p/; what has none is skipped.
func (s *Service) AddEntries(source string, addrs []ma.Multiaddr) {
	infos, err := peer.AddrInfosFromP2pAddrs(slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		_, id := peer.SplitAddr(a)
		return id == "" || address.IsRelayed(a)
	})...)
	if err != nil {
		s.cfg.Log.Debug("skip entries", "err", err)
		return
	}
	if s.keep(source, infos) {
		s.Anew()
	}
}

// keep notes the ways in of a source, and says whether there is a new one.
func (s *Service) keep(source string, infos []peer.AddrInfo) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[peer.ID]bool)
	for _, list := range s.entries {
		for _, i := range list {
			known[i.ID] = true
		}
	}
	for _, i := range infos {
		news = news || !known[i.ID]
	}
	if len(infos) == 0 {
		delete(s.entries, source)
	} else if len(s.entries) < maxKept || s.entries[source] != nil {
		s.entries[source] = infos[:min(len(infos), maxKept)]
	}
	return news
}

// known lists all ways in, in no order.
func (s *Service) known() []peer.AddrInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []peer.AddrInfo
	for _, infos := range s.entries {
		out = append(out, infos...)
	}
	return out
}

// Poke makes the loop look at what is to be told and who is missing.
func (s *Service) Poke() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// Anew begins all pauses anew: the network of this machine changed.
func (s *Service) Anew() {
	s.mu.Lock()
	s.plan.Anew(s.cfg.Clock())
	s.mu.Unlock()
	s.Poke()
}

// serves tells whether the second host runs all the time.
func (s *Service) serves() bool { return len(s.cfg.Listen) > 0 }

// Run works until ctx ends.
func (s *Service) Run(ctx context.Context) {
	defer s.end()
	if s.serves() {
		if h, err := s.acquire(); err != nil {
			s.cfg.Log.Warn("no host for the hash table", "err", err)
		} else {
			s.cfg.Entered(h.addrs())
			s.release()
		}
	}
	timer := s.cfg.After(0)
	for {
		select {
		case <-ctx.Done():
			s.part(ctx)
			return
		case <-timer:
		case <-s.bell:
		}
		announce, look := s.due()
		if announce || len(look) > 0 {
			s.work(ctx, announce, look)
		}
		timer = s.cfg.After(s.pause())
	}
}

// due takes what is to be done from the plan, which is told first what has changed.
func (s *Service) due() (announce bool, look []shoal.DeviceID) {
	if len(s.cfg.Secrets()) == 0 || len(s.known()) == 0 {
		return false, nil
	}
	told, missing := s.digest(), s.cfg.Missing()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock()
	if told != s.told {
		s.told = told
		s.plan.Changed(now)
	}
	s.plan.Missing(now, missing)
	return s.plan.Due(now, maxLooks, rand.Float64())
}

// digest is a hash of what is to be told, and under which secret.
func (s *Service) digest() [32]byte {
	addrs, note := s.cfg.Told()
	h := sha256.New()
	for _, secret := range s.cfg.Secrets()[:1] {
		h.Write(secret[:])
	}
	for _, a := range addrs {
		h.Write(a.Bytes())
	}
	h.Write(note)
	return [32]byte(h.Sum(nil))
}

// pause is how long to sleep if nothing happens. A host that has rested long enough is closed.
func (s *Service) pause() time.Duration {
	wait := time.Hour
	s.mu.Lock()
	if at, ok := s.plan.Next(); ok && len(s.entries) > 0 {
		wait = max(at.Sub(s.cfg.Clock()), 100*time.Millisecond)
	}
	idle, left := s.host != nil && s.users == 0 && !s.serves() && !s.pinned, restAfter-time.Since(s.used)
	var tired *second
	if idle && left <= 0 {
		tired, s.host = s.host, nil
	}
	s.mu.Unlock()
	if tired != nil {
		s.rest(tired)
	} else if idle {
		wait = min(wait, left)
	}
	return wait
}

// work does what is due. Everything is asked through one host, so who listens there learns that one host asked for all.
func (s *Service) work(ctx context.Context, announce bool, look []shoal.DeviceID) {
	h, err := s.acquire()
	if err != nil {
		s.cfg.Log.Debug("no host for the hash table", "err", err)
		if announce {
			s.announced(err)
		}
		return
	}
	defer s.release()
	var jobs sync.WaitGroup
	defer jobs.Wait()
	if announce {
		jobs.Go(func() { s.announced(s.announce(ctx, h)) })
	}
	for _, dev := range look {
		jobs.Go(func() { s.look(ctx, h, dev) })
	}
}

func (s *Service) announced(err error) {
	if err != nil {
		s.cfg.Log.Debug("leave rendezvous record", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan.Announced(s.cfg.Clock(), err == nil, rand.Float64())
}

// announce leaves the record of this device.
func (s *Service) announce(ctx context.Context, h *second) error {
	secrets := s.cfg.Secrets()
	if len(secrets) == 0 {
		return nil
	}
	addrs, note := s.cfg.Told()
	now := s.cfg.Clock()
	k := NewKey(secrets[0], s.cfg.Identity.Device(), DayOf(now))
	raw, err := Seal(s.cfg.Identity, k, Sighting{TimeMS: now.UnixMilli(), Addrs: addrs[:min(len(addrs), MaxAddrs)], Note: note}, s.cfg.Rand)
	if err != nil {
		return err
	}
	if err := h.put(ctx, k.Name, raw); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = note
	return nil
}

// look looks for a device: its record of today, then that of yesterday.
func (s *Service) look(ctx context.Context, h *second, dev shoal.DeviceID) {
	secrets := s.cfg.Secrets()
	today := DayOf(s.cfg.Clock())
	for _, day := range []Day{today, today - 1} {
		for _, secret := range secrets[:min(len(secrets), maxSecrets)] {
			k := NewKey(secret, dev, day)
			raw, err := h.get(ctx, k.Name)
			if errors.Is(err, ErrAlone) {
				return
			}
			if err != nil {
				s.cfg.Log.Debug("look for a device", "device", dev.String(), "err", err)
				continue
			}
			sighting, err := Open(k, raw)
			if err != nil {
				s.cfg.Log.Debug("open rendezvous record", "device", dev.String(), "err", err)
				continue
			}
			if s.news(sighting) {
				s.cfg.Found(sighting)
			}
			return
		}
	}
}

func (s *Service) news(g *Sighting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.TimeMS < s.seen[g.Device] {
		return false
	}
	s.seen[g.Device] = g.TimeMS // the same again is news, too: its addresses may have been forgotten
	return true
}

// Provide announces that this device's second host has a root. It stays up from now on. Valid for two days: repeat it.
func (s *Service) Provide(ctx context.Context, root [32]byte) error {
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	s.pinned = true
	s.mu.Unlock()
	return h.provide(ctx, root)
}

// Providers finds the hosts that announced a root, as addresses with /p2p/.
func (s *Service) Providers(ctx context.Context, root [32]byte) ([]ma.Multiaddr, error) {
	h, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.Poke() // so that the host rests some time
	defer s.release()
	return h.providers(ctx, root)
}

// Neighbours lists ways in that worked, as addresses with /p2p/: what Config.Bootstrap wants to be given after a restart.
func (s *Service) Neighbours() []ma.Multiaddr {
	s.mu.Lock()
	h := s.host
	s.mu.Unlock()
	var out []ma.Multiaddr
	if h != nil {
		out = h.neighbours(maxKept)
	}
	for _, info := range s.known() {
		if full, err := peer.AddrInfoToP2pAddrs(&info); err == nil {
			out = append(out, full...)
		}
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	return address.Unique(out, maxKept)
}

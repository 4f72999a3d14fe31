package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
)

// Retentions.
const (
	DefaultRetention = 30 * 24 * time.Hour
	// LeastRetention is the shortest minimum age that an operator may choose.
	LeastRetention = time.Hour
	maxRetention   = 100 * 365 * 24 * time.Hour
)

// Policy says how long is kept what nothing live needs.
type Policy struct {
	Minimum   time.Duration `json:"minimum"`   // fixed when the vault joined
	Retention time.Duration `json:"retention"` // at least Minimum
	// Shorter is a shorter retention that counts from From on: not before the longer one has passed. Zero: none.
	Shorter time.Duration `json:"shorter,omitempty"`
	From    time.Time     `json:"from,omitzero"`
}

// Validate refuses a policy that no call of Set leads to.
func (p *Policy) Validate() error {
	if p.Minimum < LeastRetention || p.Retention < p.Minimum || p.Retention > maxRetention {
		return fmt.Errorf("retention of %s, at least %s: %w", p.Retention, p.Minimum, shoal.ErrInvalid)
	}
	if p.Shorter != 0 && (p.Shorter < p.Minimum || p.Shorter >= p.Retention || p.From.IsZero()) {
		return fmt.Errorf("shorter retention of %s from %s: %w", p.Shorter, p.From, shoal.ErrInvalid)
	}
	return nil
}

// At returns the retention that counts at a time.
func (p *Policy) At(now time.Time) time.Duration {
	if p.Shorter != 0 && !now.Before(p.From) {
		return p.Shorter
	}
	return p.Retention
}

// Set chooses another retention. A longer one counts at once, a shorter one when the present one has passed; less than the minimum is refused.
func (p *Policy) Set(retention time.Duration, now time.Time) error {
	if retention < p.Minimum || retention > maxRetention {
		return fmt.Errorf("retention of %s: at least %s was promised when the vault joined: %w", retention, p.Minimum, shoal.ErrInvalid)
	}
	present := p.At(now)
	p.Retention, p.Shorter, p.From = present, 0, time.Time{}
	switch {
	case retention >= present:
		p.Retention = retention
	default:
		p.Shorter, p.From = retention, now.Add(present)
	}
	return nil
}

// State is what a tenant remembers beside its index.
type State struct {
	Policy Policy `json:"policy"`
	Quota  int64  `json:"quota"` // bytes; 0: none

	Clock Clock     `json:"clock"`
	Scrub time.Time `json:"scrub,omitzero"` // when the last one ended
}

// maxState bounds the encoded state, in bytes.
const maxState = 64 << 10

// Settings is the State of a tenant and where it is saved. Safe for concurrent use.
type Settings struct {
	save func([]byte) error // makes it durable

	mu    sync.Mutex
	state State // guarded by mu
}

// NewSettings begins with what was saved; empty: with the defaults and the given minimum age. Errors: the data makes no sense.
func NewSettings(saved []byte, minimum time.Duration, save func([]byte) error) (*Settings, error) {
	s := &Settings{save: save}
	if len(saved) == 0 {
		s.state.Policy = Policy{Minimum: minimum, Retention: max(minimum, DefaultRetention)}
		if err := s.state.Policy.Validate(); err != nil {
			return nil, err
		}
		return s, s.Update(func(*State) error { return nil })
	}
	if len(saved) > maxState {
		return nil, fmt.Errorf("vault settings of %d bytes: %w", len(saved), shoal.ErrInvalid)
	}
	if err := json.Unmarshal(saved, &s.state); err != nil {
		return nil, fmt.Errorf("read vault settings: %w", err)
	}
	if s.state.Quota < 0 {
		return nil, errors.New("vault settings with a negative quota")
	}
	return s, s.state.Policy.Validate()
}

// Get returns the state as of now.
func (s *Settings) Get() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Update changes the state and makes it durable. When fn or saving fails nothing changes.
func (s *Settings) Update(fn func(*State) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.state
	if err := fn(&next); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(&next, "", "  ")
	if err != nil {
		return err
	}
	if err := s.save(append(raw, '\n')); err != nil {
		return fmt.Errorf("save vault settings: %w", err)
	}
	s.state = next
	return nil
}

package s3store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Lease is the right to do a piece of work that one process at a time should do. It ends by Release, or when it was not renewed for its time: then another may have
// it, without knowing whether the first is dead or only slow. So whatever two holders at once would damage needs a condition of its own; a lease only spares
// them doing the same. It is used by one goroutine at a time.
type Lease struct {
	objects *Objects
	key     string
	time    time.Duration
	etag    Etag
	until   time.Time // by the own clock
}

// leaseState is what the object of a lease holds, as JSON.
type leaseState struct {
	Holder string    `json:"holder"` // random; another for each write, so that nobody takes another's lease for his own
	Until  time.Time `json:"until"`  // by the holder's clock
}

// maxLeaseTime bounds for how long a lease is believed, so that one with a wrong clock does not hold for ever.
const maxLeaseTime = 24 * time.Hour

// Acquire takes the lease with that key for the given time, at most a day, and returns ErrHeld if another has it. One that is malformed counts as ended.
func (o *Objects) Acquire(ctx context.Context, key string, d time.Duration) (*Lease, error) {
	if d <= 0 || d > maxLeaseTime {
		return nil, fmt.Errorf("lease %s for %v: not between 0 and %v", key, d, maxLeaseTime)
	}
	l := &Lease{objects: o, key: key, time: d, etag: Absent}
	raw, etag, err := o.Get(ctx, key)
	switch {
	case err == nil:
		var old leaseState
		if json.Unmarshal(raw, &old) == nil && o.now().Before(old.Until) && old.Until.Before(o.now().Add(maxLeaseTime+ClockSlack)) {
			return nil, fmt.Errorf("lease %s until %s: %w", key, old.Until.UTC().Format(time.RFC3339), ErrHeld)
		}
		l.etag = etag
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	return l, l.write(ctx, d)
}

// Renew makes the lease hold for its time from now on, if at least a third of that has passed. Error: ErrHeld: another has it.
func (l *Lease) Renew(ctx context.Context) error {
	if l.objects.now().Before(l.until.Add(-l.time * 2 / 3)) {
		return nil
	}
	return l.write(ctx, l.time)
}

// Release ends the lease. Error: ErrHeld: another had taken it.
func (l *Lease) Release(ctx context.Context) error { return l.write(ctx, 0) }

func (l *Lease) write(ctx context.Context, d time.Duration) error {
	var holder [16]byte
	if err := l.objects.random(holder[:]); err != nil {
		return err
	}
	until := l.objects.now().Add(d)
	raw, err := json.Marshal(leaseState{Holder: hex.EncodeToString(holder[:]), Until: until})
	if err != nil {
		return err
	}
	etag, err := l.objects.PutIf(ctx, l.key, raw, l.etag)
	if errors.Is(err, ErrChanged) {
		return fmt.Errorf("lease %s: %w", l.key, ErrHeld)
	}
	if err != nil {
		return err
	}
	l.etag, l.until = etag, until
	return nil
}

func (s *Store) random(p []byte) error {
	if _, err := io.ReadFull(s.config.Rand, p); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	return nil
}

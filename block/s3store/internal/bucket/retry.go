package bucket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// How often and how long it is tried. A server that restarts in half a minute is waited for.
const (
	defaultTries = 8
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// Each attempt may take this long, and a second more for each 128 KiB that it moves.
	attemptTime = 30 * time.Second
	slowestLine = 128 << 10
)

// attempt is one try; unsure tells whether an earlier one may have been carried out.
type attempt func(ctx context.Context, unsure bool) error

// try calls do until it succeeds, fails for good, or was tried often enough. size is how many bytes an attempt moves, and limit how many an
// answer may have.
func (b *Bucket) try(ctx context.Context, what, name string, size, limit int64, do attempt) error {
	pause, unsure := b.firstPause, false
	for i := 1; ; i++ {
		err := b.once(ctx, size, limit, unsure, do)
		if err == nil {
			return nil
		}
		o := sort(ctx, err)
		unsure = unsure || o.unsure
		if !o.again || i == b.tries {
			if o.again {
				o.err = fmt.Errorf("%w (%d attempts)", o.err, i)
			}
			return fmt.Errorf("%s %s: %w", what, name, o.err)
		}
		if err := sleep(ctx, pause/2+rand.N(pause/2+1)); err != nil {
			return fmt.Errorf("%s %s: %w", what, name, errors.Join(err, o.err))
		}
		pause = min(2*pause, longestPause)
	}
}

func (b *Bucket) once(ctx context.Context, size, limit int64, unsure bool, do attempt) error {
	ctx, cancel := context.WithTimeout(withLimit(ctx, limit), b.attemptTime+time.Duration(size/slowestLine)*time.Second)
	defer cancel()
	return do(ctx, unsure)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

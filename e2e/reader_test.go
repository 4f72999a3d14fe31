//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// How often a file is replaced while it is read, and how often it is read at least.
const (
	replacements = 100
	polls        = 10_000
)

func TestAPollingReaderNeverSeesAReplacedFileAbsentOrPartial(t *testing.T) {
	a, b := pair(t, quiet)
	aside := filepath.Join(tempDir(t), "aside")
	put := func(round int) {
		// The hash at its end covers the whole, and the size differs from round to round.
		check(t, os.WriteFile(aside, selfProving("f", round*100), 0o644))
		check(t, os.Rename(aside, a.path("f")))
	}
	put(1)
	settle(t, a, b)

	var seen, done atomic.Int64
	fault := make(chan error, 1)
	go func() { fault <- pollUntil(t.Context(), b.path("f"), &seen, &done) }()
	for round := 2; round <= replacements+1; round++ {
		put(round)
		want := selfProving("f", round*100)
		eventually(t, "a replacement arrives", func() error {
			if got, err := os.ReadFile(b.path("f")); err != nil || string(got) != string(want) {
				return errors.Join(fmt.Errorf("replacement %d has not come", round), err)
			}
			return nil
		})
	}
	done.Store(1)
	if err := <-fault; err != nil {
		t.Error(err)
	}
	t.Logf("%d polls during %d replacements", seen.Load(), replacements)
}

// pollUntil reads a file again and again until it is done and has been read often enough. An error says what should never be seen.
func pollUntil(ctx context.Context, name string, seen, done *atomic.Int64) error {
	for ctx.Err() == nil && (done.Load() == 0 || seen.Load() < polls) {
		content, err := os.ReadFile(name)
		n := seen.Add(1)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("poll %d: the file is absent", n)
		case err != nil:
			return fmt.Errorf("poll %d: %w", n, err)
		case !whole(content):
			return fmt.Errorf("poll %d: the file is partial: %d bytes", n, len(content))
		}
	}
	return nil
}

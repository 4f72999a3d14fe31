//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// editSize is the size of the file that is edited, in bytes.
const editSize = 1 << 10

// editLatency is how long a small edit takes until it is right on the other side. Nobody is told to look: the watchers see it, and rsync, which
// has none, is started at the moment of the edit.
var editLatency = workload{
	name: "latency",
	what: func(c config) string { return fmt.Sprintf("edit of a 1 KiB file until it is there, %d tries", c.tries) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		from, to := s.ends.folders()
		var out outcome
		if err := s.edit(ctx, from, to, -1); err != nil { // the first one makes the file
			return out, err
		}
		var edits []time.Duration
		c, err := s.meter.measure(ctx, func() error {
			for i := range s.tries {
				start := time.Now()
				if err := s.edit(ctx, from, to, i); err != nil {
					return err
				}
				edits = append(edits, time.Since(start))
			}
			return nil
		})
		c.Edits = edits
		return outcome{cost: c}, err
	},
}

// edit writes the file on one side and returns when it is right on the other.
func (s *session) edit(ctx context.Context, from, to string, round int) error {
	content := append(fmt.Appendf(nil, "edit %d\n", round), bytes.Repeat([]byte{'x'}, editSize)...)[:editSize]
	if err := os.WriteFile(filepath.Join(from, "edited"), content, 0o644); err != nil {
		return err
	}
	if p, ok := s.ends.(puller); ok {
		if err := p.pull(ctx); err != nil {
			return err
		}
	}
	return lab.Poll(ctx, editPause, func() error {
		got, err := os.ReadFile(filepath.Join(to, "edited"))
		if err == nil && !bytes.Equal(got, content) {
			err = fmt.Errorf("edit %d has not come", round)
		}
		return err
	})
}

// puller is an end without a watcher: it is started when something changed.
type puller interface {
	pull(context.Context) error
}

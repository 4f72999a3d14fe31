//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// The line of the workload farline.
const (
	farDelay = 50 * time.Millisecond // each way
	farWidth = 200                   // megabits a second
	farSize  = 512 << 20             // at 20 s it hides the start of a connection, which costs ten round trips of any TCP
	farFiles = 8000                  // 128 MiB in small ones
)

// farLine is two devices a long way from each other: a big file, then small ones.
var farLine = workload{
	name: "farline", alone: true, many: true,
	what: func(config) string {
		return fmt.Sprintf("%d MiB over %d Mbit/s with %v of delay each way", farSize>>20, farWidth, farDelay)
	},
	run: func(ctx context.Context, s *session) (out outcome, err error) {
		net, err := lab.NewNetwork(2)
		if err != nil {
			return out, err
		}
		p := &party{net: net}
		line, err := net.Lay(0, 1, farDelay, farWidth)
		if err != nil {
			return out, errors.Join(err, net.Close())
		}
		defer func() { err = errors.Join(err, p.end(context.WithoutCancel(ctx)), line.Close()) }()
		if err := p.start(ctx, s.ends.(*shoalEnds).program, s.dir, 2); err != nil {
			return out, err
		}
		big, err := p.farFile(ctx)
		if err != nil {
			return out, err
		}
		small, err := p.farTree(ctx)
		if err != nil {
			return out, err
		}
		out.cost, out.bytes = cost{Wall: big.took}, farSize
		out.remarks = []string{
			fmt.Sprintf("far line, big file: %.0f %% of the line", 100*big.load()),
			fmt.Sprintf("far line, %d small files: %.0f %% of the line, %.2f s", farFiles, 100*small.load(), small.took.Seconds()),
			fmt.Sprintf("far line: %d packets found no room in its queue of %v", line.Dropped(), lab.LineQueue),
		}
		return out, nil
	},
}

// farCost is what something took on the far line.
type farCost struct {
	took time.Duration
	wire int64 // bytes that came, headers included
}

// load is the part of the line that was used.
func (c farCost) load() float64 { return float64(c.wire) * 8 / 1e6 / farWidth / c.took.Seconds() }

// crossing measures from when the second device goes on until done says so.
func (p *party) crossing(ctx context.Context, done func() error) (c farCost, err error) {
	before, err := p.net.Received(1, 0)
	if err != nil {
		return c, err
	}
	began := time.Now()
	if err := p.folder(ctx, "resume", p.devices[1]); err != nil {
		return c, err
	}
	if err := done(); err != nil {
		return c, err
	}
	c.took = time.Since(began)
	after, err := p.net.Received(1, 0)
	c.wire = after - before
	return c, err
}

func (p *party) farFile(ctx context.Context) (farCost, error) {
	if err := p.folder(ctx, "pause", p.devices[1]); err != nil {
		return farCost{}, err
	}
	if err := p.give(ctx, "big", farSize, 31); err != nil {
		return farCost{}, err
	}
	return p.crossing(ctx, func() error { return p.have(ctx, "big", p.devices[1]) })
}

func (p *party) farTree(ctx context.Context) (farCost, error) {
	if err := p.folder(ctx, "pause", p.devices[1]); err != nil {
		return farCost{}, err
	}
	const dir = "small"
	if err := lab.SmallFiles(filepath.Join(p.devices[0].Dir, dir), farFiles, smallLeast, smallMost, 32); err != nil {
		return farCost{}, err
	}
	if err := succeed(ctx, p.devices[0], "rescan"); err != nil {
		return farCost{}, err
	}
	return p.crossing(ctx, func() error {
		return lab.Poll(ctx, donePause, func() error {
			st, err := p.devices[1].Status(ctx)
			if err == nil && (st.Folders[0].Files != farFiles+1 || st.Folders[0].NeedFiles > 0) {
				err = fmt.Errorf("%d files, %d to come", st.Folders[0].Files, st.Folders[0].NeedFiles)
			}
			return err
		})
	})
}

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// tinySize is the size of each file of the big tree, in bytes.
const tinySize = 4

// calmTime is how long two ends are left alone before what they hold idle is read.
const calmTime = 15 * time.Second

// tinyTree is a tree of very many files: how everything grows with it. Only shoal is measured.
var tinyTree = workload{
	name: "tiny", alone: true, many: true,
	what: func(c config) string { return fmt.Sprintf("%d files of %d bytes, first sync", c.tiny, tinySize) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		if err := lab.SmallFiles(s.prepared("tiny"), s.tiny, tinySize, tinySize, 7); err != nil {
			return outcome{}, err
		}
		t := tree{session: s, ends: s.ends.(*shoalEnds)}
		err := t.grow(ctx)
		return t.out, err
	},
}

// tree is a measurement of one big tree.
type tree struct {
	*session
	ends *shoalEnds
	out  outcome
}

// grow scans the tree while the target is away, twice, starts the source again with it, then lets the target come.
func (t *tree) grow(ctx context.Context) error {
	if _, err := t.ends.b.Stop(ctx); err != nil {
		return err
	}
	from, _ := t.ends.folders()
	err := t.part(ctx, "first scan", func() error {
		if err := os.Rename(t.prepared("tiny"), filepath.Join(from, "tiny")); err != nil {
			return err
		}
		return t.ends.look(ctx)
	})
	if err != nil {
		return err
	}
	if err := t.part(ctx, "scan of what has not changed", func() error { return t.ends.look(ctx) }); err != nil {
		return err
	}
	if _, err := t.ends.a.Stop(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := errors.Join(t.ends.a.Start(), t.ends.a.Ready(ctx), t.ends.idle(ctx)); err != nil {
		return err
	}
	t.add("start until idle", cost{Wall: time.Since(began)})
	if err := t.ends.b.Start(); err != nil {
		return err
	}
	if err := t.ends.b.Ready(ctx); err != nil {
		return err
	}
	c, err := t.meter.measure(ctx, func() error { return t.ends.done(ctx) })
	if err != nil {
		return err
	}
	t.out.cost, t.out.files = c, t.tiny
	if err := t.calm(ctx); err != nil {
		return err
	}
	return t.databases(ctx)
}

func (t *tree) part(ctx context.Context, what string, act func() error) error {
	c, err := t.meter.measure(ctx, act)
	if err == nil {
		t.add(what, c)
	}
	return err
}

func (t *tree) add(what string, c cost) {
	t.out.parts = append(t.out.parts, part{what: fmt.Sprintf("%d files of %d bytes, %s", t.tiny, tinySize, what), outcome: outcome{cost: c, files: t.tiny}})
}

// calm reads what the ends hold when nothing happens.
func (t *tree) calm(ctx context.Context) error {
	if err := leaveAlone(ctx); err != nil {
		return err
	}
	before := t.meter.cpu()
	if err := leaveAlone(ctx); err != nil {
		return err
	}
	used := t.meter.cpu() - before
	for i, pid := range t.ends.pids() {
		held, err := lab.Memory(pid)
		if err != nil {
			return err
		}
		t.out.remarks = append(t.out.remarks, fmt.Sprintf("%d tiny files: %s holds %.0f MiB of anonymous memory when idle", t.tiny, t.ends.name(i), mebibytes(held)))
	}
	t.out.remarks = append(t.out.remarks, fmt.Sprintf("%d tiny files: both ends together take %.2f %% of a processor when idle", t.tiny, 100*used.Seconds()/calmTime.Seconds()))
	return nil
}

func leaveAlone(ctx context.Context) error {
	select {
	case <-time.After(calmTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// databases stops both ends and reads how big their databases are.
func (t *tree) databases(ctx context.Context) error {
	if err := t.ends.stop(ctx); err != nil {
		return err
	}
	for i, d := range []*lab.Device{t.ends.a, t.ends.b} {
		err := filepath.WalkDir(d.Home, func(path string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".db" {
				return err
			}
			info, err := e.Info()
			if err == nil {
				t.out.remarks = append(t.out.remarks, fmt.Sprintf("%d tiny files: the database of %s takes %d bytes a file",
					t.tiny, t.ends.name(i), info.Size()/int64(t.tiny)))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// newShoal builds the program under test.
func newShoal(ctx context.Context, c config, dir string) (peer, error) {
	program := c.program
	if program == "" {
		var err error
		if program, err = lab.Build(ctx, dir); err != nil {
			return peer{}, err
		}
	}
	version, err := firstLine(ctx, program, "version")
	return peer{name: "shoal", version: version, open: func(p place) ends { return &shoalEnds{program: program, place: p} }}, err
}

// shoalEnds are two devices of one mesh.
type shoalEnds struct {
	program string
	place   place
	a, b    *lab.Device
}

func (s *shoalEnds) start(ctx context.Context) error {
	for _, end := range []struct {
		name   string
		device **lab.Device
	}{{"a", &s.a}, {"b", &s.b}} {
		port, err := lab.FreePort()
		if err != nil {
			return err
		}
		d := &lab.Device{
			Program: s.program, Name: end.name, Home: filepath.Join(s.place.dir, end.name+".home"), Dir: filepath.Join(s.place.dir, end.name),
			Log: filepath.Join(s.place.dir, end.name+".log"), Space: s.place.space, Flags: []string{"--no-mdns"},
			Listen: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port),
		}
		if err := os.Mkdir(d.Dir, 0o755); err != nil {
			return err
		}
		*end.device = d
	}
	if err := s.a.Start(); err != nil {
		return err
	}
	if err := s.a.Ready(ctx); err != nil {
		return err
	}
	if err := lab.Join(ctx, s.a, s.b); err != nil {
		return err
	}
	return s.done(ctx)
}

func (s *shoalEnds) look(ctx context.Context) error { return succeed(ctx, s.a, "rescan") }

func (s *shoalEnds) done(ctx context.Context) error {
	return succeed(ctx, s.a, "wait", "--timeout", "1h", "--peers", "1")
}

func succeed(ctx context.Context, d *lab.Device, args ...string) error {
	r, err := d.Run(ctx, args...)
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	return err
}

func (s *shoalEnds) pids() []int { return []int{s.a.PID(), s.b.PID()} }

func (s *shoalEnds) folders() (from, to string) {
	return filepath.Join(s.place.dir, "a"), filepath.Join(s.place.dir, "b")
}

func (s *shoalEnds) stop(ctx context.Context) error {
	var errs []error
	for _, d := range []*lab.Device{s.a, s.b} {
		if d != nil && d.Running() {
			_, err := d.Stop(ctx)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	return peer{
		name: "shoal", version: version,
		open: func(p place) ends { return &shoalEnds{program: program, place: p} },
		keep: func(p place) depot { return &shoalDepot{shoalEnds: shoalEnds{program: program, place: p}} },
	}, err
}

// shoalEnds are two devices of one mesh.
type shoalEnds struct {
	program string
	place   place
	a, b    *lab.Device
}

func (s *shoalEnds) start(ctx context.Context) error {
	var err error
	if s.a, err = s.device("a"); err != nil {
		return err
	}
	if s.b, err = s.device("b"); err != nil {
		return err
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
	return succeed(ctx, s.a, "wait", "--timeout", "1h", "--peers", "1")
}

// device makes a device that does not run yet, with an empty folder.
func (s *shoalEnds) device(name string) (*lab.Device, error) {
	port, err := lab.FreePort()
	if err != nil {
		return nil, err
	}
	d := &lab.Device{
		Program: s.program, Name: name, Home: filepath.Join(s.place.dir, name+".home"), Dir: filepath.Join(s.place.dir, name),
		Log: filepath.Join(s.place.dir, name+".log"), Space: s.place.space, Flags: []string{"--no-mdns"},
		Listen: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port),
	}
	return d, os.Mkdir(d.Dir, 0o755)
}

// look returns when everything that was found is recorded.
func (s *shoalEnds) look(ctx context.Context) error { return succeed(ctx, s.a, "rescan") }

// done compares what the two ends say of themselves, as for syncthing. What `shoal wait` waits for is more: that the source was told.
func (s *shoalEnds) done(ctx context.Context) error {
	want, err := s.status(ctx, s.a)
	if err != nil {
		return err
	}
	return s.has(ctx, want)
}

// has returns when the target has what the source said that it had.
func (s *shoalEnds) has(ctx context.Context, want lab.FolderStatus) error {
	return lab.Poll(ctx, donePause, func() error {
		have, err := s.status(ctx, s.b)
		if err != nil {
			return err
		}
		if have.State != "idle" || have.NeedFiles > 0 || have.Files != want.Files || have.Bytes != want.Bytes {
			return fmt.Errorf("%+v, want %+v", have, want)
		}
		return nil
	})
}

func (s *shoalEnds) records(ctx context.Context) (int64, error) {
	st, err := s.status(ctx, s.a)
	var sum int64
	for _, seq := range st.Frontier {
		sum += int64(seq)
	}
	return sum, err
}

func (s *shoalEnds) status(ctx context.Context, d *lab.Device) (f lab.FolderStatus, err error) {
	var status lab.Status
	if err := get(ctx, d, "status", &status); err != nil {
		return f, err
	}
	if len(status.Folders) != 1 {
		return f, fmt.Errorf("%s has %d folders", d.Name, len(status.Folders))
	}
	return status.Folders[0], nil
}

// get asks the control socket for a document: starting the program for every look would cost time that is not the daemon's.
func get(ctx context.Context, d *lab.Device, what string, doc any) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(d.Home, "control.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shoal/v1/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s for its %s: %s", d.Name, what, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(doc)
}

// idle returns when the source has nothing to do.
func (s *shoalEnds) idle(ctx context.Context) error {
	return lab.Poll(ctx, donePause, func() error {
		have, err := s.status(ctx, s.a)
		if err == nil && have.State != "idle" {
			err = fmt.Errorf("%s is %s", s.a.Name, have.State)
		}
		return err
	})
}

func (s *shoalEnds) name(i int) string { return []string{"the source", "the target"}[i] }

func succeed(ctx context.Context, d *lab.Device, args ...string) error {
	r, err := d.Run(ctx, args...)
	if err == nil && r.Code != 0 {
		err = errors.New(r.String())
	}
	return err
}

func (s *shoalEnds) pids() []int {
	var pids []int
	for _, d := range []*lab.Device{s.a, s.b} {
		if d != nil && d.Running() {
			pids = append(pids, d.PID())
		}
	}
	return pids
}

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

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

// shoalDepot is a vault, a device that gives to it, and one that comes when the first has gone.
type shoalDepot struct {
	shoalEnds
	v    *lab.Device
	gave lab.FolderStatus // what the source said of itself before it left
}

func (s *shoalDepot) start(ctx context.Context) error {
	if err := s.shoalEnds.start(ctx); err != nil {
		return err
	}
	var err error
	if s.v, err = s.device("v"); err != nil {
		return err
	}
	s.v.Vault = true
	if err := lab.Join(ctx, s.a, s.v); err != nil {
		return err
	}
	for _, d := range []*lab.Device{s.a, s.b} {
		if err := succeed(ctx, d, "wait", "--timeout", "1h", "--peers", "2"); err != nil {
			return err
		}
	}
	_, err = s.b.Stop(ctx)
	return err
}

// upload returns when the vault has signed that it has everything, which it does when that is durable.
func (s *shoalDepot) upload(ctx context.Context) error {
	return succeed(ctx, s.a, "wait", "--timeout", "1h", "--peers", "1")
}

func (s *shoalDepot) leave(ctx context.Context) (err error) {
	if s.gave, err = s.status(ctx, s.a); err != nil {
		return err
	}
	_, err = s.a.Stop(ctx)
	return err
}

// download starts the target, which is still empty.
func (s *shoalDepot) download(ctx context.Context) error {
	if err := errors.Join(s.b.Start(), s.b.Ready(ctx)); err != nil {
		return err
	}
	return s.has(ctx, s.gave)
}

func (s *shoalDepot) halt(ctx context.Context) error {
	_, err := s.v.Stop(ctx)
	return err
}

func (s *shoalDepot) resume(ctx context.Context) error {
	if err := errors.Join(s.v.Start(), s.v.Ready(ctx)); err != nil {
		return err
	}
	return lab.Poll(ctx, donePause, func() error {
		t, err := s.tenant(ctx)
		if err == nil && t.State != "ok" {
			err = fmt.Errorf("the vault is %s", t.State)
		}
		return err
	})
}

func (s *shoalDepot) scrub(ctx context.Context) error {
	if err := succeed(ctx, s.v, "vault", "scrub", "--data", s.v.Home); err != nil {
		return err
	}
	return lab.Poll(ctx, donePause, func() error {
		t, err := s.tenant(ctx)
		switch {
		case err != nil:
			return err
		case t.Scrub.Damaged > 0 || t.Scrub.Problem != "":
			return fmt.Errorf("the scrub found %d damaged blocks; %s", t.Scrub.Damaged, t.Scrub.Problem)
		case t.Scrub.Running || t.Scrub.Ended.IsZero():
			return errors.New("the scrub has not ended")
		}
		return nil
	})
}

// tenant is the mesh that the vault keeps, as it says.
type tenant struct {
	State string `json:"state"`
	Scrub struct {
		Running bool      `json:"running"`
		Ended   time.Time `json:"ended"`
		Damaged int       `json:"damaged"`
		Problem string    `json:"problem"`
	} `json:"scrub"`
}

func (s *shoalDepot) tenant(ctx context.Context) (tenant, error) {
	var doc struct {
		Tenants []tenant `json:"tenants"`
	}
	if err := get(ctx, s.v, "vault", &doc); err != nil {
		return tenant{}, err
	}
	if len(doc.Tenants) != 1 {
		return tenant{}, fmt.Errorf("the vault has %d tenants", len(doc.Tenants))
	}
	return doc.Tenants[0], nil
}

// records are not counted: the source does not run all the time.
func (s *shoalDepot) records(context.Context) (int64, error) { return 0, nil }

func (s *shoalDepot) pids() []int {
	pids := s.shoalEnds.pids()
	if s.v != nil && s.v.Running() {
		pids = append(pids, s.v.PID())
	}
	return pids
}

func (s *shoalDepot) folders() (from, to, store string) {
	from, to = s.shoalEnds.folders()
	return from, to, filepath.Join(s.place.dir, "v.home")
}

func (s *shoalDepot) stop(ctx context.Context) error {
	err := s.shoalEnds.stop(ctx)
	if s.v != nil && s.v.Running() {
		_, stopped := s.v.Stop(ctx)
		err = errors.Join(err, stopped)
	}
	return err
}

//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

func newRestic(ctx context.Context, _ config, _ string) (peer, error) {
	if err := need(ctx, "restic"); err != nil {
		return peer{}, err
	}
	version, err := firstLine(ctx, "restic", "version")
	return peer{name: "restic", version: version + ", a local repository", keep: func(p place) depot { return &resticDepot{place: p} }}, err
}

// resticDepot is a repository on the same disk, with what restic does by itself. It is started for everything, and nothing goes over a network.
type resticDepot struct {
	client
	place place
}

func (r *resticDepot) start(ctx context.Context) error {
	from, to, _ := r.folders()
	for _, dir := range []string{from, to} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return r.do(ctx, "init")
}

func (r *resticDepot) upload(ctx context.Context) error { return r.do(ctx, "backup", ".") }

func (r *resticDepot) leave(context.Context) error { return nil }

func (r *resticDepot) download(ctx context.Context) error {
	_, to, _ := r.folders()
	return r.do(ctx, "restore", "latest", "--target", to)
}

func (r *resticDepot) scrub(ctx context.Context) error { return r.do(ctx, "check", "--read-data") }

// do runs a command in the source.
func (r *resticDepot) do(ctx context.Context, args ...string) error {
	from, _, store := r.folders()
	cmd := exec.CommandContext(ctx, "restic", append([]string{"--quiet", "--repo", store}, args...)...)
	cmd.Dir = from
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD=of a measurement", "RESTIC_CACHE_DIR="+filepath.Join(r.place.dir, "cache"))
	return r.run(cmd)
}

func (r *resticDepot) pids() []int { return r.alive() }

func (r *resticDepot) folders() (from, to, store string) {
	return filepath.Join(r.place.dir, "a"), filepath.Join(r.place.dir, "b"), filepath.Join(r.place.dir, "repository")
}

func (r *resticDepot) stop(context.Context) error { return r.wait() }

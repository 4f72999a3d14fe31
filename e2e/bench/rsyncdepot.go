//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
)

// rsyncDepot is a daemon that a client pushes to, and another pulls from.
type rsyncDepot struct{ rsyncEnds }

func (r *rsyncDepot) start(ctx context.Context) error {
	from, _, store := r.folders()
	if err := os.Mkdir(from, 0o755); err != nil {
		return err
	}
	r.serves, r.writable = store, true
	return r.rsyncEnds.start(ctx)
}

func (r *rsyncDepot) upload(ctx context.Context) error {
	from, _, _ := r.folders()
	if err := r.begin(ctx, from+"/", r.source()); err != nil {
		return err
	}
	return r.wait()
}

func (r *rsyncDepot) leave(context.Context) error { return nil }

func (r *rsyncDepot) download(ctx context.Context) error { return r.pull(ctx) }

func (r *rsyncDepot) folders() (from, to, store string) {
	from, to = r.rsyncEnds.folders()
	return from, to, filepath.Join(r.place.dir, "store")
}

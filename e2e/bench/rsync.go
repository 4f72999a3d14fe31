//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

func newRsync(ctx context.Context, _ config, _ string) (peer, error) {
	if err := need(ctx, "rsync"); err != nil {
		return peer{}, err
	}
	version, err := firstLine(ctx, "rsync", "--version")
	return peer{
		name: "rsync", version: version,
		open: func(p place) ends { return &rsyncEnds{place: p} },
		keep: func(p place) depot { return &rsyncDepot{rsyncEnds{place: p}} },
	}, err
}

// newDurableRsync is rsync as it is when what it says that it has must be on the disk.
func newDurableRsync(ctx context.Context, c config, dir string) (peer, error) {
	p, err := newRsync(ctx, c, dir)
	p.name, p.version = "rsync-fsync", p.version+", with --fsync"
	p.open = func(p place) ends { return &rsyncEnds{place: p, flags: []string{"--fsync"}} }
	p.keep = func(p place) depot { return &rsyncDepot{rsyncEnds{place: p, flags: []string{"--fsync"}}} }
	return p, err
}

// rsyncEnds are an rsync daemon, which reads the source, and a client that is started to pull when there is something to pull.
type rsyncEnds struct {
	client
	place    place
	flags    []string // of the client
	serves   string   // folder of the daemon; empty: the source
	writable bool     // it may be pushed to
	port     int
	daemon   *exec.Cmd
}

// rsyncConfig is the form of rsyncd.conf(5): port, user, group, log file, the same, folder, whether nobody may write.
const rsyncConfig = `address = 127.0.0.1
port = %d
use chroot = no
uid = %d
gid = %d
log file = %s
pid file = %s.pid
[source]
path = %s
read only = %t
`

func (r *rsyncEnds) start(ctx context.Context) error {
	var err error
	if r.port, err = lab.FreePort(); err != nil {
		return err
	}
	from, to := r.folders()
	if r.serves == "" {
		r.serves = from
	}
	for _, dir := range []string{r.serves, to} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	conf, log := filepath.Join(r.place.dir, "rsyncd.conf"), filepath.Join(r.place.dir, "rsyncd.log")
	text := fmt.Sprintf(rsyncConfig, r.port, os.Geteuid(), os.Getegid(), log, log, r.serves, !r.writable)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	r.daemon = r.place.command(context.WithoutCancel(ctx), "rsync", "--daemon", "--no-detach", "--config="+conf)
	if err := r.daemon.Start(); err != nil {
		return err
	}
	return lab.Poll(ctx, 20*time.Millisecond, func() error { return r.answers(ctx) })
}

// answers tells whether the daemon listens.
func (r *rsyncEnds) answers(ctx context.Context) error {
	if r.place.space == "" {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)))
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	return r.place.command(ctx, "rsync", r.source()).Run() // lists the folder
}

func (r *rsyncEnds) source() string { return fmt.Sprintf("rsync://127.0.0.1:%d/source/", r.port) }

func (r *rsyncEnds) look(ctx context.Context) error {
	_, to := r.folders()
	return r.begin(ctx, r.source(), to+"/")
}

// begin starts a client that makes one folder like another.
func (r *rsyncEnds) begin(ctx context.Context, from, to string) error {
	return r.client.start(r.place.command(ctx, "rsync", append(slices.Clone(r.flags), "-a", "--delete", "--modify-window=-1", from, to)...))
}

func (r *rsyncEnds) done(context.Context) error { return r.wait() }

func (r *rsyncEnds) pids() []int { return append([]int{r.daemon.Process.Pid}, r.alive()...) }

func (r *rsyncEnds) folders() (from, to string) {
	return filepath.Join(r.place.dir, "a"), filepath.Join(r.place.dir, "b")
}

func (r *rsyncEnds) stop(context.Context) error {
	if r.daemon == nil || r.daemon.Process == nil {
		return nil
	}
	err := r.daemon.Process.Signal(os.Interrupt)
	_ = r.daemon.Wait() // it ends by the signal, which is an error to Wait
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// pull runs the client once.
func (r *rsyncEnds) pull(ctx context.Context) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	return r.done(ctx)
}

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// place is where the ends of one measurement live.
type place struct {
	dir   string // a folder of their own
	space string // network namespace; empty: that of this process
}

// command makes a command that runs in the place's network.
func (p place) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if p.space == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", p.space, name}, args...)...)
}

// ends is a pair of folders that a program keeps the same: what is in from comes to to.
type ends interface {
	processes
	// start returns when both ends run, are connected, and have nothing to do.
	start(ctx context.Context) error
	// look tells the source that something changed. It may return before or after the change is on its way.
	look(ctx context.Context) error
	// done returns when the target has everything that the source had when look was called.
	done(ctx context.Context) error
	// folders are the two folders.
	folders() (from, to string)
	// stop ends everything. It is called once, also after an error.
	stop(ctx context.Context) error
}

// peer is a program that is measured.
type peer struct {
	name    string
	version string
	open    func(p place) ends  // nil: it does not keep two folders the same
	keep    func(p place) depot // nil: it is no store
}

// choosePeers finds or installs what is to be measured, shoal first.
func choosePeers(ctx context.Context, c config, dir string) []peer {
	var found []peer
	makers := map[string]func(context.Context, config, string) (peer, error){"rsync": newRsync, "rsync-fsync": newDurableRsync, "syncthing": newSyncthing, "restic": newRestic, "shoal": newShoal}
	only := map[string]bool{"syncthing": false, "restic": true} // whether it is nothing but a store, or anything but one
	chosen := chooseWorkloads(c)
	for _, name := range append([]string{"shoal"}, c.peers...) {
		if keeps, known := only[name]; known && !slices.ContainsFunc(chosen, func(w workload) bool { return w.keeps == keeps && !w.alone }) {
			continue // it has nothing to do here, and need not be installed
		}
		newPeer, known := makers[name]
		if !known {
			note("%s: there is no driver for it", name)
			continue
		}
		p, err := newPeer(ctx, c, dir)
		if err != nil {
			note("%s: goes without it: %v", name, err)
			continue
		}
		found = append(found, p)
	}
	return found
}

// need returns when a program is there, installing it from Debian if it has to and may.
func need(ctx context.Context, program string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s is not installed, and this process may not install it", program)
	}
	note("installing %s", program)
	for _, args := range [][]string{{"update", "-q"}, {"install", "-y", "-q", "--no-install-recommends", program}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			return fmt.Errorf("install %s: %w: %s", program, err, lines[len(lines)-1])
		}
	}
	return nil
}

// firstLine runs a program and returns the first line that it prints.
func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}

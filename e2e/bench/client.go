//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// client is a program that is started when there is something to do, one run after the other, and what all its runs used.
type client struct {
	cmd *exec.Cmd       // the running or last one
	err strings.Builder // what it said on standard error

	mu     sync.Mutex
	living int           // guarded by mu; process that runs
	cpu    time.Duration // guarded by mu; of runs that have ended
	peak   int64         // guarded by mu; of those, bytes
}

// start starts a command that was made and not started.
func (c *client) start(cmd *exec.Cmd) error {
	c.err.Reset()
	cmd.Stderr = &c.err
	c.cmd = cmd
	if err := cmd.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.living = cmd.Process.Pid
	return nil
}

// wait returns when the command that was started last has ended.
func (c *client) wait() error {
	c.mu.Lock()
	over := c.living == 0
	c.mu.Unlock()
	if over {
		return nil // it was waited for already
	}
	err := c.cmd.Wait()
	state := c.cmd.ProcessState
	c.mu.Lock()
	defer c.mu.Unlock()
	c.living = 0
	c.cpu += state.UserTime() + state.SystemTime()
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		c.peak = max(c.peak, usage.Maxrss<<10)
	}
	if said := strings.TrimSpace(c.err.String()); err != nil && said != "" {
		err = errors.Join(err, fmt.Errorf("it said: %s", said))
	}
	return err
}

// run is start and wait.
func (c *client) run(cmd *exec.Cmd) error {
	if err := c.start(cmd); err != nil {
		return err
	}
	return c.wait()
}

// alive returns the process that runs, if any.
func (c *client) alive() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.living == 0 {
		return nil
	}
	return []int{c.living}
}

// spent counts the runs that have ended.
func (c *client) spent() (cpu time.Duration, peak int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cpu, c.peak
}

//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Build builds the program, with build tags if there are any, into dir and returns its path. The module is the one of the current directory.
func Build(ctx context.Context, dir string, tags ...string) (string, error) {
	program := filepath.Join(dir, "shoal")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", strings.Join(tags, ","), "-o", program, "github.com/shoalmesh/shoal/cmd/shoal")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return program, nil
}

// Result is how a command ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int
}

// String shows a result as one would see it on a terminal.
func (r Result) String() string {
	return fmt.Sprintf("shoal %s: exit code %d\nstdout: %s\nstderr: %s", strings.Join(r.Args, " "), r.Code, strings.TrimSpace(r.Stdout), strings.TrimSpace(r.Stderr))
}

// commandGrace is how long a command that was told to end may take.
const commandGrace = 5 * time.Second

// finish runs cmd and tells how it ended. An error means that it could not be run, or was still running when ctx ended.
func finish(ctx context.Context, cmd *exec.Cmd, args []string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = commandGrace
	err := cmd.Run()
	r := Result{Args: args, Stdout: stdout.String(), Stderr: stderr.String()}
	if ctx.Err() != nil {
		return r, fmt.Errorf("%s: %w", r, ctx.Err())
	}
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		r.Code = ended.ExitCode()
		return r, nil
	}
	return r, err
}

// Poll calls ready every now and then until it returns nil, and returns nil, or until ctx ends, and returns its last error.
func Poll(ctx context.Context, every time.Duration, ready func() error) error {
	for {
		began := time.Now()
		err := ready()
		if err == nil {
			return nil
		}
		pause := time.NewTimer(max(every, 2*time.Since(began))) // a question is a process: asking must not slow down what is awaited
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%w; the last time: %w", ctx.Err(), err)
		}
	}
}

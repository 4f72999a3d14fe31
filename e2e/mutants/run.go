package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// copyTree is the copy of the module that mutants are put into.
type copyTree struct {
	dir     string
	timeout string // of one test command
}

// verdict says what came of a mutant; err is nil when it was caught.
type verdict struct {
	by   string // the test, with its seed if it has one
	err  error
	fail string // what the test said
}

// newCopy copies what git knows of the module at root, as it is on disk now.
func newCopy(ctx context.Context, root, timeout string) (*copyTree, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	c := &copyTree{dir: dir, timeout: timeout}
	list, err := exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list the module's files: %w", err), c.remove())
	}
	for _, f := range strings.Split(strings.Trim(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, f))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and git was not told yet
		}
		if err == nil {
			err = c.write(f, data)
		}
		if err != nil {
			return nil, errors.Join(err, c.remove())
		}
	}
	return c, nil
}

func (c *copyTree) write(file string, data []byte) error {
	at := filepath.Join(c.dir, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, data, 0o644)
}

func (c *copyTree) remove() error { return os.RemoveAll(c.dir) }

// try puts a mutant in, runs its test, takes it out again, and holds what failed against the code as it is.
func (c *copyTree) try(ctx context.Context, m *mutant) (verdict, error) {
	files, err := m.files(c.dir)
	if err != nil {
		return verdict{err: err}, nil
	}
	originals := map[string][]byte{} // the files as they are; the module at root may change meanwhile
	for f, data := range files {
		if originals[f], err = os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(f))); err != nil {
			return verdict{}, err
		}
		if err := c.write(f, data); err != nil {
			return verdict{}, err
		}
	}
	defer c.forgetFailures(m)
	got, err := c.test(ctx, m.test)
	for f, data := range originals {
		err = errors.Join(err, c.write(f, data))
	}
	if err != nil {
		return verdict{}, err
	}
	switch {
	case got.broken:
		return verdict{err: errors.New("does not build"), fail: got.output}, nil
	case len(got.failed) == 0 && got.passed:
		return verdict{err: errors.New("survived")}, nil
	case len(got.failed) == 0:
		return verdict{err: errors.New("no test failed, and none passed"), fail: got.output}, nil
	}
	by := got.failed[0]
	v := verdict{by: strings.TrimSpace(by + " " + strings.Join(got.replay, " ")), fail: got.output}
	sound, err := c.test(ctx, oneTest(m.test, by, got.replay)) // rapid plays again what it failed with
	if err == nil && !sound.passed {
		v.err, v.fail = errors.New("the test fails without the bug, too"), sound.output
	}
	return v, err
}

// forgetFailures removes what rapid keeps of failures: another mutant must be found anew.
func (c *copyTree) forgetFailures(m *mutant) {
	for _, a := range m.test {
		if pkg, ok := strings.CutPrefix(a, "./"); ok {
			_ = os.RemoveAll(filepath.Join(c.dir, filepath.FromSlash(pkg), "testdata", "rapid"))
		}
	}
}

// oneTest narrows a test command to the test that failed and the seed that it failed with.
func oneTest(args []string, test string, replay []string) []string {
	top, _, _ := strings.Cut(test, "/")
	return append(slices.Concat(args, replay), "-run", "^"+top+"$")
}

// outcome is what go test told.
type outcome struct {
	passed, broken bool
	failed         []string // tests, innermost first
	replay         []string // arguments that play what failed again
	output         string
}

// event is a line of go test -json.
type event struct {
	Action, Test, Output, FailedBuild string
}

// replayFlag finds, in what a test says, how it is played again.
var replayFlag = regexp.MustCompile(`-(?:sim\.seed|sim\.ops|plan\.seed)=[0-9]+`)

// test runs go test in the copy.
func (c *copyTree) test(ctx context.Context, args []string) (outcome, error) {
	args = slices.Concat([]string{"test", "-json", "-count=1", "-vet=off", "-trimpath", "-timeout", c.timeout}, flagsFirst(args))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.dir
	// Not the zone in which times are meant to be shown, so that a mistake in it shows.
	cmd.Env = append(os.Environ(), "TZ=Asia/Kolkata", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && (!ended || ctx.Err() != nil) {
		return outcome{}, errors.Join(fmt.Errorf("run go test: %w", err), ctx.Err())
	}
	o, derr := readEvents(out)
	o.passed = err == nil
	o.output += stderr.String()
	return o, derr
}

// flagsFirst puts packages before flags that only the test knows: go test ends its own flags at the first package.
func flagsFirst(args []string) []string {
	var packages, flags []string
	for _, a := range args {
		if strings.HasPrefix(a, "./") {
			packages = append(packages, a)
		} else {
			flags = append(flags, a)
		}
	}
	return append(packages, flags...)
}

func readEvents(out []byte) (o outcome, err error) {
	var said strings.Builder
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var e event
		if err := d.Decode(&e); err != nil {
			return o, fmt.Errorf("read what go test says: %w", err)
		}
		said.WriteString(e.Output)
		o.broken = o.broken || e.Action == "build-fail" || e.FailedBuild != ""
		if e.Action == "fail" && e.Test != "" {
			o.failed = append(o.failed, e.Test)
		}
	}
	o.output = said.String()
	seen := map[string]bool{}
	for _, f := range replayFlag.FindAllString(o.output, -1) {
		if name, _, _ := strings.Cut(f, "="); !seen[name] {
			seen[name] = true
			o.replay = append(o.replay, f)
		}
	}
	return o, nil
}

//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Device is one home with one folder, and the daemon that runs on it, if any. Fields are set before the first start. Its methods
// may be called at once, but starting and ending belong to one goroutine.
type Device struct {
	Program string
	Name    string
	Home    string
	Dir     string
	Listen  string   // multiaddr
	Log     string   // file that collects what the daemon says on both outputs, over all its runs
	Space   string   // network namespace; empty: that of this process
	User    int      // user and group that the daemon runs as; 0: that of this process
	Flags   []string // more flags of `up`
	Env     []string // more of the daemon's environment; may be changed between its runs
	Verbose bool     // the daemon says everything
	DHT     bool     // it takes part in the hash table
	Vault   bool     // it is a vault: it has no Dir, and Home is its data folder

	mu  sync.Mutex
	run *running // guarded by mu; nil: never started
}

// running is one run of a daemon.
type running struct {
	pid   int
	ended chan struct{}    // closed by the goroutine that waits for the process
	state *os.ProcessState // set before ended is closed
	err   error            // why it could not be started
}

// ErrEnded is wrapped when a daemon ended that should run.
var ErrEnded = errors.New("the daemon has ended")

// pollPause is how often the harness asks.
const pollPause = 20 * time.Millisecond

// Start runs `shoal up DIR` with more arguments and returns when it was started, before it is ready.
func (d *Device) Start(more ...string) error {
	if r := d.current(); r != nil && !r.over() {
		return fmt.Errorf("start %s: it runs already", d.Name)
	}
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := d.command(context.Background(), d.upArgs(more))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cmd.Env, d.Env...)
	fmt.Fprintf(log, "--- %s starts: %s\n", d.Name, strings.Join(cmd.Args, " "))
	r := launch(cmd)
	d.mu.Lock()
	d.run = r
	d.mu.Unlock()
	return r.err
}

// upArgs is the command line of `shoal up`, or of `shoal vault`.
func (d *Device) upArgs(more []string) []string {
	args := []string{"up", d.Dir, "--name", d.Name, "--no-api"}
	if d.Vault {
		args = append([]string{"vault", "--data", d.Home}, args[2:]...)
	}
	if !d.DHT {
		args = append(args, "--no-dht")
	}
	if d.Listen != "" {
		args = append(args, "--listen", d.Listen)
	}
	if d.Verbose {
		args = append(args, "-v")
	}
	return append(append(args, d.Flags...), more...)
}

// launch starts cmd on a thread of its own, which lives as long as the process does: the kernel sends the death signal when that
// thread ends, not when this process does (prctl(2), PR_SET_PDEATHSIG).
func launch(cmd *exec.Cmd) *running {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r := &running{ended: make(chan struct{})}
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(r.ended)
		if r.err = cmd.Start(); r.err != nil {
			close(started)
			return
		}
		r.pid = cmd.Process.Pid
		close(started)
		_ = cmd.Wait()
		r.state = cmd.ProcessState
	}()
	<-started
	return r
}

func (r *running) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (d *Device) current() *running {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run
}

// command makes a command of this device, in its namespace and as its user.
func (d *Device) command(ctx context.Context, args []string) *exec.Cmd {
	line := append([]string{d.Program, "--home", d.Home}, args...)
	if d.User != 0 {
		id := strconv.Itoa(d.User)
		line = append([]string{"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups", "--"}, line...)
	}
	if d.Space != "" {
		line = append([]string{"ip", "netns", "exec", d.Space}, line...)
	}
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(cmd.Environ(), "HOME="+filepath.Dir(d.Home))
	return cmd
}

// Run runs a command of the program on this device's home.
func (d *Device) Run(ctx context.Context, args ...string) (Result, error) {
	return d.RunInput(ctx, "", args...)
}

// RunInput is Run with something on standard input.
func (d *Device) RunInput(ctx context.Context, input string, args ...string) (Result, error) {
	cmd := d.command(ctx, args)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	return finish(ctx, cmd, args)
}

// Up runs `shoal up` in the foreground until it ends by itself, for runs that should fail.
func (d *Device) Up(ctx context.Context, more ...string) (Result, error) {
	return d.Run(ctx, d.upArgs(more)...)
}

// Ready returns when the daemon answers and has its folder.
func (d *Device) Ready(ctx context.Context) error {
	err := Poll(ctx, pollPause, func() error {
		if r := d.current(); r == nil || r.over() {
			return nil
		}
		s, err := d.Status(ctx)
		if err != nil {
			return err
		}
		if len(s.Folders) == 0 && !d.Vault {
			return errors.New("it has no folder yet")
		}
		return nil
	})
	if err == nil && !d.Running() {
		err = ErrEnded
	}
	if err != nil {
		return fmt.Errorf("wait until %s is ready: %w", d.Name, err)
	}
	return nil
}

// Running tells whether the daemon's process is there.
func (d *Device) Running() bool {
	r := d.current()
	return r != nil && !r.over()
}

// PID returns the process of the daemon; 0 when it does not run.
func (d *Device) PID() int {
	if r := d.current(); r != nil && !r.over() {
		return r.pid
	}
	return 0
}

// Signal sends a signal to the daemon.
func (d *Device) Signal(s syscall.Signal) error {
	pid := d.PID()
	if pid == 0 {
		return fmt.Errorf("signal %s: %w", d.Name, ErrEnded)
	}
	return syscall.Kill(pid, s)
}

// Kill ends the daemon as a power cut would (SIGKILL) and returns when it is gone.
func (d *Device) Kill() error {
	if err := d.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-d.current().ended
	return nil
}

// Stop ends the daemon with `shoal stop` and returns its exit code.
func (d *Device) Stop(ctx context.Context) (int, error) {
	r, err := d.Run(ctx, "stop")
	if err != nil {
		return 0, err
	}
	if r.Code != 0 {
		return 0, fmt.Errorf("%s", r)
	}
	return d.Ended(ctx)
}

// Ended returns when the daemon has ended, with its exit code; -1 when a signal ended it.
func (d *Device) Ended(ctx context.Context) (int, error) {
	r := d.current()
	if r == nil {
		return 0, fmt.Errorf("%s was never started", d.Name)
	}
	select {
	case <-r.ended:
	case <-ctx.Done():
		return 0, fmt.Errorf("wait until %s has ended: %w", d.Name, ctx.Err())
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.state.ExitCode(), nil
}

// Used returns what the last run of the daemon used, once it has ended; zero before.
func (d *Device) Used() (cpu time.Duration, peakBytes int64) {
	r := d.current()
	if r == nil || !r.over() || r.state == nil {
		return 0, 0
	}
	usage, ok := r.state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0
	}
	return r.state.UserTime() + r.state.SystemTime(), usage.Maxrss << 10
}

// Join invites guest to the mesh of host, with a ticket that needs no question, and starts it.
func Join(ctx context.Context, host, guest *Device) error {
	flags := []string{"--yes"}
	if guest.Vault {
		flags = append(flags, "--role", "vault")
	}
	invite, err := host.Invite(ctx, flags...)
	if err != nil {
		return err
	}
	if err := guest.Start("--join", invite.Ticket); err != nil {
		return err
	}
	return guest.Ready(ctx)
}

//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// build builds the program into dir.
func build(dir string) (string, error) { return lab.Build(testContext(), dir) }

// device is a device under test. What goes wrong in its methods fails the test that they are given.
type device struct{ *lab.Device }

// option changes a device before it first runs.
type option func(*lab.Device)

// in puts a device into a network namespace.
func in(n *lab.Network, space int) option {
	return func(d *lab.Device) {
		d.Space, d.Listen = n.Space(space), "/ip4/0.0.0.0/tcp/4001"
	}
}

// alone puts a device into a namespace whose loopback it shares with the devices of the same test only, where that is allowed: what is
// counted there is theirs.
func alone(n *lab.Network) option {
	return func(d *lab.Device) {
		if n != nil {
			d.Space = n.Space(0)
		}
	}
}

// quiet keeps a device from telling everything: for times and sizes.
func quiet(d *lab.Device) { d.Verbose = false }

// newDevice makes a device that does not run yet, with an empty folder. When the test ends it is stopped, and must not have panicked.
func newDevice(t *testing.T, name string, options ...option) *device {
	t.Helper()
	root := tempDir(t)
	port, err := lab.FreePort()
	check(t, err)
	d := &device{&lab.Device{
		Program: program, Name: name, Home: filepath.Join(root, "home"), Dir: filepath.Join(root, name), Log: filepath.Join(root, "log"),
		Listen: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port), Flags: []string{"--no-mdns"}, Verbose: true,
	}}
	check(t, os.Mkdir(d.Dir, 0o755))
	for _, o := range options {
		o(d.Device)
	}
	t.Cleanup(func() { d.finish(t) })
	return d
}

// tempDir makes a folder for one test that every user may enter. It is left behind when the test failed and -keep says so.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(*base, "shoal-test-")
	check(t, err)
	check(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		if t.Failed() && *keep {
			t.Logf("left behind: %s", dir)
			return
		}
		check(t, os.RemoveAll(dir))
	})
	return dir
}

// finish ends the daemon and shows what it said if the test failed.
func (d *device) finish(t *testing.T) {
	lines := 150
	if d.Running() && t.Failed() && !*mute {
		d.testify(t)
	}
	if d.Running() {
		_ = d.Kill()
	}
	log, err := os.ReadFile(d.Log)
	if err != nil {
		return // it never ran
	}
	for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
		if strings.Contains(string(log), sign) {
			t.Errorf("%s said %q", d.Name, sign)
		}
	}
	if *dump {
		lines = 5000
	}
	if t.Failed() && !*mute {
		t.Logf("what %s said:\n%s", d.Name, tail(string(log), lines))
	}
}

// testify has the daemon of a failed test say how it stands, and what it is doing if asked.
func (d *device) testify(t *testing.T) {
	ctx, cancel := context.WithTimeout(testContext(), 5*time.Second)
	defer cancel()
	if r, err := d.Run(ctx, "status", "--json"); err == nil {
		t.Logf("how %s stands:\n%s", d.Name, r.Stdout)
	}
	if *dump {
		_ = d.Signal(syscall.SIGQUIT)
		_, _ = d.Ended(ctx)
	}
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// check fails the test when there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within returns a context of the test with the usual patience.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), *patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ready returns nil.
func eventually(t *testing.T, what string, ready func() error) {
	t.Helper()
	if err := lab.Poll(within(t), 20*time.Millisecond, ready); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// up starts the daemon and returns when it is ready.
func (d *device) up(t *testing.T, more ...string) {
	t.Helper()
	check(t, d.Start(more...))
	check(t, d.Ready(within(t)))
}

// stop stops the daemon as a user does.
func (d *device) stop(t *testing.T) {
	t.Helper()
	code, err := d.Stop(within(t))
	check(t, err)
	if code != 0 {
		t.Errorf("the daemon of %s ended with exit code %d", d.Name, code)
	}
}

// do runs a command that must succeed and returns its output.
func (d *device) do(t *testing.T, args ...string) string {
	t.Helper()
	return d.exits(t, 0, args...).Stdout
}

// exits runs a command that must end with an exit code.
func (d *device) exits(t *testing.T, code int, args ...string) lab.Result {
	t.Helper()
	r, err := d.Run(within(t), args...)
	check(t, err)
	if r.Code != code {
		t.Fatalf("want exit code %d: %s", code, r)
	}
	return r
}

func (d *device) status(t *testing.T) lab.Status {
	t.Helper()
	s, err := d.Status(within(t))
	check(t, err)
	return s
}

// folder returns the status of the device's only folder.
func (d *device) folder(t *testing.T) lab.FolderStatus {
	t.Helper()
	s := d.status(t)
	if len(s.Folders) != 1 {
		t.Fatalf("%s has %d folders, want 1", d.Name, len(s.Folders))
	}
	return s.Folders[0]
}

// wait runs `shoal wait`.
func (d *device) wait(t *testing.T, more ...string) {
	t.Helper()
	d.do(t, append([]string{"wait", "--timeout", patience.String()}, more...)...)
}

// path returns the absolute path of a name in the folder.
func (d *device) path(name string) string { return filepath.Join(d.Dir, name) }

// join makes guest a device of the mesh of host.
func join(t *testing.T, host, guest *device) {
	t.Helper()
	check(t, lab.Join(within(t), host.Device, guest.Device))
}

// pair makes two devices that run and keep a folder the same.
func pair(t *testing.T, options ...option) (a, b *device) {
	t.Helper()
	a, b = newDevice(t, "anna", options...), newDevice(t, "ben", options...)
	a.up(t)
	join(t, a, b)
	return a, b
}

// tree reads a device's folder.
func (d *device) tree(t *testing.T) lab.Tree {
	t.Helper()
	tree, err := lab.Snapshot(d.Dir)
	check(t, err)
	return tree
}

// sameTrees fails the test unless the folders of all devices are the same now, and returns what is in them.
func sameTrees(t *testing.T, devices ...*device) lab.Tree {
	t.Helper()
	tree, err := equalTrees(devices)
	check(t, err)
	return tree
}

// settle returns when the folders of all devices are the same, all have the same records, and nobody writes more of them. It does not lean on
// `shoal wait` for what others have: that is under test itself, and tells of others at most once a second.
func settle(t *testing.T, devices ...*device) lab.Tree {
	t.Helper()
	var tree lab.Tree
	eventually(t, "all devices become the same", func() (err error) {
		before, err := frontier(t, devices)
		if err != nil {
			return err
		}
		if tree, err = equalTrees(devices); err != nil {
			return err
		}
		after, err := frontier(t, devices)
		if err == nil && !maps.Equal(before, after) {
			err = fmt.Errorf("records are still written: %v, then %v", before, after)
		}
		return err
	})
	return tree
}

// equalTrees reads the folders of all devices and returns what is in them, or how they differ.
func equalTrees(devices []*device) (lab.Tree, error) {
	first, err := lab.Snapshot(devices[0].Dir)
	if err != nil {
		return nil, err
	}
	for _, d := range devices[1:] {
		other, err := lab.Snapshot(d.Dir)
		if err != nil {
			return nil, err
		}
		if diff := first.Diff(other); len(diff) > 0 {
			return nil, fmt.Errorf("%s and %s differ in %d names:\n%s", devices[0].Name, d.Name, len(diff), strings.Join(diff[:min(20, len(diff))], "\n"))
		}
	}
	return first, nil
}

// frontier returns the one frontier that all devices have, when each has recorded what is on its disk and has nothing to do.
func frontier(t *testing.T, devices []*device) (map[string]uint64, error) {
	t.Helper()
	var first map[string]uint64
	for i, d := range devices {
		r, err := d.Run(within(t), "wait", "--timeout", "10s", "--peers", "0")
		if err != nil {
			return nil, err
		}
		if r.Code != 0 {
			return nil, errors.New(r.String())
		}
		s, err := d.Status(within(t))
		if err != nil {
			return nil, err
		}
		if len(s.Folders) != 1 || s.Folders[0].State != "idle" {
			return nil, fmt.Errorf("%s is not idle: %+v", d.Name, s.Folders)
		}
		if got := s.Folders[0].Frontier; i == 0 {
			first = got
		} else if !maps.Equal(got, first) {
			return nil, fmt.Errorf("%s has frontier %v, %s has %v", devices[0].Name, first, d.Name, got)
		}
	}
	return first, nil
}

// privateNetwork makes a namespace for one test, so that what goes over the wire can be counted to the byte. Without the rights for
// that it returns nil: the count is then an upper bound, which others on this machine may raise.
func privateNetwork(t *testing.T) *lab.Network {
	t.Helper()
	n, err := lab.NewNetwork(1)
	if errors.Is(err, lab.ErrNoNetwork) {
		return nil
	}
	check(t, err)
	t.Cleanup(func() { check(t, n.Close()) })
	return n
}

// network makes n spaces, all joined, or skips the test.
func network(t *testing.T, n int) *lab.Network {
	t.Helper()
	net, err := lab.NewNetwork(n)
	if errors.Is(err, lab.ErrNoNetwork) {
		t.Skipf("needs network namespaces: %v", err)
	}
	check(t, err)
	t.Cleanup(func() { check(t, net.Close()) })
	check(t, net.PlugAll())
	return net
}

// wire returns the bytes that went over the wire between devices on one loopback so far.
func wire(t *testing.T, d *device) int64 {
	t.Helper()
	n, err := lab.Wire(d.PID())
	check(t, err)
	return n
}

// processorTime returns what the daemons have used so far.
func processorTime(t *testing.T, devices ...*device) (sum time.Duration) {
	t.Helper()
	for _, d := range devices {
		used, err := lab.CPU(d.PID())
		check(t, err)
		sum += used
	}
	return sum
}

// rest lets time pass where nothing is waited for: the test looks at what happens in that time.
func rest(t *testing.T, seconds int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	<-ctx.Done()
}

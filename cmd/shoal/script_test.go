package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

// TestMain makes the test binary the program itself, with a pretended device, when a script calls it.
func TestMain(m *testing.M) {
	runDaemon = pretendDaemon
	testscript.Main(m, map[string]func(){"shoal": func() { os.Exit(run()) }})
}

// TestScripts runs the pages of testdata/script. Beyond testscript's own commands they have:
//
//	daemon            a pretended device (package controltest) with home $SHOAL_HOME and its folder in $WORK/Shoal
//	scene NAME        changes what the device answers; see scenes
//	guest NAME ROLE   a guest asks to be admitted
//	watched           waits until somebody reads the device's events
//	looked            waits until somebody has listed the guests since the last one came
//	calls FILE        compares what the device was asked to do with FILE
//	exits CODE CMD…   runs a command that must end with that exit code
//	running           waits until a daemon answers with home $SHOAL_HOME
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SHOAL_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("TZ", "UTC")
			// A program with the race detector sleeps a second before it exits (go.dev/doc/articles/race_detector).
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Values[deviceKey{}] = new(*controltest.Device)
			return os.Mkdir(filepath.Join(env.WorkDir, "Shoal"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon": func(ts *testscript.TestScript, _ bool, _ []string) { startDevice(ts) },
			"scene": func(ts *testscript.TestScript, _ bool, args []string) {
				scenes[args[0]](theDevice(ts))
			},
			"guest": func(ts *testscript.TestScript, _ bool, args []string) {
				theDevice(ts).Ask(control.Request{Device: controltest.DeviceID(9), Name: args[0], Role: args[1], Via: "code", Address: "192.168.1.7"})
			},
			"watched": func(ts *testscript.TestScript, _ bool, _ []string) {
				within(ts, theDevice(ts).AwaitWatcher)
			},
			"looked": func(ts *testscript.TestScript, _ bool, _ []string) {
				within(ts, theDevice(ts).AwaitLook)
			},
			"calls": func(ts *testscript.TestScript, _ bool, args []string) {
				want := strings.TrimSpace(ts.ReadFile(args[0]))
				if got := strings.Join(theDevice(ts).Calls(), "\n"); got != want {
					ts.Fatalf("the device was asked:\n%s\nwant:\n%s", got, want)
				}
			},
			"exits":   exits,
			"running": running,
		},
	})
}

// within gives await as long as nothing that works takes.
func within(ts *testscript.TestScript, await func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ts.Check(await(ctx))
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d (%v), want %d", got, err, want)
	}
}

func running(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := control.NewClient(ts.Getenv("SHOAL_HOME"), slog.New(slog.DiscardHandler))
	ts.Check(err)
	defer client.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = client.Status(ctx); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("no daemon came up: %v", err)
		}
	}
}

// deviceKey is the key of a script's device.
type deviceKey struct{}

func theDevice(ts *testscript.TestScript) *controltest.Device {
	d := *ts.Value(deviceKey{}).(**controltest.Device)
	if d == nil {
		ts.Fatalf("no daemon runs in this script")
	}
	return d
}

// startDevice runs a pretended device until the script ends.
func startDevice(ts *testscript.TestScript) {
	d := controltest.New(ts.MkAbs("Shoal"))
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Serve(ctx, ts.Getenv("SHOAL_HOME"), func() { close(ready) }) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-ended)
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		ts.Fatalf("start device: %v", err)
	}
	*ts.Value(deviceKey{}).(**controltest.Device) = d
}

// scenes are states of the device that scripts can ask for.
var scenes = map[string]func(*controltest.Device){
	"syncing": func(d *controltest.Device) {
		d.Change(func(s *control.Status, _ *[]control.Folder) {
			f := &s.Folders[0]
			f.State, f.NeedFiles, f.NeedBytes, f.Conflicts = control.StateSyncing, 12, 3_500_000, 1
			s.Devices[0].Folders["Shoal"] = control.Need{NeedFiles: 1, NeedBytes: 100}
			s.Devices = append(s.Devices,
				control.DeviceStatus{ID: controltest.DeviceID(3), Name: "nas", Role: "vault"},
				control.DeviceStatus{ID: controltest.DeviceID(4), Name: "old", Role: "member", Heard: controltest.Now})
			s.Transfer = control.Transfer{InBytesPerS: 2 << 20}
			s.Problems = []control.Problem{{
				Folder: "Shoal", Path: "a\x1b[31m:b\xff", Kind: "name", Message: "this disk cannot hold the name", Since: controltest.Now,
			}}
		})
	},
	"empty": func(d *controltest.Device) {
		d.Change(func(s *control.Status, folders *[]control.Folder) {
			*s = control.Status{Device: s.Device}
			*folders = nil
		})
	},
	"owed": func(d *controltest.Device) {
		d.Owe(
			control.Owed{Device: "phone", Folder: "Shoal", NeedFiles: 2, NeedBytes: 2048},
			control.Owed{Message: "no other device is connected"})
	},
	"conflict": func(d *controltest.Device) {
		d.SetConflicts(control.Conflict{
			Folder: "Shoal", Path: "notes.txt",
			Winner: control.Side{Path: "notes.txt", Kind: "file", Device: "laptop", Time: controltest.Now, Size: 12},
			Copies: []control.Side{
				{Path: "notes (conflict phone 2026-11-22 14.03.05 a1b2).txt", Kind: "file", Device: "phone", Time: controltest.Now, Size: 34},
				{Path: "notes (conflict nas 2026-11-22 14.03.05 c3d4).txt", Kind: "file", Device: "nas", Time: controltest.Now, Size: 56},
			},
		})
	},
	"damaged": func(d *controltest.Device) {
		d.SetChecks(control.Check{Name: "database", State: control.CheckFail, Message: "bucket digests differ", Fix: "shoal doctor --rebuild"})
	},
	"healthy": func(d *controltest.Device) { d.SetChecks() },
	"rotten": func(d *controltest.Device) {
		d.SetDeep(control.Deep{
			Files: 3, Bytes: 30, Edited: 1,
			Damaged:    []control.DeepFinding{{Folder: "Shoal", Path: "a\x1b[31m\xff", Message: "Damaged.", Fix: "Copy it.", Devices: []string{"phone"}}},
			Unreadable: []control.DeepFinding{{Folder: "Photos", Message: "The root is missing."}},
		})
	},
	"denied": func(d *controltest.Device) {
		d.Fail("Approve", control.Errorf(control.CodeRefused, "only an owner may admit"))
	},
	"happened": func(d *controltest.Device) {
		d.Happen(control.Event{Kind: control.EventApplied, Folder: "Shoal", Path: "docs/a.txt", Device: "phone", Message: "changed"})
		d.Happen(control.Event{Kind: control.EventChanged, Folder: "Shoal", Path: "b.txt", Device: "laptop", Message: "created"})
	},
	"admitted": func(d *controltest.Device) { d.Admit("tablet") },
}

// pretendDaemon is what `up` and `run` run in tests. It does with its configuration what a device would do.
func pretendDaemon(ctx context.Context, c daemonConfig) error {
	dir := c.Dir
	if dir == "" {
		dir = c.DefaultDir
	}
	if c.Join == "wrong" {
		return control.Errorf(control.CodeRefused, "the code is wrong or used up")
	}
	const phrase = "abandon ability able about above absent absorb abstract"
	if c.RecoveryOut != "" {
		if err := os.WriteFile(c.RecoveryOut, []byte(phrase+"\n"), 0o600); err != nil {
			return err
		}
	} else if c.ShowPhrase != nil {
		if err := c.ShowPhrase(phrase); err != nil {
			return err
		}
	}
	if c.Join != "" {
		c.Progress("joining with " + c.Join)
	}
	if c.Recover != nil {
		c.Progress("recovering from " + c.Recover.Vault)
	}
	d := controltest.New(dir)
	asked := make(chan error, 1)
	err := d.Serve(ctx, c.Home, func() {
		c.Ready(control.Started{
			Device: controltest.DeviceID(1), Name: c.Name, Folder: "Shoal", Dir: control.Path(dir), API: "http://127.0.0.1:8384",
			Addresses: c.Listen, Created: c.Join == "", Joined: c.Join != "",
			Code: "7-acid-wolf", Ticket: "shoal1ticket", Expires: controltest.Now.Add(10 * time.Minute),
		})
		if c.Ask == nil {
			asked <- nil
			return
		}
		yes, err := c.Ask(ctx, control.Request{Device: controltest.DeviceID(9), Name: "phone", Role: "member", Via: "code"})
		if yes {
			err = errors.Join(err, d.Stop(ctx))
		}
		asked <- err
	})
	if err != nil {
		return err
	}
	return <-asked
}

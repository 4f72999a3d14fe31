// Package controltest is a device that only pretends: an in-memory control.Backend for tests of the control API and of the
// programs that use it.
//
// Its properties: it obeys the contracts of package control's interfaces; it does what it is told at once and touches no
// disk and no network; every change makes the event that a real device would make; time stands still at Now; any method can be
// made to fail (Fail). It is never linked into the program.
package controltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
)

// Now is the time that a Device lives in.
var Now = time.Date(2026, 11, 22, 14, 3, 5, 0, time.UTC)

// DeviceID and FolderID make readable IDs for tests from a small number.
func DeviceID(n byte) string { return shoal.DeviceID{0: n, 31: 1}.String() }

// FolderID makes the ID of a folder.
func FolderID(n byte) string { return shoal.FolderID{0: n, 15: 1}.String() }

// Device is the pretended device. Make it with New. It is safe for concurrent use.
type Device struct {
	mu sync.Mutex // guards all below
	// what it answers
	status    control.Status
	folders   []control.Folder
	revoked   []control.Device
	requests  []control.Request
	conflicts []control.Conflict
	checks    []control.Check
	deep      control.Deep
	owed      []control.Owed
	events    []control.Event
	// what was asked of it
	calls    []string
	failures map[string]error
	invites  int
	stopped  bool
	// closed and replaced at every event
	news chan struct{}
	// a token is put in, if there is room, when somebody begins to watch events
	watched chan struct{}
	// a token is put in, if there is room, when somebody lists the guests; Ask empties it
	looked chan struct{}
	// closed when Stop is called
	stop chan struct{}
}

// New makes a device called "laptop", an owner, with one folder "Shoal" in dir and one other device "phone".
func New(dir string) *Device {
	journal := shoal.JournalID{Device: shoal.DeviceID{0: 1, 31: 1}, Nonce: 0xa1b2}
	d := &Device{
		failures: map[string]error{},
		news:     make(chan struct{}),
		watched:  make(chan struct{}, 16),
		looked:   make(chan struct{}, 1),
		stop:     make(chan struct{}),
		folders: []control.Folder{
			{Name: "Photos", ID: FolderID(2)},
			{Name: "Shoal", ID: FolderID(1), Here: true, Path: control.Path(dir), State: control.StateIdle},
		},
		status: control.Status{
			Device:    control.Self{ID: DeviceID(1), Name: "laptop", Role: "owner"},
			Addresses: []string{"/ip4/192.168.1.4/tcp/4001/p2p/" + DeviceID(1)},
			API:       "http://127.0.0.1:8384",
			Folders: []control.FolderStatus{{
				Name: "Shoal", ID: FolderID(1), Path: control.Path(dir), State: control.StateIdle, Files: 1234, Bytes: 6 << 30,
				Frontier: map[string]shoal.Seq{journal.String(): 42}, CopiesMin: 2, CopiesClaimed: 3,
			}},
			Devices: []control.DeviceStatus{{
				ID: DeviceID(2), Name: "phone", Role: "member", Connected: true, Transport: control.TransportLAN,
				Address: "/ip4/192.168.1.5/tcp/4001", Folders: map[string]control.Need{"Shoal": {}},
			}},
		},
		deep: control.Deep{Files: 1234, Bytes: 6 << 30, Edited: 2},
		checks: []control.Check{
			{Name: "keys", State: control.CheckOK, Message: "readable by you only"},
			{Name: "watch limits", State: control.CheckWarn, Message: "8,192 watches for 9,000 directories", Fix: "raise fs.inotify.max_user_watches"},
		},
	}
	d.happened(control.Event{Kind: control.EventStarted, Message: "Shoal runs"})
	return d
}

// Backend returns the device as a backend of a control.Server.
func (d *Device) Backend() control.Backend {
	return control.Backend{Daemon: d, Folders: d, Upkeep: d, Devices: d, Pairing: d, Conflicts: d, Events: d, Health: d}
}

// Fail makes the method of that name fail from now on, until err is nil.
func (d *Device) Fail(method string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures[method] = err
}

// Calls returns what was asked of the device that changes something, one line each, oldest first.
func (d *Device) Calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// Stopping is closed when the device was asked to stop.
func (d *Device) Stopping() <-chan struct{} { return d.stop }

// AwaitWatcher returns when one more WatchEvents has begun; what happens from then on reaches that watcher.
func (d *Device) AwaitWatcher(ctx context.Context) error { return await(ctx, d.watched) }

// AwaitLook returns when somebody has listed the guests since the last Ask.
func (d *Device) AwaitLook(ctx context.Context) error { return await(ctx, d.looked) }

func await(ctx context.Context, token <-chan struct{}) error {
	select {
	case <-token:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signal puts a token in unless it is full.
func signal(token chan<- struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// Change edits what the device answers to Status and Folders.
func (d *Device) Change(edit func(s *control.Status, folders *[]control.Folder)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	edit(&d.status, &d.folders)
}

// Owe makes waits time out with this owed.
func (d *Device) Owe(owed ...control.Owed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owed = owed
}

// SetConflicts sets the list of conflicts.
func (d *Device) SetConflicts(list ...control.Conflict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conflicts = list
}

// SetChecks sets what Doctor answers.
func (d *Device) SetChecks(list ...control.Check) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checks = list
}

// Ask lets a guest ask to be admitted.
func (d *Device) Ask(r control.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.looked:
	default:
	}
	r.Since = Now
	d.requests = append(d.requests, r)
	d.happened(control.Event{Kind: control.EventRequest, Device: r.Name, Message: r.Name + " asks to be admitted"})
}

// Admit admits a device as if another owner, or a ticket with --yes, had.
func (d *Device) Admit(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.happened(control.Event{Kind: control.EventAdmitted, Device: name, Message: name + " was admitted"})
}

// Happen adds an event; Seq and Time are filled in.
func (d *Device) Happen(e control.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.happened(e)
}

// happened adds an event. mu is held.
func (d *Device) happened(e control.Event) {
	e.Seq, e.Time = uint64(len(d.events)+1), Now
	d.events = append(d.events, e)
	close(d.news)
	d.news = make(chan struct{})
}

// called notes a call that changes something and returns what it fails with. mu is held.
func (d *Device) called(method string, args ...any) error {
	line := method
	for _, arg := range args {
		line += fmt.Sprintf(" %v", arg)
	}
	d.calls = append(d.calls, line)
	return d.failures[method]
}

// Status implements control.Daemon.
func (d *Device) Status(context.Context) (control.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Folders, s.Devices = slices.Clone(s.Folders), slices.Clone(s.Devices)
	for i := range s.Devices {
		s.Devices[i].Folders = maps.Clone(s.Devices[i].Folders)
	}
	s.Problems = slices.Clone(s.Problems)
	return s, d.failures["Status"]
}

// Stop implements control.Daemon.
func (d *Device) Stop(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.called("Stop"); err != nil || d.stopped {
		return err
	}
	d.stopped = true
	close(d.stop)
	return nil
}

// Wait implements control.Daemon: it answers at once.
func (d *Device) Wait(_ context.Context, spec control.WaitSpec) ([]control.Owed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.owed), d.called("Wait", spec.Timeout, spec.Peers)
}

// SetDeep sets what DeepCheck answers.
func (d *Device) SetDeep(found control.Deep) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deep = found
}

// DeepCheck implements control.Health: it answers at once.
func (d *Device) DeepCheck(_ context.Context, tell func(control.DeepProgress)) (control.Deep, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tell(control.DeepProgress{Folder: "Shoal", Files: d.deep.Files, Bytes: d.deep.Bytes, TotalFiles: d.deep.Files, TotalBytes: d.deep.Bytes})
	return d.deep, d.failures["DeepCheck"]
}

// Doctor implements control.Health.
func (d *Device) Doctor(context.Context) ([]control.Check, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.checks), d.failures["Doctor"]
}

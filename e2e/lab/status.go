//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Status is the document of `shoal status --json`, as the contract of the command line has it. It is written out here a second
// time on purpose: a field that is renamed in the product must be seen by the tests.
type Status struct {
	Device    Self           `json:"device"`
	Addresses []string       `json:"addresses"`
	Folders   []FolderStatus `json:"folders"`
	Devices   []PeerStatus   `json:"devices"`
	Problems  []Problem      `json:"problems"`
}

// Self names the device that was asked.
type Self struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// FolderStatus is one folder on this disk.
type FolderStatus struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Path      string            `json:"path"`
	State     string            `json:"state"`
	Error     string            `json:"error"`
	Files     int64             `json:"files"`
	Bytes     int64             `json:"bytes"`
	NeedFiles int64             `json:"need_files"`
	NeedBytes int64             `json:"need_bytes"`
	Conflicts int64             `json:"conflicts"`
	Frontier  map[string]uint64 `json:"frontier"`
	CopiesMin int               `json:"copies_min"`
	// CopiesClaimed counts vaults that only say that they have everything, too.
	CopiesClaimed int `json:"copies_claimed"`
}

// PeerStatus is one other device.
type PeerStatus struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Role      string          `json:"role"`
	Connected bool            `json:"connected"`
	Transport string          `json:"transport"` // lan, direct or relay
	Self      bool            `json:"self"`      // only in the listing of devices
	Revoked   bool            `json:"revoked"`   // only in the listing of devices
	Folders   map[string]Need `json:"folders"`
}

// Need is what a device still lacks in a folder.
type Need struct {
	NeedFiles int64 `json:"need_files"`
	NeedBytes int64 `json:"need_bytes"`
}

// Problem is one thing that is not as it should be.
type Problem struct {
	Folder  string `json:"folder"`
	Path    string `json:"path"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Conflict is one item of `shoal conflicts --json`.
type Conflict struct {
	Folder string `json:"folder"`
	Path   string `json:"path"`
	Winner Side   `json:"winner"`
	Copies []Side `json:"copies"`
}

// Event is one item of `shoal log --json`.
type Event struct {
	Seq     uint64 `json:"seq"`
	Kind    string `json:"kind"`
	Device  string `json:"device"`
	Message string `json:"message"`
}

// Side is one side of a conflict.
type Side struct {
	Path   string    `json:"path"`
	Device string    `json:"device"`
	Time   time.Time `json:"time"`
	Size   int64     `json:"size"`
}

// Invite is the document of `shoal invite --json`.
type Invite struct {
	Code    string    `json:"code"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

// Check is one item of `shoal doctor --json`.
type Check struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Status asks how everything stands.
func (d *Device) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, d, "status")
}

// Conflicts lists the conflicts.
func (d *Device) Conflicts(ctx context.Context) ([]Conflict, error) {
	return ask[[]Conflict](ctx, d, "conflicts")
}

// Events lists what happened, oldest first.
func (d *Device) Events(ctx context.Context) ([]Event, error) {
	return ask[[]Event](ctx, d, "log")
}

// Devices lists the mesh.
func (d *Device) Devices(ctx context.Context) ([]PeerStatus, error) {
	return ask[[]PeerStatus](ctx, d, "devices")
}

// Invite makes an invitation; flags are those of the command.
func (d *Device) Invite(ctx context.Context, flags ...string) (Invite, error) {
	return ask[Invite](ctx, d, append([]string{"invite"}, flags...)...)
}

// Doctor examines the device.
func (d *Device) Doctor(ctx context.Context) ([]Check, error) {
	return ask[[]Check](ctx, d, "doctor")
}

// ask runs a command with --json and reads the one document that it prints.
func ask[T any](ctx context.Context, d *Device, args ...string) (T, error) {
	var v T
	r, err := d.Run(ctx, append([]string{"--json"}, args...)...)
	if err != nil {
		return v, err
	}
	if r.Code != 0 {
		return v, fmt.Errorf("%s", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		return v, fmt.Errorf("read what `shoal %v` printed: %w\n%s", args, err, r.Stdout)
	}
	return v, nil
}

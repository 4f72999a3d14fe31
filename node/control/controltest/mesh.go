package controltest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
)

var (
	_ control.Daemon    = (*Device)(nil)
	_ control.Devices   = (*Device)(nil)
	_ control.Pairing   = (*Device)(nil)
	_ control.Conflicts = (*Device)(nil)
	_ control.Events    = (*Device)(nil)
	_ control.Health    = (*Device)(nil)
)

// Devices implements control.Devices.
func (d *Device) Devices(context.Context) ([]control.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	self := d.status.Device
	list := []control.Device{{Self: true, DeviceStatus: control.DeviceStatus{ID: self.ID, Name: self.Name, Role: self.Role}}}
	for _, other := range d.status.Devices {
		list = append(list, control.Device{DeviceStatus: other})
	}
	return append(list, d.revoked...), d.failures["Devices"]
}

// RenameDevice implements control.Devices.
func (d *Device) RenameDevice(_ context.Context, id shoal.DeviceID, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.called("RenameDevice", d.name(id), name); err != nil {
		return err
	}
	if d.status.Device.ID == id.String() {
		d.status.Device.Name = name
	}
	for i := range d.status.Devices {
		if d.status.Devices[i].ID == id.String() {
			d.status.Devices[i].Name = name
		}
	}
	return nil
}

// RevokeDevice implements control.Devices.
func (d *Device) RevokeDevice(_ context.Context, id shoal.DeviceID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := d.name(id)
	if err := d.called("RevokeDevice", name); err != nil {
		return err
	}
	d.status.Devices = slices.DeleteFunc(d.status.Devices, func(other control.DeviceStatus) bool {
		if other.ID != id.String() {
			return false
		}
		d.revoked = append(d.revoked, control.Device{DeviceStatus: other, Revoked: true})
		return true
	})
	d.happened(control.Event{Kind: control.EventRevoked, Device: name, Message: name + " was revoked"})
	return nil
}

// AddVault implements control.Devices.
func (d *Device) AddVault(_ context.Context, ticket string) (control.VaultAdded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.called("AddVault", ticket); err != nil {
		return control.VaultAdded{}, err
	}
	return control.VaultAdded{Device: DeviceID(3), Name: "vera"}, nil
}

// name finds the name of a device. mu is held.
func (d *Device) name(id shoal.DeviceID) string {
	for _, other := range d.status.Devices {
		if other.ID == id.String() {
			return other.Name
		}
	}
	return d.status.Device.Name
}

// Invite implements control.Pairing. Codes and tickets are counted.
func (d *Device) Invite(_ context.Context, spec control.InviteSpec) (control.Invite, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.called("Invite", spec.Role, spec.Expires, spec.Yes); err != nil {
		return control.Invite{}, err
	}
	d.invites++
	return control.Invite{
		Code:    fmt.Sprintf("%d-acid-wolf", d.invites),
		Ticket:  fmt.Sprintf("shoal1ticket%d", d.invites),
		Expires: Now.Add(spec.Expires),
	}, nil
}

// Requests implements control.Pairing.
func (d *Device) Requests(context.Context) ([]control.Request, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	signal(d.looked)
	return slices.Clone(d.requests), d.failures["Requests"]
}

// Approve implements control.Pairing.
func (d *Device) Approve(_ context.Context, id shoal.DeviceID) error {
	return d.answer("Approve", id, control.EventAdmitted, "was admitted")
}

// Deny implements control.Pairing.
func (d *Device) Deny(_ context.Context, id shoal.DeviceID) error {
	return d.answer("Deny", id, control.EventDenied, "was sent away")
}

func (d *Device) answer(method string, id shoal.DeviceID, kind control.EventKind, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.requests, func(r control.Request) bool { return r.Device == id.String() })
	if i < 0 {
		return control.Errorf(control.CodeFailed, "guest %s: %w", id, control.ErrNotFound)
	}
	guest := d.requests[i]
	if err := d.called(method, guest.Name); err != nil {
		return err
	}
	d.requests = slices.Delete(d.requests, i, i+1)
	d.happened(control.Event{Kind: kind, Device: guest.Name, Message: guest.Name + " " + what})
	return nil
}

// Conflicts implements control.Conflicts.
func (d *Device) Conflicts(context.Context) ([]control.Conflict, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.conflicts)
	for i := range list {
		list[i].Copies = slices.Clone(list[i].Copies)
	}
	return list, d.failures["Conflicts"]
}

// ResolveConflict implements control.Conflicts.
func (d *Device) ResolveConflict(_ context.Context, at control.Location, keep control.Keep) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := control.Path(at.Path)
	i := slices.IndexFunc(d.conflicts, func(c control.Conflict) bool {
		return c.Path == path || slices.ContainsFunc(c.Copies, func(s control.Side) bool { return s.Path == path })
	})
	if i < 0 {
		return control.Errorf(control.CodeFailed, "%s is in no conflict: %w", path, control.ErrNotFound)
	}
	if c := d.conflicts[i]; keep == control.KeepCopy && c.Path == path && len(c.Copies) > 1 {
		return control.Errorf(control.CodeUsage, "%s has %d copies: name the one to keep", path, len(c.Copies))
	}
	if err := d.called("ResolveConflict", path, keep); err != nil {
		return err
	}
	d.conflicts = slices.Delete(d.conflicts, i, i+1)
	return nil
}

// LastEvent implements control.Events.
func (d *Device) LastEvent() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(len(d.events))
}

// WatchEvents implements control.Events.
func (d *Device) WatchEvents(ctx context.Context, since uint64, emit func(control.Event) error) error {
	signal(d.watched)
	for {
		d.mu.Lock()
		fresh := slices.Clone(d.events[min(since, uint64(len(d.events))):])
		news := d.news
		d.mu.Unlock()
		for _, e := range fresh {
			if err := emit(e); err != nil {
				return err
			}
			since = e.Seq
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// Log implements control.Events.
func (d *Device) Log(_ context.Context, at *control.Location, limit int) ([]control.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []control.Event
	for _, e := range d.events {
		if at == nil || d.about(e, *at) {
			list = append(list, e)
		}
	}
	return list[max(0, len(list)-limit):], d.failures["Log"]
}

// about tells whether e concerns at or something under it. mu is held.
func (d *Device) about(e control.Event, at control.Location) bool {
	i := slices.IndexFunc(d.folders, func(f control.Folder) bool { return f.ID == at.Folder.String() })
	if i < 0 || d.folders[i].Name != e.Folder {
		return false
	}
	path := string(at.Path)
	return path == "" || string(e.Path) == path || strings.HasPrefix(string(e.Path), path+"/")
}

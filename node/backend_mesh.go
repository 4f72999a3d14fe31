package node

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// Devices implements control.Devices.
func (n *Node) Devices(ctx context.Context) ([]control.Device, error) {
	var out []control.Device
	heard := n.heard(time.Now())
	for _, d := range n.roster.State().Devices() {
		out = append(out, control.Device{DeviceStatus: n.deviceStatus(d, heard[d.ID]), Self: d.ID == n.self(), Revoked: d.Revoked})
	}
	slices.SortFunc(out, func(a, b control.Device) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (n *Node) deviceStatus(d mesh.Device, heard time.Time) control.DeviceStatus {
	s := control.DeviceStatus{ID: d.ID.String(), Name: d.Name, Role: d.Role.String(), Heard: heard, Folders: map[string]control.Need{}}
	for _, p := range n.host.Peers() {
		if p.Device == d.ID && n.trusts(d.ID) {
			s.Connected, s.Address, s.Transport = true, p.Address, control.Transport(p.Transport)
		}
	}
	if !s.Connected {
		if a := n.host.KnownAddrs(d.ID); len(a) > 0 {
			s.Address = a[0]
		}
	}
	for _, f := range n.runsNow() {
		_ = f.index.View(func(tx *index.Tx) error {
			st, ok, err := tx.Status(d.ID)
			if err == nil && ok {
				s.Folders[f.name()] = control.Need{NeedFiles: st.Owed, NeedBytes: st.OwedBytes}
			}
			return err
		})
	}
	return s
}

// RenameDevice implements control.Devices.
func (n *Node) RenameDevice(ctx context.Context, id shoal.DeviceID, name string) error {
	err := n.roster.Update(func(r *mesh.Roster) error { return r.RenameDevice(n.id, id, name, time.Now()) })
	if err != nil {
		return rosterError(err, "rename a device")
	}
	n.rosterGrew()
	return nil
}

// RevokeDevice implements control.Devices. What the device wrote and this one has seen counts; nothing later does.
func (n *Node) RevokeDevice(ctx context.Context, id shoal.DeviceID) error {
	if id == n.self() {
		return control.Errorf(control.CodeRefused, "a device can't revoke itself: do it on another owner's device")
	}
	cuts, err := n.cutsNow(id)
	if err != nil {
		return err
	}
	err = n.roster.Update(func(r *mesh.Roster) error { return r.Revoke(n.id, id, cuts, time.Now(), rand.Reader) })
	if err != nil {
		return rosterError(err, "revoke a device")
	}
	n.rosterGrew()
	return nil
}

// cutsNow is how far the journals of a device are here.
func (n *Node) cutsNow(id shoal.DeviceID) (map[shoal.JournalID]mesh.Cut, error) {
	cuts := map[shoal.JournalID]mesh.Cut{}
	for _, f := range n.runsNow() {
		err := f.index.View(func(tx *index.Tx) error {
			for j, pos := range tx.Frontier() {
				if j.Device == id {
					cuts[j] = mesh.Cut{Seq: pos.Seq, Head: pos.HeadHash}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return cuts, nil
}

// Invite implements control.Pairing.
func (n *Node) Invite(ctx context.Context, spec control.InviteSpec) (control.Invite, error) {
	me, ok := n.roster.State().Device(n.self())
	if !ok || me.Role != mesh.RoleOwner || me.Revoked {
		return control.Invite{}, control.Errorf(control.CodeRefused, "only an owner's device can invite; this one is no owner")
	}
	role, err := mesh.ParseRole(spec.Role)
	if err != nil {
		return control.Invite{}, control.Errorf(control.CodeUsage, "%w", err)
	}
	inv, err := n.host.NewInvite(role, spec.Expires, spec.Yes && role != mesh.RoleOwner)
	if err != nil {
		return control.Invite{}, err
	}
	return control.Invite{Code: inv.Code, Ticket: inv.Ticket, Expires: inv.Expires}, nil
}

// Requests implements control.Pairing.
func (n *Node) Requests(ctx context.Context) ([]control.Request, error) {
	var out []control.Request
	for _, w := range n.guests.list() {
		out = append(out, w.request())
	}
	return out, nil
}

// Approve implements control.Pairing.
func (n *Node) Approve(ctx context.Context, dev shoal.DeviceID) error {
	return n.answer(ctx, dev, true)
}

// Deny implements control.Pairing.
func (n *Node) Deny(ctx context.Context, dev shoal.DeviceID) error { return n.answer(ctx, dev, false) }

func (n *Node) answer(ctx context.Context, dev shoal.DeviceID, yes bool) error {
	w := n.guests.find(dev)
	if w == nil {
		return control.Errorf(control.CodeFailed, "no such device asks to be admitted")
	}
	w.decide(yes)
	select {
	case <-w.outcome:
		if yes {
			return w.err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

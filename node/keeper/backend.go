package keeper

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
)

// Stop implements control.Daemon.
func (k *keeper) Stop(context.Context) error {
	k.stop()
	return nil
}

// Wait implements control.Daemon; its route is not served.
func (k *keeper) Wait(context.Context, control.WaitSpec) ([]control.Owed, error) {
	return nil, control.Errorf(control.CodeUsage, "a vault has no folder to wait for: ask on a device")
}

// Status implements control.Daemon: what a vault has in common with devices. It has no folders on a disk.
func (k *keeper) Status(context.Context) (control.Status, error) {
	self := k.id.Device()
	state := k.roster.State()
	me, _ := state.Device(self)
	s := control.Status{
		Device: control.Self{ID: self.String(), Name: k.name(self), Role: me.Role.String()}, Addresses: k.host.Addrs(),
		Folders: []control.FolderStatus{}, Devices: []control.DeviceStatus{}, Problems: []control.Problem{},
	}
	connected := map[shoal.DeviceID]p2p.Peer{}
	for _, p := range k.host.Peers() {
		connected[p.Device] = p
	}
	for _, d := range state.Devices() {
		if d.ID == self || d.Revoked {
			continue
		}
		ds := control.DeviceStatus{ID: d.ID.String(), Name: k.name(d.ID), Role: d.Role.String(), Folders: map[string]control.Need{}}
		if p, up := connected[d.ID]; up {
			ds.Connected, ds.Address, ds.Transport = true, p.Address, control.Transport(p.Transport)
		}
		s.Devices = append(s.Devices, ds)
	}
	slices.SortFunc(s.Devices, func(a, b control.DeviceStatus) int { return strings.Compare(a.ID, b.ID) })
	r, err := k.tenant.Report()
	if err != nil {
		return s, err
	}
	if r.Trouble != index.TroubleNone {
		s.Problems = append(s.Problems, control.Problem{Kind: troubleKind(r.Trouble), Message: "Nothing more is taken in: " + k.troubleText(r.Trouble), Since: time.Now()})
	}
	if me.Revoked {
		s.Problems = append(s.Problems, control.Problem{Kind: "revoked", Message: "This vault was revoked. What it keeps stays; nothing is exchanged any more.", Since: time.Now()})
	}
	return s, nil
}

func troubleKind(t index.Trouble) string {
	if t == index.TroubleQuota {
		return "quota"
	}
	return "disk"
}

func (k *keeper) troubleText(t index.Trouble) string {
	if t == index.TroubleQuota {
		return "the quota is used up."
	}
	if k.inBucket() {
		return "the bucket " + place(k.target) + " does not answer, or refuses."
	}
	return "the disk is full or failing."
}

// Vault implements control.VaultBackend.
func (k *keeper) Vault(context.Context) (control.Vault, error) {
	self := k.id.Device()
	me, _ := k.roster.State().Device(self)
	v := control.Vault{Device: control.Self{ID: self.String(), Name: k.name(self), Role: me.Role.String()}, Addresses: k.host.Addrs()}
	r, err := k.tenant.Report()
	if err != nil {
		return v, err
	}
	v.Tenants = []control.VaultTenant{tenantOf(&r)}
	return v, nil
}

// tenantOf says in the words of the API how a tenant stands.
func tenantOf(r *vault.Report) control.VaultTenant {
	t := control.VaultTenant{
		Mesh: r.Mesh.String(), State: "ok", Used: r.Used, Quota: r.Quota, Retention: seconds(r.Retention), Minimum: seconds(r.Policy.Minimum),
		Shorter: seconds(r.Policy.Shorter), ShorterAt: r.Policy.From, Hold: seconds(r.Hold), Folders: []control.VaultFolder{}, Devices: []control.VaultUploads{},
		Scrub: control.VaultScrub{Running: r.Scrub.Running, Ended: r.Scrub.LastFull, Damaged: r.Scrub.Damaged, Problem: r.Scrub.Problem},
	}
	uploads := map[shoal.DeviceID]index.Upload{}
	for _, f := range r.Folders {
		vf := control.VaultFolder{
			ID: f.Folder.String(), Records: f.Kept.Records, Retained: f.Kept.Retained, Blocks: f.Kept.Blocks, Bytes: f.Kept.Bytes(),
			Lacking: f.Kept.Lacking, Frontier: map[string]shoal.Seq{},
		}
		for j, seq := range f.Frontier {
			vf.Frontier[j.String()] = seq
		}
		if !f.Kept.Whole() {
			t.State = "pulling"
		}
		for dev, u := range f.Uploads {
			uploads[dev] = index.Upload{Blocks: uploads[dev].Blocks + u.Blocks, Bytes: uploads[dev].Bytes + u.Bytes}
		}
		t.Folders = append(t.Folders, vf)
	}
	slices.SortFunc(t.Folders, func(a, b control.VaultFolder) int { return strings.Compare(a.ID, b.ID) })
	for _, dev := range slices.SortedFunc(maps.Keys(uploads), shoal.DeviceID.Compare) {
		t.Devices = append(t.Devices, control.VaultUploads{ID: dev.String(), Blocks: uploads[dev].Blocks, Bytes: uploads[dev].Bytes})
	}
	if r.Trouble != index.TroubleNone {
		t.State = troubleKind(r.Trouble)
	}
	return t
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// SetVault implements control.VaultBackend.
func (k *keeper) SetVault(ctx context.Context, c control.VaultChange) error {
	if c.Retention != nil {
		if err := k.tenant.SetRetention(ctx, time.Duration(*c.Retention)*time.Second); err != nil {
			return control.Errorf(control.CodeUsage, "%w", err)
		}
	}
	if c.Quota != nil {
		return k.tenant.SetQuota(ctx, *c.Quota)
	}
	return nil
}

// ScrubVault implements control.VaultBackend.
func (k *keeper) ScrubVault(context.Context) error {
	k.tenant.AskScrub()
	return nil
}

// eventSource answers what happened.
type eventSource struct{ k *keeper }

func (s eventSource) LastEvent() uint64 { return s.k.events.LastEvent() }

func (s eventSource) WatchEvents(ctx context.Context, since uint64, emit func(control.Event) error) error {
	return s.k.events.WatchEvents(ctx, since, emit)
}

func (s eventSource) Log(_ context.Context, at *control.Location, limit int) ([]control.Event, error) {
	if at != nil {
		return nil, control.Errorf(control.CodeUsage, "a vault knows no paths")
	}
	return s.k.events.Find("", "", limit), nil
}

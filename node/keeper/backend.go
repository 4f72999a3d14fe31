package keeper

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/eventlog"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
)

// Stop implements control.Daemon.
func (p *process) Stop(context.Context) error {
	p.stop()
	return nil
}

// Wait implements control.Daemon; its route is not served.
func (p *process) Wait(context.Context, control.WaitSpec) ([]control.Owed, error) {
	return nil, control.Errorf(control.CodeUsage, "a vault has no folder to wait for: ask on a device")
}

// Status implements control.Daemon: what a vault has in common with devices. It has no folders on a disk. The device is that of the first tenant;
// devices and problems are those of all.
func (p *process) Status(context.Context) (control.Status, error) {
	st := p.started()
	s := control.Status{
		Device: control.Self{ID: st.Device, Name: st.Name, Role: mesh.RoleVault.String()}, Addresses: st.Addresses,
		Folders: []control.FolderStatus{}, Devices: []control.DeviceStatus{}, Problems: []control.Problem{},
	}
	for _, t := range p.all() {
		if k := t.running.Load(); k != nil {
			if err := k.addStatus(&s); err != nil {
				return s, err
			}
			continue
		}
		if err := t.failed.Load(); err != nil {
			s.Problems = append(s.Problems, control.Problem{Kind: "tenant", Message: "Tenant " + t.name() + " does not run: " + (*err).Error(), Since: p.began})
		}
	}
	slices.SortFunc(s.Devices, func(a, b control.DeviceStatus) int { return strings.Compare(a.ID, b.ID) })
	return s, nil
}

// addStatus adds a tenant's devices and problems to the status of the vault.
func (k *keeper) addStatus(s *control.Status) error {
	self := k.id.Device()
	state := k.roster.State()
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
	r, err := k.tenant.Report()
	if err != nil {
		return err
	}
	if r.Trouble != index.TroubleNone {
		s.Problems = append(s.Problems, control.Problem{Kind: troubleKind(r.Trouble), Message: "Nothing more is taken in: " + k.troubleText(r.Trouble), Since: time.Now()})
	}
	if me, _ := state.Device(self); me.Revoked {
		s.Problems = append(s.Problems, control.Problem{Kind: "revoked", Message: "This vault was revoked. What it keeps stays; nothing is exchanged any more.", Since: time.Now()})
	}
	return nil
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
		return "the bucket " + bucketPlace(k.target) + " does not answer, or refuses."
	}
	return "the disk is full or failing."
}

// Vault implements control.VaultBackend.
func (p *process) Vault(context.Context) (control.Vault, error) {
	st := p.started()
	v := control.Vault{
		Device: control.Self{ID: st.Device, Name: st.Name, Role: mesh.RoleVault.String()}, Addresses: st.Addresses, Entries: []string{},
		Quota: p.whole.limit.Load(), Used: p.used(), Tenants: []control.VaultTenant{},
	}
	for _, s := range p.all() {
		t := p.tenantStatus(s)
		v.Tenants = append(v.Tenants, t)
		v.Entries = append(v.Entries, t.Entries...)
	}
	return v, nil
}

// tenantStatus tells how one tenant stands, also when it does not run.
func (p *process) tenantStatus(s *slot) control.VaultTenant {
	t := control.VaultTenant{State: "failed", Data: control.Path(s.place.dir), Folders: []control.VaultFolder{}, Devices: []control.VaultUploads{}, Addresses: []string{}, Entries: []string{}}
	if m := s.mesh.Load(); m != nil {
		t.Mesh = m.String()
	}
	if err := s.failed.Load(); err != nil {
		t.Problem = (*err).Error()
	}
	if !s.place.note.Moved.IsZero() {
		t.State = "moved"
		t.Problem = "It was exported at " + s.place.note.Moved.Format(time.RFC3339) + ", and lives elsewhere."
	}
	k := s.running.Load()
	if k == nil {
		return t
	}
	r, err := k.tenant.Report()
	if err != nil {
		t.Problem = err.Error()
		return t
	}
	running := tenantOf(&r)
	running.Data, running.Device, running.Addresses = t.Data, k.id.Device().String(), k.host.Addrs()
	running.Entries = append(t.Entries, k.host.DHTEntry()...)
	return running
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
func (p *process) SetVault(ctx context.Context, c control.VaultChange) error {
	if c.WholeQuota != nil && p.cfg.Bucket != "" {
		return control.Errorf(control.CodeRefused, "a vault in a bucket keeps one mesh: set its quota, without --all")
	}
	if c.WholeQuota != nil {
		if err := p.whole.set(*c.WholeQuota); err != nil {
			return err
		}
	}
	if c.Quota == nil && c.Retention == nil {
		return nil
	}
	k, err := p.running(c.Tenant)
	if err != nil {
		return err
	}
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

// running returns a tenant that a person names and that runs.
func (p *process) running(name string) (*keeper, error) {
	s, err := p.find(name)
	if err != nil {
		return nil, err
	}
	if k := s.running.Load(); k != nil {
		return k, nil
	}
	return nil, control.Errorf(control.CodeFailed, "tenant %s does not run; `shoal vault status` says why", s.name())
}

// ScrubVault implements control.VaultBackend.
func (p *process) ScrubVault(context.Context) error {
	for _, s := range p.all() {
		if k := s.running.Load(); k != nil {
			k.tenant.AskScrub()
		}
	}
	return nil
}

// VaultHealth implements control.VaultBackend.
func (p *process) VaultHealth(context.Context) (control.VaultHealth, error) {
	return control.VaultHealth{Problems: append([]string{}, p.problems()...)}, nil
}

// eventSource answers what happened.
type eventSource struct{ events *eventlog.Log }

func (s eventSource) LastEvent() uint64 { return s.events.LastEvent() }

func (s eventSource) WatchEvents(ctx context.Context, since uint64, emit func(control.Event) error) error {
	return s.events.WatchEvents(ctx, since, emit)
}

func (s eventSource) Log(_ context.Context, at *control.Location, limit int) ([]control.Event, error) {
	if at != nil {
		return nil, control.Errorf(control.CodeUsage, "a vault knows no paths")
	}
	return s.events.Find("", "", limit), nil
}

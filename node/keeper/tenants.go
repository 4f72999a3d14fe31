package keeper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal/node/control"
)

// AddTenant implements control.VaultBackend.
func (p *process) AddTenant(ctx context.Context, spec control.TenantSpec) (control.VaultTenant, error) {
	if err := p.severalMeshes(); err != nil {
		return control.VaultTenant{}, err
	}
	mesh, err := meshOf(spec.Ticket)
	if err != nil {
		return control.VaultTenant{}, err
	}
	if p.keeps(mesh) {
		return control.VaultTenant{}, control.Errorf(control.CodeUsage, "this vault keeps mesh %s already", shortName(mesh))
	}
	at := place{dir: filepath.Join(p.cfg.Data, tenantsFolder, shortName(mesh))}
	if err := p.reserve(&at); err != nil {
		return control.VaultTenant{}, err
	}
	s := p.start(at, spec.Ticket, nil)
	select {
	case <-s.opened:
	case <-s.ended:
	case <-ctx.Done():
		s.stop()
		<-s.ended
		p.drop(s)
		return control.VaultTenant{}, ctx.Err()
	}
	if k := s.running.Load(); k != nil {
		if spec.Quota > 0 {
			if err := k.tenant.SetQuota(ctx, spec.Quota); err != nil {
				return control.VaultTenant{}, err
			}
		}
		p.events.Add(control.Event{Kind: control.EventAdmitted, Message: "Mesh " + s.name() + " is kept from now on."})
		return p.tenantStatus(s), nil
	}
	<-s.ended
	p.drop(s)
	if failed := s.failed.Load(); failed != nil {
		return control.VaultTenant{}, *failed
	}
	return control.VaultTenant{}, control.Errorf(control.CodeFailed, "the vault stops")
}

// reserve makes the folder of a new tenant and gives it ports.
func (p *process) reserve(at *place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tenants)+len(p.vacancies) >= maxTenants {
		return control.Errorf(control.CodeRefused, "a vault keeps %d meshes at most", maxTenants)
	}
	if err := os.MkdirAll(filepath.Dir(at.dir), 0o700); err != nil {
		return fmt.Errorf("make the folder of tenants: %w", err)
	}
	if err := os.Mkdir(at.dir, 0o700); err != nil {
		return fmt.Errorf("make the tenant's folder: %w", err)
	}
	at.note.Slot = p.freeSlot()
	return at.save()
}

// drop forgets a tenant that never was, with its folder. One that was admitted stays, to be started the next time.
func (p *process) drop(s *slot) {
	if s.place.there() {
		return
	}
	p.forget(s)
	if err := os.RemoveAll(s.place.dir); err != nil {
		p.log.Warn("remove the folder of a tenant that did not come to be", "err", err)
	}
}

func (p *process) forget(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.tenants {
		if x == s {
			p.tenants = append(p.tenants[:i:i], p.tenants[i+1:]...)
			return
		}
	}
}

// RemoveTenant implements control.VaultBackend.
func (p *process) RemoveTenant(ctx context.Context, spec control.TenantRemoval) (control.TenantRemoved, error) {
	if err := p.severalMeshes(); err != nil {
		return control.TenantRemoved{}, err
	}
	s, err := p.find(spec.Tenant)
	if err != nil {
		return control.TenantRemoved{}, err
	}
	mesh := s.mesh.Load()
	if mesh == nil {
		return control.TenantRemoved{}, control.Errorf(control.CodeFailed, "tenant %s could not be opened, so its mesh is not known: move its folder away while the vault does not run", s.name())
	}
	s.stop()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return control.TenantRemoved{}, ctx.Err()
	}
	aside, err := s.place.putAside(p.cfg.Data, *mesh, spec.DeleteData, time.Now())
	if err != nil {
		return control.TenantRemoved{}, fmt.Errorf("put the tenant's data aside: %w", err)
	}
	p.forget(s)
	out := control.TenantRemoved{Mesh: mesh.String(), Data: control.Path(aside)}
	if spec.DeleteData {
		out.Data = ""
	}
	p.events.Add(control.Event{Kind: control.EventRevoked, Message: "Mesh " + shortName(*mesh) + " is not kept any more."})
	return out, nil
}

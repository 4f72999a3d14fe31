package keeper

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
)

// name is what a tenant is called before anybody knows its mesh, and after.
func (s *slot) name() string {
	if m := s.mesh.Load(); m != nil {
		return shortName(*m)
	}
	if s.place.root {
		return "in " + s.place.dir
	}
	return filepath.Base(s.place.dir)
}

func (p *process) all() []*slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tenants)
}

// find returns the tenant that a person names: by the ID of its mesh, or the beginning of it; empty: the only one.
func (p *process) find(name string) (*slot, error) {
	var found []*slot
	for _, s := range p.all() {
		id := s.name()
		if m := s.mesh.Load(); m != nil {
			id = m.String()
		}
		if name == "" || len(name) >= 4 && strings.HasPrefix(id, strings.ToLower(name)) {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && name == "":
		return nil, control.Errorf(control.CodeUsage, "this vault keeps no mesh yet")
	case len(found) == 0:
		return nil, fmt.Errorf("%w: no tenant %q; `shoal vault tenants` lists them", control.ErrNotFound, name)
	case name == "":
		return nil, control.Errorf(control.CodeUsage, "this vault keeps %d meshes: name one; `shoal vault tenants` lists them", len(found))
	}
	return nil, control.Errorf(control.CodeUsage, "%q is the beginning of %d tenants' IDs: give more of it", name, len(found))
}

// keeps tells whether a mesh is kept, or cannot be for now.
func (p *process) keeps(id shoal.MeshID) bool {
	for _, s := range p.all() {
		if m := s.mesh.Load(); m != nil && *m == id {
			return true
		}
	}
	return false
}

// freeSlot is the lowest number of ports that nobody has. The caller holds mu.
func (p *process) freeSlot() int {
	for n := 0; ; n++ {
		taken := slices.ContainsFunc(p.tenants, func(s *slot) bool { return s.place.note.Slot == n }) ||
			slices.ContainsFunc(p.vacancies, func(v *vacancy) bool { return v.place.note.Slot == n })
		if !taken {
			return n
		}
	}
}

// used is what all tenants keep, in bytes.
func (p *process) used() (sum int64) {
	for _, s := range p.all() {
		if k := s.running.Load(); k != nil && k.tenant != nil {
			sum += k.tenant.Used()
		}
	}
	return sum
}

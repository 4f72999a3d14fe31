package keeper

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/archive"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/rosterfile"
)

// ExportTenant implements control.VaultBackend: the tenant ends, its folder is written into one file, and it never runs here again: the file has
// the device key, and two vaults with one identity would speak over each other. The note that says so is durable before the file has its name.
// When it fails the tenant runs again. The other tenants go on all the while.
func (p *process) ExportTenant(ctx context.Context, spec control.TenantExport) (control.TenantMoved, error) {
	if err := p.mayMove(); err != nil {
		return control.TenantMoved{}, err
	}
	s, err := p.find(spec.Tenant)
	if err != nil {
		return control.TenantMoved{}, err
	}
	id := s.mesh.Load()
	if id == nil {
		return control.TenantMoved{}, control.Errorf(control.CodeFailed, "tenant %s could not be opened, so it can't be exported", s.name())
	}
	if _, err := os.Lstat(string(spec.File)); !errors.Is(err, fs.ErrNotExist) {
		return control.TenantMoved{}, control.Errorf(control.CodeUsage, "%s is there already", string(spec.File))
	}
	s.stop()
	select {
	case <-s.ended:
	case <-ctx.Done():
	}
	<-s.ended // what it had received is durable now
	at := s.place
	out, err := p.export(ctx, &at, *id, string(spec.File))
	p.forget(s)
	again := p.start(at, "", nil) // one that was sealed off does not run; it is listed
	<-again.opened
	if err != nil && at.note.Moved.IsZero() {
		return out, control.Errorf(control.CodeFailed, "nothing was exported, and the tenant runs again: %w", err)
	}
	if err == nil {
		p.events.Add(control.Event{Kind: control.EventRevoked, Message: "Mesh " + shortName(*id) + " was exported; it does not run here any more."})
	}
	return out, err
}

// export writes the file of a tenant that has ended, and then notes in its place that it has moved.
func (p *process) export(ctx context.Context, at *place, id shoal.MeshID, file string) (control.TenantMoved, error) {
	key, err := mesh.LoadIdentity(at.file(keyFile))
	if err != nil {
		return control.TenantMoved{}, err
	}
	m := archive.Manifest{Mesh: id.String(), Device: key.Device().String(), Made: time.Now().UTC()}
	partial := file + ".partial"
	size, err := writeArchive(ctx, partial, at.dir, &m)
	if err != nil {
		return control.TenantMoved{}, errors.Join(err, removeIfThere(partial))
	}
	was := at.note
	at.note.Moved, at.note.Mesh = m.Made, id.String()
	if err := at.save(); err != nil {
		at.note = was
		return control.TenantMoved{}, errors.Join(err, removeIfThere(partial))
	}
	if err := os.Rename(partial, file); err != nil {
		return control.TenantMoved{}, fmt.Errorf("the tenant is sealed off, and its archive is %s: %w", partial, err)
	}
	return control.TenantMoved{Mesh: id.String(), Device: m.Device, Files: len(m.Files), Bytes: size}, nil
}

// writeArchive makes the file, for its owner alone: it holds a device key.
func writeArchive(ctx context.Context, name, dir string, m *archive.Manifest) (int64, error) {
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	err = archive.Write(ctx, out, dir, m)
	if err == nil {
		err = out.Sync()
	}
	info, statErr := out.Stat()
	if err = errors.Join(err, statErr, out.Close()); err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// mayMove refuses where everything is in a bucket: another machine needs no more than its URL.
func (p *process) mayMove() error {
	if p.cfg.Bucket == "" {
		return nil
	}
	return control.Errorf(control.CodeRefused, "what this vault keeps is in a bucket: to move, stop it and start it elsewhere with the same --s3 and an empty folder")
}

func removeIfThere(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ImportTenant implements control.VaultBackend. The folder gets its name when every byte of it was checked and is durable.
func (p *process) ImportTenant(ctx context.Context, spec control.TenantImport) (control.TenantMoved, error) {
	if err := p.mayMove(); err != nil {
		return control.TenantMoved{}, err
	}
	in, err := os.Open(string(spec.File))
	if err != nil {
		return control.TenantMoved{}, control.Errorf(control.CodeFailed, "%w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return control.TenantMoved{}, err
	}
	v := &vacancy{}
	if v.place.dir, err = p.importFolder(); err != nil {
		return control.TenantMoved{}, err
	}
	if err := p.reserve(&v.place); err != nil {
		return control.TenantMoved{}, err
	}
	p.mu.Lock()
	p.vacancies = append(p.vacancies, v) // its ports are taken
	p.mu.Unlock()
	defer p.strike(v)
	m, err := archive.Read(ctx, in, info.Size(), v.place.dir)
	if errors.Is(err, archive.ErrDamaged) {
		err = control.Errorf(control.CodeConflict, "%s: %w", string(spec.File), err)
	}
	var id shoal.MeshID
	if err == nil {
		id, err = p.identify(&v.place, &m)
	}
	at := place{dir: filepath.Join(p.cfg.Data, tenantsFolder, shortName(id)), note: v.place.note}
	if err == nil {
		err = os.Rename(v.place.dir, at.dir)
	}
	if err != nil {
		return control.TenantMoved{}, errors.Join(err, os.RemoveAll(v.place.dir))
	}
	s := p.start(at, "", nil)
	p.strike(v)
	<-s.opened
	if failed := s.failed.Load(); failed != nil {
		return control.TenantMoved{}, *failed
	}
	p.events.Add(control.Event{Kind: control.EventAdmitted, Message: "Mesh " + shortName(id) + " was imported, and is kept from now on."})
	return control.TenantMoved{Mesh: m.Mesh, Device: m.Device, Files: len(m.Files), Bytes: info.Size()}, nil
}

// importFolder names a folder that the next start clears away if the import does not end.
func (p *process) importFolder() (string, error) {
	name, err := randomName()
	return filepath.Join(p.cfg.Data, tenantsFolder, vacantPrefix+name), err
}

// identify checks that what was unpacked is the vault of the mesh that the manifest names, and that it is not kept here.
func (p *process) identify(at *place, m *archive.Manifest) (id shoal.MeshID, err error) {
	key, err := mesh.LoadIdentity(at.file(keyFile))
	if err != nil {
		return id, err
	}
	roster, err := rosterfile.Open(at.file(rosterFile), key, nil)
	if err != nil {
		return id, err
	}
	state := roster.State()
	if err := roster.Close(); err != nil {
		return id, err
	}
	id = state.Mesh()
	me, known := state.Device(key.Device())
	switch {
	case id.String() != m.Mesh || key.Device().String() != m.Device || !known || me.Role != mesh.RoleVault:
		return id, control.Errorf(control.CodeConflict, "the archive is not of the vault that its manifest names")
	case p.keeps(id):
		return id, control.Errorf(control.CodeUsage, "mesh %s is kept here, or was exported from here: move its folder away first", shortName(id))
	}
	return id, nil
}

// movedMesh is the mesh of a tenant that was exported.
func (n *note) movedMesh() (id shoal.MeshID, ok bool) {
	raw, err := hex.DecodeString(n.Mesh)
	return id, err == nil && copy(id[:], raw) == len(id)
}

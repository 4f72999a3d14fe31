package control

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/shoalmesh/shoal"
)

// names turns what people type into IDs. A name that several things share must be replaced by the ID.
type names struct {
	folders Folders
	devices Devices
	pairing Pairing
}

// folder finds a folder of the mesh by name or ID.
func (n names) folder(ctx context.Context, key string) (shoal.FolderID, error) {
	list, err := n.folders.Folders(ctx)
	if err != nil {
		return shoal.FolderID{}, err
	}
	id, err := pick("folder", key, list, func(f Folder) (string, string) { return f.Name, f.ID })
	if err != nil {
		return shoal.FolderID{}, err
	}
	return shoal.ParseFolderID(id)
}

// device finds a device of the mesh that is not revoked by name or ID, and revoked ones by ID.
func (n names) device(ctx context.Context, key string) (shoal.DeviceID, error) {
	list, err := n.devices.Devices(ctx)
	if err != nil {
		return shoal.DeviceID{}, err
	}
	id, err := pick("device", key, list, func(d Device) (string, string) {
		if d.Revoked {
			return "", d.ID
		}
		return d.Name, d.ID
	})
	if err != nil {
		return shoal.DeviceID{}, err
	}
	return shoal.ParseDeviceID(id)
}

// guest finds a device that asks to be admitted by name or ID.
func (n names) guest(ctx context.Context, key string) (shoal.DeviceID, error) {
	list, err := n.pairing.Requests(ctx)
	if err != nil {
		return shoal.DeviceID{}, err
	}
	id, err := pick("waiting device", key, list, func(r Request) (string, string) { return r.Name, r.Device })
	if err != nil {
		return shoal.DeviceID{}, err
	}
	return shoal.ParseDeviceID(id)
}

// pick returns the ID of the only item whose ID is key, or else whose name is key.
func pick[T any](what, key string, list []T, nameAndID func(T) (name, id string)) (string, error) {
	var found []string
	for _, item := range list {
		name, id := nameAndID(item)
		if id == key {
			return id, nil
		}
		if name != "" && name == key {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", notFoundf("there is no %s %q", what, key)
	}
	return "", Errorf(CodeUsage, "%d of the %ss are called %q; use the ID: %s", len(found), what, key, strings.Join(found, ", "))
}

// place finds a path: in the folder of that name or ID, or, without one, an absolute path on this disk.
func (n names) place(ctx context.Context, folder string, p Path) (Location, error) {
	if folder == "" {
		return n.location(ctx, p)
	}
	id, err := n.folder(ctx, folder)
	if err != nil {
		return Location{}, err
	}
	return newLocation(id, p)
}

// location finds the folder on this disk that holds the absolute path abs. Symlinks on the way are followed; the last name
// is not, for it may be a synced symlink.
func (n names) location(ctx context.Context, abs Path) (Location, error) {
	if !filepath.IsAbs(string(abs)) {
		return Location{}, Errorf(CodeUsage, "path %q is not absolute", string(abs))
	}
	list, err := n.folders.Folders(ctx)
	if err != nil {
		return Location{}, err
	}
	f, rel, ok := locate(list, string(abs), filepath.EvalSymlinks)
	if !ok {
		return Location{}, notFoundf("%s is in no folder of this device", abs)
	}
	id, err := shoal.ParseFolderID(f.ID)
	if err != nil {
		return Location{}, err
	}
	return newLocation(id, rel)
}

// locate is location without a disk: eval follows the symlinks of a path that exists. Of nested roots the deepest counts.
func locate(list []Folder, abs string, eval func(string) (string, error)) (in Folder, rel Path, ok bool) {
	target := realParent(filepath.Clean(abs), eval)
	for _, f := range list {
		if !f.Here {
			continue
		}
		// A root may itself be a symlink: it can be named by that name, what is in it is elsewhere.
		root := realParent(filepath.Clean(string(f.Path)), eval)
		forms := []string{root}
		if real, err := eval(root); err == nil && real != root {
			forms = append(forms, real)
		}
		for _, form := range forms {
			inside, here := relative(form, target)
			if here && (!ok || len(inside) < len(rel)) {
				in, rel, ok = f, Path(inside), true
			}
		}
	}
	return in, rel, ok
}

// realParent follows the symlinks of every name of p but the last, as far as the path exists.
func realParent(p string, eval func(string) (string, error)) string {
	dir := filepath.Dir(p)
	if dir == p {
		return p
	}
	real, err := eval(dir)
	if err != nil {
		real = realParent(dir, eval)
	}
	return filepath.Join(real, filepath.Base(p))
}

// relative returns the path of p inside root, with slashes; ok is false when it is not inside.
func relative(root, p string) (rel string, ok bool) {
	if p == root {
		return "", true
	}
	prefix := strings.TrimSuffix(root, string(filepath.Separator)) + string(filepath.Separator)
	if !strings.HasPrefix(p, prefix) {
		return "", false
	}
	return filepath.ToSlash(p[len(prefix):]), true
}

// newLocation checks a path inside a folder.
func newLocation(id shoal.FolderID, rel Path) (Location, error) {
	at := Location{Folder: id, Path: shoal.Path(rel)}
	if rel == "" {
		return at, nil
	}
	if err := at.Path.Validate(); err != nil {
		return Location{}, Errorf(CodeUsage, "%w", err)
	}
	return at, nil
}

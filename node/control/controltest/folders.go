package controltest

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
)

var (
	_ control.Folders = (*Device)(nil)
	_ control.Upkeep  = (*Device)(nil)
)

// Folders implements control.Folders.
func (d *Device) Folders(context.Context) ([]control.Folder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Clone(d.folders)
	for i := range list {
		list[i].Settings = maps.Clone(list[i].Settings)
	}
	return list, d.failures["Folders"]
}

// AddFolder implements control.Folders.
func (d *Device) AddFolder(_ context.Context, dir, name string) (control.Folder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.called("AddFolder", name); err != nil {
		return control.Folder{}, err
	}
	f := control.Folder{Name: name, ID: FolderID(byte(len(d.folders) + 1)), Here: true, Path: control.Path(dir), State: control.StateScanning}
	d.folders = append(d.folders, f)
	slices.SortFunc(d.folders, func(a, b control.Folder) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

// JoinFolder implements control.Folders.
func (d *Device) JoinFolder(_ context.Context, id shoal.FolderID, dir string) (control.Folder, error) {
	return d.edit("JoinFolder", id, func(f *control.Folder) {
		f.Here, f.Path, f.State = true, control.Path(dir), control.StateSyncing
	})
}

// MoveFolder implements control.Folders.
func (d *Device) MoveFolder(_ context.Context, id shoal.FolderID, dir string) (control.Folder, error) {
	return d.edit("MoveFolder", id, func(f *control.Folder) { f.Path = control.Path(dir) })
}

// RemoveFolder implements control.Folders.
func (d *Device) RemoveFolder(_ context.Context, id shoal.FolderID) error {
	_, err := d.edit("RemoveFolder", id, func(f *control.Folder) { f.Here, f.Path, f.State = false, "", "" })
	return err
}

// Rescan implements control.Upkeep.
func (d *Device) Rescan(_ context.Context, id shoal.FolderID) error {
	_, err := d.edit("Rescan", id, func(*control.Folder) {})
	return err
}

// Pause implements control.Upkeep.
func (d *Device) Pause(_ context.Context, id shoal.FolderID) error {
	_, err := d.edit("Pause", id, func(f *control.Folder) { f.State = control.StatePaused })
	return err
}

// Resume implements control.Upkeep.
func (d *Device) Resume(_ context.Context, id shoal.FolderID) error {
	_, err := d.edit("Resume", id, func(f *control.Folder) { f.State = control.StateIdle })
	return err
}

// Confirm implements control.Upkeep.
func (d *Device) Confirm(_ context.Context, id shoal.FolderID, answer control.Answer) error {
	_, err := d.edit("Confirm", id, func(*control.Folder) {}, answer)
	return err
}

// Set implements control.Upkeep. Any key is known.
func (d *Device) Set(_ context.Context, id shoal.FolderID, settings map[string]string) error {
	_, err := d.edit("Set", id, func(f *control.Folder) {
		if f.Settings == nil {
			f.Settings = map[string]string{}
		}
		maps.Copy(f.Settings, settings)
	}, settings)
	return err
}

// edit notes a call about a folder and changes the folder unless the call fails.
func (d *Device) edit(method string, id shoal.FolderID, change func(*control.Folder), args ...any) (control.Folder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.folders, func(f control.Folder) bool { return f.ID == id.String() })
	if i < 0 {
		return control.Folder{}, control.Errorf(control.CodeFailed, "folder %s: %w", id, control.ErrNotFound)
	}
	if err := d.called(method, append([]any{d.folders[i].Name}, args...)...); err != nil {
		return control.Folder{}, err
	}
	change(&d.folders[i])
	return d.folders[i], nil
}

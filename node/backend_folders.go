package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// Folders implements control.Folders.
func (n *Node) Folders(ctx context.Context) ([]control.Folder, error) {
	var out []control.Folder
	for _, f := range n.roster.State().Folders() {
		out = append(out, n.listed(f))
	}
	slices.SortFunc(out, func(a, b control.Folder) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (n *Node) listed(f mesh.Folder) control.Folder {
	c := control.Folder{Name: f.Name, ID: f.ID.String(), Settings: map[string]string{}}
	s := n.settings.Get()
	if e := s.Folder(f.ID); e != nil {
		c.Here, c.Path = true, control.Path(e.Path)
		maps.Copy(c.Settings, e.Options)
		if run := n.folder(f.ID); run != nil {
			snap := run.snapshot()
			if err := run.index.View(func(tx *index.Tx) (err error) {
				c.State, err = stateNow(tx, snap)
				return err
			}); err != nil {
				c.State = control.StateError
			}
		}
	}
	return c
}

// AddFolder implements control.Folders.
func (n *Node) AddFolder(ctx context.Context, dir, name string) (control.Folder, error) {
	if err := checkNewRoot(dir, n.cfg.Home, n.settings.Get().Folders); err != nil {
		return control.Folder{}, err
	}
	if name == "" {
		name = filepath.Base(dir)
	}
	var id shoal.FolderID
	err := n.roster.Update(func(r *mesh.Roster) (err error) {
		id, err = r.AddFolder(n.id, name, time.Now(), randomSource)
		return err
	})
	if err != nil {
		return control.Folder{}, rosterError(err, "add a folder")
	}
	n.rosterGrew()
	return n.keepFolder(ctx, id, dir, true)
}

// JoinFolder implements control.Folders.
func (n *Node) JoinFolder(ctx context.Context, id shoal.FolderID, dir string) (control.Folder, error) {
	if err := checkNewRoot(dir, n.cfg.Home, n.settings.Get().Folders); err != nil {
		return control.Folder{}, err
	}
	if n.folder(id) != nil {
		return control.Folder{}, control.Errorf(control.CodeRefused, "the folder is on this device already")
	}
	if n.roster.Keys(id) == nil {
		return control.Folder{}, control.Errorf(control.CodeFailed, "this device has no key of the folder yet: it comes from an owner or the device that made the folder; try again when one is connected")
	}
	return n.keepFolder(ctx, id, dir, false)
}

// keepFolder begins to keep a folder in dir.
func (n *Node) keepFolder(ctx context.Context, id shoal.FolderID, dir string, joined bool) (control.Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return control.Folder{}, control.Errorf(control.CodeFailed, "can't make the folder: %w", err)
	}
	if err := writeMarker(dir, id, n.self()); err != nil {
		return control.Folder{}, control.Errorf(control.CodeFailed, "can't write into the folder: %w", err)
	}
	if err := n.settings.Update(func(s *settingsDoc) { s.Folders = append(s.Folders, settingsFolder(id, dir, joined)) }); err != nil {
		return control.Folder{}, err
	}
	if err := n.startFolder(ctx, id, dir, joined); err != nil {
		return control.Folder{}, err
	}
	n.exchange.Notify(id)
	info, _ := n.roster.State().Folder(id)
	n.event(control.Event{Kind: control.EventFolder, Folder: info.Name, Message: "is kept in " + dir + " now."})
	return n.listed(info), nil
}

// MoveFolder implements control.Folders.
func (n *Node) MoveFolder(ctx context.Context, id shoal.FolderID, dir string) (control.Folder, error) {
	run := n.folder(id)
	if run == nil {
		return control.Folder{}, control.Errorf(control.CodeFailed, "the folder is not on this device")
	}
	if err := checkMarker(dir, id, n.self()); err != nil {
		return control.Folder{}, control.Errorf(control.CodeFailed, "%s is not where this folder was moved: %w", dir, err)
	}
	n.stopFolder(id)
	if err := n.settings.Update(func(s *settingsDoc) { s.Folder(id).Path = dir }); err != nil {
		return control.Folder{}, err
	}
	if err := n.startFolder(ctx, id, dir, run.joined.Load()); err != nil {
		return control.Folder{}, err
	}
	info, _ := n.roster.State().Folder(id)
	return n.listed(info), nil
}

// RemoveFolder implements control.Folders.
func (n *Node) RemoveFolder(ctx context.Context, id shoal.FolderID) error {
	run := n.folder(id)
	if run == nil {
		return control.Errorf(control.CodeFailed, "the folder is not on this device")
	}
	n.stopFolder(id)
	if err := n.settings.Update(func(s *settingsDoc) {
		s.Folders = slices.DeleteFunc(s.Folders, func(f settingsFolderDoc) bool { return f.ID == id.String() })
	}); err != nil {
		return err
	}
	n.exchange.Notify(id)
	n.duties.forget(id)
	// The files stay; only the marker goes, so that the directory is an ordinary one again.
	if err := os.Remove(markerPath(run.path)); err != nil {
		n.log.Warn("remove marker", "err", err)
	}
	return n.db.DropFolder(id)
}

func (n *Node) serviceOf(id shoal.FolderID) (*folderRun, *folder.Service, error) {
	run := n.folder(id)
	if run == nil {
		return nil, nil, control.Errorf(control.CodeFailed, "the folder is not on this device")
	}
	svc, err := run.service()
	return run, svc, err
}

// Rescan implements control.Upkeep.
func (n *Node) Rescan(ctx context.Context, id shoal.FolderID) error {
	_, svc, err := n.serviceOf(id)
	if err != nil {
		return err
	}
	err = svc.Rescan(ctx)
	if errors.Is(err, folder.ErrWaitJournal) {
		return nil // seen; recorded as soon as it is known which journal it goes to
	}
	return err
}

// Confirm implements control.Upkeep.
func (n *Node) Confirm(ctx context.Context, id shoal.FolderID, answer control.Answer) error {
	_, svc, err := n.serviceOf(id)
	if err != nil {
		return err
	}
	return svc.Do(ctx, func(ctx context.Context, e *folder.Engine) error {
		if e.HeldDeletions() == 0 {
			return control.Errorf(control.CodeFailed, "no deletions wait for an answer")
		}
		if answer == control.AnswerDeletions {
			return e.ConfirmDeletions(ctx)
		}
		return e.RestoreDeletions(ctx)
	})
}

// Pause implements control.Upkeep.
func (n *Node) Pause(ctx context.Context, id shoal.FolderID) error { return n.setPaused(id, true) }

// Resume implements control.Upkeep.
func (n *Node) Resume(ctx context.Context, id shoal.FolderID) error { return n.setPaused(id, false) }

func (n *Node) setPaused(id shoal.FolderID, paused bool) error {
	run := n.folder(id)
	if run == nil {
		return control.Errorf(control.CodeFailed, "the folder is not on this device")
	}
	if err := n.settings.Update(func(s *settingsDoc) {
		if e := s.Folder(id); e != nil {
			e.Paused = paused
		}
	}); err != nil {
		return err
	}
	if svc, err := run.service(); err == nil {
		svc.SetPaused(paused)
	}
	return nil
}

// Set implements control.Upkeep. The one setting so far is the folder's name.
func (n *Node) Set(ctx context.Context, id shoal.FolderID, want map[string]string) error {
	for k := range want {
		if k != "name" {
			return control.Errorf(control.CodeUsage, "there is no setting %q; known: name", k)
		}
	}
	name, ok := want["name"]
	if !ok {
		return nil
	}
	err := n.roster.Update(func(r *mesh.Roster) error { return r.RenameFolder(n.id, id, name, time.Now()) })
	if err != nil {
		return rosterError(err, "rename the folder")
	}
	n.rosterGrew()
	return nil
}

// rosterError says what a refused statement means.
func rosterError(err error, what string) error {
	switch {
	case errors.Is(err, mesh.ErrNotAllowed):
		return control.Errorf(control.CodeRefused, "this device may not %s: an owner has to do it", what)
	case errors.Is(err, shoal.ErrInvalid):
		return control.Errorf(control.CodeUsage, "can't %s: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

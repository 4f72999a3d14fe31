package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/settings"
)

func settingsFolder(id shoal.FolderID, dir string, joined bool) settings.Folder {
	return settings.Folder{ID: id.String(), Path: dir, Joined: joined}
}

// folder returns a folder on this disk; nil when there is none.
func (n *Node) folder(id shoal.FolderID) *folderRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.folders[id]
}

// runsNow lists the folders on this disk, ordered by ID.
func (n *Node) runsNow() []*folderRun {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*folderRun, 0, len(n.folders))
	for _, f := range n.folders {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *folderRun) int { return strings.Compare(a.id.String(), b.id.String()) })
	return out
}

// startFolders starts every folder that the settings name; ctx is the life of all folders. One that can't be started means trouble with the
// database: the device ends, and begins again with a new one if it is damaged.
func (n *Node) startFolders(ctx context.Context) error {
	n.mu.Lock()
	n.running = ctx
	n.mu.Unlock()
	for _, f := range n.settings.Get().Folders {
		id, err := shoal.ParseFolderID(f.ID)
		if err == nil {
			err = n.startFolder(ctx, id, f.Path, f.Joined)
		}
		if err != nil {
			return fmt.Errorf("start the folder %s: %w", f.Path, err)
		}
	}
	return nil
}

// startFolder runs one folder.
func (n *Node) startFolder(ctx context.Context, id shoal.FolderID, path string, joined bool) error {
	idx, err := n.db.Folder(id, index.FolderConfig{
		Mesh: n.roster.State().Mesh(), Identity: n.id,
		Keys: func() *mesh.FolderKeys { return n.roster.Keys(id) }, Roster: n.roster.State,
	})
	if err != nil {
		return fmt.Errorf("open the index of the folder: %w", err)
	}
	// What a revocation cut off while this device was not running is void from the first moment.
	if err := idx.Update(ctx, func(tx *index.Tx) error { _, err := tx.ApplyCuts(); return err }); err != nil {
		return fmt.Errorf("apply revocations: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.folders[id] != nil || n.running == nil {
		return nil
	}
	life, stop := context.WithCancel(n.running)
	run := &folderRun{
		node: n, id: id, path: path, index: idx, stop: stop, ended: make(chan struct{}), proof: make(chan bool, 1), rival: make(chan []byte, 1),
		log: n.log.With("folder", id.String()[:8]),
	}
	run.joined.Store(joined)
	n.folders[id] = run
	n.exchange.Notify(id)
	n.runs.Go(func() {
		defer stop()
		run.run(life)
	})
	return nil
}

// stopFolder ends one folder and waits until it has.
func (n *Node) stopFolder(id shoal.FolderID) {
	n.mu.Lock()
	run := n.folders[id]
	delete(n.folders, id)
	n.mu.Unlock()
	if run != nil {
		run.stop()
		<-run.ended
	}
}

// folderSet shows the folders of this disk to the exchange.
type folderSet struct{ n *Node }

func (s folderSet) IDs() []shoal.FolderID {
	var out []shoal.FolderID
	for _, f := range s.n.runsNow() {
		out = append(out, f.id)
	}
	return out
}

func (s folderSet) Folder(id shoal.FolderID) (indexexchange.Folder, bool) {
	f := s.n.folder(id)
	if f == nil {
		return nil, false
	}
	return f.index, true
}

func (f *folderRun) wake() {
	if open := f.current.Load(); open != nil {
		open.service.Wake()
	}
}

// snapshot says what the folder is doing, also while its root is away.
func (f *folderRun) snapshot() *folder.Snapshot {
	if open := f.current.Load(); open != nil {
		return open.service.Snapshot()
	}
	if msg := f.openErr.Load(); msg != nil {
		return &folder.Snapshot{State: folder.StateError, Err: errors.New(*msg)}
	}
	return &folder.Snapshot{State: folder.StateScanning}
}

// service returns the running service, or why there is none.
func (f *folderRun) service() (*folder.Service, error) {
	if open := f.current.Load(); open != nil {
		return open.service, nil
	}
	if msg := f.openErr.Load(); msg != nil {
		return nil, control.Errorf(control.CodeFailed, "%s", *msg)
	}
	return nil, control.Errorf(control.CodeFailed, "the folder is starting: try again")
}

// checkFirstRoot is checkNewRoot for the first folder of a home that is in no mesh yet: a crash in an earlier first run may have left this device's own
// marker there, and the settings may name the folder.
func (n *Node) checkFirstRoot(dir string) error {
	if m, err := readMarker(dir); err == nil && m.Device == n.self().String() {
		return nil
	}
	return checkNewRoot(dir, n.cfg.Home, nil)
}

// checkNewRoot refuses a directory that can't become a folder: inside another one or around it, or around the home.
func checkNewRoot(dir, home string, others []settings.Folder) error {
	if !filepath.IsAbs(dir) {
		return control.Errorf(control.CodeUsage, "%s is not an absolute path", dir)
	}
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return control.Errorf(control.CodeUsage, "%s is not a folder", dir)
	}
	if inside(home, dir) {
		return control.Errorf(control.CodeUsage, "Shoal's own home %s lies in %s: it would be synced with all its keys. Choose another folder, or another --home", home, dir)
	}
	for _, o := range others {
		if inside(dir, o.Path) || inside(o.Path, dir) {
			return control.Errorf(control.CodeUsage, "%s and the folder %s lie inside each other", dir, o.Path)
		}
	}
	if _, err := readMarker(dir); err == nil {
		return control.Errorf(control.CodeRefused, "%s is a folder of Shoal already (it has a marker in %s). If that is left over, remove %s", dir, shoal.ReservedName, filepath.Join(dir, shoal.ReservedName))
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
		if _, serr := os.Stat(dir); serr == nil {
			return control.Errorf(control.CodeFailed, "can't look into %s: %w", dir, err)
		}
	}
	return nil
}

// inside tells whether p is dir or lies below it.
func inside(p, dir string) bool {
	rel, err := filepath.Rel(realPath(dir), realPath(p))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func realPath(p string) string {
	for q := p; ; q = filepath.Dir(q) {
		if r, err := filepath.EvalSymlinks(q); err == nil {
			rel, err := filepath.Rel(q, p)
			if err != nil {
				return p
			}
			return filepath.Join(r, rel)
		}
		if q == filepath.Dir(q) {
			return p
		}
	}
}

// firstSteps waits until the device is of use, says so once, and ends.
func (n *Node) firstSteps(ctx context.Context) error {
	if n.joining {
		n.cfg.Progress("Fetching what the others have …")
		if err := n.waitJoined(ctx); err != nil {
			return err
		}
	}
	n.event(control.Event{Kind: control.EventStarted, Message: "Shoal runs."})
	s := control.Started{
		Device: n.self().String(), Name: n.deviceName(n.self()), Addresses: n.host.Addrs(), Created: n.created, Joined: n.joining,
	}
	if fs := n.settings.Get().Folders; len(fs) > 0 {
		s.Dir = control.Path(fs[0].Path)
		if id, err := shoal.ParseFolderID(fs[0].ID); err == nil {
			if info, ok := n.roster.State().Folder(id); ok {
				s.Folder = info.Name
			}
		}
	}
	if me, ok := n.roster.State().Device(n.self()); ok && me.Role == mesh.RoleOwner && !n.cfg.Service {
		if inv, err := n.host.NewInvite(mesh.RoleMember, 0, n.cfg.AutoAdmit); err == nil {
			s.Code, s.Ticket, s.Expires = inv.Code, inv.Ticket, inv.Expires
		}
	}
	n.cfg.Ready(s)
	return nil
}

// waitJoined waits for the first complete frontier of every folder, and says for whom it waits when the others leave.
func (n *Node) waitJoined(ctx context.Context) error {
	told := time.Time{}
	for {
		news := n.changed.wait()
		waiting := false
		for _, f := range n.runsNow() {
			waiting = waiting || !f.joined.Load()
		}
		if !waiting {
			return nil
		}
		if len(n.host.Peers()) == 0 && time.Since(told) > 10*time.Second {
			told = time.Now()
			var names []string
			for _, d := range n.others() {
				names = append(names, d.Name)
			}
			n.cfg.Progress("Waiting for " + strings.Join(names, ", ") + " to come back …")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-time.After(time.Second):
		}
	}
}

// randomSource is where new folders and epochs take their secrets from.
var randomSource = rand.Reader

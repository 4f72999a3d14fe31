package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/watch"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
)

// proofWait is how long a device waits for a peer to show the head of its own journal before it begins a new one.
const proofWait = 5 * time.Second

// rootRetry is how often a missing root is looked for.
const rootRetry = time.Second

// folderRun is one folder on this disk. Its goroutine is owned by the node's group of folders.
type folderRun struct {
	node  *Node
	id    shoal.FolderID
	path  string
	log   *slog.Logger
	index *index.Folder
	stop  context.CancelFunc
	ended chan struct{} // closed when run has returned

	current atomic.Pointer[openFolder] // nil while the root is not there
	openErr atomic.Pointer[string]     // why current is nil
	joined  atomic.Bool
	proof   chan bool   // from the exchange: a peer has our journal, and it is the same or not; depth 1
	rival   chan []byte // from the exchange: a head of another history of our journal; depth 1

	whole  atomic.Bool  // the root was looked at as a whole since it was opened, or can't be
	told   atomic.Int64 // paths told of since it was quiet
	toldAt atomic.Int64 // when the limit was last met, in ns
}

// openFolder is what exists while the root is there.
type openFolder struct {
	engine  *folder.Engine
	service *folder.Service
}

func blockKeys(k *mesh.FolderKeys) block.Keys {
	return block.Keys{Chunker: k.Chunker, BlockID: k.BlockID}
}

func wantOf(id block.ID, size uint32, rec shoal.Dot) folder.Want {
	return folder.Want{Block: id, Size: size, Record: rec}
}

// run keeps the folder until ctx ends, opening its root again whenever it went away and came back.
func (f *folderRun) run(ctx context.Context) error {
	defer close(f.ended)
	for {
		err := f.runOpen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var damaged *index.DamagedError
		if errors.As(err, &damaged) {
			f.node.fail(err)
			return nil
		}
		msg := "the folder stopped"
		if err != nil {
			msg = err.Error()
		}
		f.whole.Store(true) // what is not there can't hold anything
		if old := f.openErr.Swap(&msg); old == nil || *old != msg {
			f.log.Error("folder is not available", "path", f.path, "err", err)
			f.node.event(control.Event{Kind: control.EventProblem, Folder: f.name(), Message: msg})
		}
		f.node.changed.ring()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rootRetry):
		}
	}
}

func (f *folderRun) name() string {
	if info, ok := f.node.roster.State().Folder(f.id); ok {
		return info.Name
	}
	return f.id.String()[:8]
}

// runOpen opens the root and runs the folder while it is there.
func (f *folderRun) runOpen(ctx context.Context) error {
	if err := checkMarker(f.path, f.id, f.node.self()); err != nil {
		return err
	}
	fsys, err := disk.Open(f.path)
	if err != nil {
		return fmt.Errorf("open the folder %s: %w", f.path, err)
	}
	defer fsys.Close()
	eng, err := f.newEngine(fsys)
	if err != nil {
		return err
	}
	if err := f.knowRoot(ctx, fsys, eng); err != nil {
		return err
	}
	eng.SetJoining(!f.joined.Load())
	f.whole.Store(false)
	w, err := watch.New(f.path, watch.Options{Skip: func(dir string) bool { return dir == shoal.ReservedName }})
	if err != nil {
		return err
	}
	svc := folder.NewService(folder.ServiceConfig{
		Engine: eng, Watcher: w, Fetch: f.fetch, Log: f.log, Changed: f.serviceChanged,
		Duty: func(d folder.Duty, err error) { f.node.duties.ended(dutyKey{string(d), f.id}, err) },
	})
	svc.SetPaused(f.paused())
	f.current.Store(&openFolder{eng, svc})
	f.openErr.Store(nil)
	defer f.current.Store(nil)

	return f.runService(ctx, w, svc)
}

// newEngine makes the engine of the folder that is open as fsys.
func (f *folderRun) newEngine(fsys *disk.OS) (*folder.Engine, error) {
	keys := f.node.roster.Keys(f.id)
	if keys == nil {
		return nil, fmt.Errorf("this device has no key of the folder")
	}
	bk := blockKeys(keys)
	return folder.New(folder.Config{
		Index: f.index, FS: fsys, Keys: &bk, Self: f.node.self(), Now: time.Now, Log: f.log, Workers: runtime.GOMAXPROCS(0),
		NewestFirst: f.node.recovery != nil,
		Access:      f.access,
		Happened:    f.happened,
		Changed:     func() { f.node.exchange.Notify(f.id) },
		Cached:      func(id block.ID) ([]byte, bool) { return f.node.small.get(smallKey{f.id, id}) },
		Holds: func(ids []block.ID) {
			f.node.small.drop(f.id, ids)
			f.node.blocks.NowHave(f.id, ids)
		},
	})
}

// runService watches the folder and keeps it up to date until ctx ends or the root is gone.
func (f *folderRun) runService(ctx context.Context, w *watch.Watcher, svc *folder.Service) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		err := w.Run(ctx)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, watch.ErrRootGone):
			cancel(err)
		default:
			f.log.Warn("the folder is not watched; it is looked at now and then", "err", err)
		}
	})
	wg.Go(func() {
		f.settleJournal(ctx, svc)
		f.finishJoin(ctx, svc)
	})
	wg.Go(func() { f.leaveHistories(ctx, svc) })
	if err := svc.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return context.Cause(ctx)
}

// access is what the roster lets this device do in the folder.
func (f *folderRun) access() folder.Access {
	roster, self := f.node.roster.State(), f.node.self()
	if me, known := roster.Device(self); known && me.Revoked {
		return folder.AccessNone
	}
	if !roster.MayWrite(self, f.id) {
		return folder.AccessRead
	}
	return folder.AccessWrite
}

// knowRoot finds out whether the root is the very folder that it was. In a copy, or a backup put back, nothing that is missing was deleted by anybody: what the
// database has of the disk is forgotten, and the folder joins anew.
func (f *folderRun) knowRoot(ctx context.Context, fsys *disk.OS, eng *folder.Engine) error {
	st, err := fsys.Lstat("")
	if err != nil {
		return err
	}
	known := f.node.settings.Get()
	e := known.Folder(f.id)
	if e == nil || e.Root == st.Inode {
		return nil
	}
	replaced := e.Root != 0
	if replaced {
		f.node.event(control.Event{Kind: control.EventProblem, Folder: f.name(), Message: "Another folder stands where the root was: a copy, or a backup put back. What differs in it is kept beside what the others have; nothing counts as deleted."})
		if err := eng.ForgetDisk(ctx); err != nil {
			return fmt.Errorf("forget the old disk: %w", err)
		}
		f.joined.Store(false)
	}
	return f.node.settings.Update(func(s *settingsDoc) {
		if e := s.Folder(f.id); e != nil {
			e.Root = st.Inode
			e.Joined = e.Joined && !replaced
		}
	})
}

// happened makes an event of what the engine did. A first sync of very many files is told by its first ones only.
func (f *folderRun) happened(h folder.Happening) {
	if f.told.Add(1) > maxTold && !f.quietSince() {
		return
	}
	e := control.Event{Folder: f.name(), Path: control.Path(h.Path), Device: f.node.deviceName(h.Device)}
	switch h.Kind {
	case folder.HappenedChange:
		e.Kind, e.Message = control.EventChanged, "was changed here."
	case folder.HappenedApply:
		e.Kind, e.Message = control.EventApplied, "was brought up to date."
		if h.Device == (shoal.DeviceID{}) {
			e.Device, e.Message = "", "was removed."
		}
	case folder.HappenedConflict:
		e.Kind, e.Message = control.EventConflict, "holds the other version of a conflict."
	}
	f.node.event(e)
}

// maxTold is how many paths are told of one by one until it is quiet for tellPause.
const (
	maxTold   = 2000
	tellPause = 2 * time.Second
)

// quietSince tells whether nothing was told for a while, and begins to count anew then.
func (f *folderRun) quietSince() bool {
	now := time.Now().UnixNano()
	quiet := now-f.toldAt.Swap(now) > int64(tellPause)
	if quiet {
		f.told.Store(0)
	}
	return quiet
}

func (f *folderRun) paused() bool {
	s := f.node.settings.Get()
	e := s.Folder(f.id)
	return e != nil && e.Paused
}

// settleJournal finds out whether the last run's journal may be continued: at once if it never left this device, else when a peer shows the
// same head. When none does within proofWait, a new journal is begun at the first change.
func (f *folderRun) settleJournal(ctx context.Context, svc *folder.Service) {
	shared := true
	if err := f.index.View(func(tx *index.Tx) error { shared = tx.JournalShared(); return nil }); err != nil {
		f.log.Error("read journal", "err", err)
	}
	proved := !shared
	if shared {
		select {
		case proved = <-f.proof:
		case <-time.After(proofWait):
		case <-ctx.Done():
			return
		}
	}
	err := svc.Do(ctx, func(ctx context.Context, e *folder.Engine) error {
		if proved {
			if err := e.JournalProved(ctx); err == nil {
				return nil
			}
		}
		e.AllowRecording()
		return nil
	})
	if err != nil && ctx.Err() == nil {
		f.log.Error("settle journal", "err", err)
	}
}

// leaveHistories leaves the history of the own journal that is written here whenever a peer has shown another one.
func (f *folderRun) leaveHistories(ctx context.Context, svc *folder.Service) {
	for {
		select {
		case <-ctx.Done():
			return
		case head := <-f.rival:
			err := svc.Do(ctx, func(ctx context.Context, e *folder.Engine) error { return e.LeaveHistory(ctx, head) })
			if err != nil && ctx.Err() == nil {
				f.log.Error("leave the own history of a journal", "err", err)
			}
		}
	}
}

// fetch gets blocks from other devices.
func (f *folderRun) fetch(ctx context.Context, wants []folder.Want, deliver func(folder.Want, []byte) error) error {
	byKey := make(map[block.ID]folder.Want, len(wants))
	asks := make([]blockexchange.Want, len(wants))
	for i, w := range wants {
		byKey[w.Block] = w
		asks[i] = blockexchange.Want{
			Folder: f.id, Block: w.Block, Size: w.Size, Epoch: w.Epoch,
			Hint: blockexchange.Hint{Record: w.Record, Index: w.Index, Part: w.Part},
		}
	}
	return f.node.blocks.Fetch(ctx, asks, func(a blockexchange.Want, data []byte) error {
		err := deliver(byKey[a.Block], data)
		f.node.blocks.NowHave(f.id, []block.ID{a.Block})
		return err
	})
}

// marker is what the file .shoal/marker says: which folder of which device this is.
type marker struct {
	Folder string `json:"folder"`
	Device string `json:"device"`
}

func markerPath(root string) string { return filepath.Join(root, shoal.ReservedName, "marker") }

// maxMarker bounds the marker, in bytes.
const maxMarker = 4096

// checkMarker tells whether the folder id of this device is at root.
func checkMarker(root string, id shoal.FolderID, dev shoal.DeviceID) error {
	m, err := readMarker(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder's root %s is missing, or an empty disk is mounted there: nothing is read as deleted. Put it back, or tell where it is with `shoal folder move NAME DIR`", root)
	case err != nil:
		return fmt.Errorf("read the marker of %s: %w", root, err)
	case m.Folder != id.String():
		return fmt.Errorf("%s belongs to another folder of Shoal", root)
	case m.Device != dev.String():
		return fmt.Errorf("%s belongs to another device: a folder can't be shared by two homes", root)
	}
	return nil
}

func readMarker(root string) (marker, error) {
	var m marker
	f, err := os.Open(markerPath(root))
	if err != nil {
		return m, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxMarker))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(data, &m)
}

// writeMarker makes root a folder of this device. The marker is durable before the settings name the folder.
func writeMarker(root string, id shoal.FolderID, dev shoal.DeviceID) error {
	if err := os.MkdirAll(filepath.Join(root, shoal.ReservedName), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(marker{Folder: id.String(), Device: dev.String()})
	if err != nil {
		return err
	}
	return durable.Replace(markerPath(root), append(data, '\n'))
}

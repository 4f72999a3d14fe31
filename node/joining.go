package node

import (
	"context"
	"os"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
)

// finishJoin waits for one complete frontier, from any device or vault, and lets recording begin then.
func (f *folderRun) finishJoin(ctx context.Context, svc *folder.Service) {
	if f.joined.Load() {
		return
	}
	for {
		news := f.node.changed.wait()
		if f.rootEmpty() || f.mayRecord() {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		}
	}
	// Looking comes in the same step: nothing may be fetched that this disk has already.
	for {
		err := svc.Do(ctx, func(ctx context.Context, e *folder.Engine) error {
			e.SetJoining(false)
			err := e.ScanAll(ctx)
			e.SetJoining(err != nil)
			return err
		})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		f.log.Error("finish joining", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rootRetry):
		}
	}
	f.joined.Store(true)
	if err := f.node.settings.Update(func(s *settingsDoc) {
		if e := s.Folder(f.id); e != nil {
			e.Joined = true
		}
	}); err != nil {
		f.log.Error("save settings", "err", err)
	}
	f.node.exchange.Notify(f.id) // the status says so
	f.node.changed.ring()
}

// rootEmpty tells whether there is nothing in the root that could have to give way to what others have.
func (f *folderRun) rootEmpty() bool {
	list, err := os.ReadDir(f.path)
	return err == nil && (len(list) == 0 || len(list) == 1 && list[0].Name() == shoal.ReservedName)
}

// mayRecord tells whether everything is here that somebody has who does not join himself; alone in the mesh there is nothing to wait for. When all that are connected
// join, as after a loss of every database, the one with the lowest ID goes first, or nobody would.
func (f *folderRun) mayRecord() bool {
	others := f.node.others()
	if len(others) == 0 {
		return true
	}
	connected := map[shoal.DeviceID]bool{}
	for _, p := range f.node.host.Peers() {
		connected[p.Device] = true
	}
	complete, first, met := false, true, false
	err := f.index.View(func(tx *index.Tx) error {
		mine := tx.Frontier()
		for _, d := range others {
			st, known, err := tx.Status(d.ID)
			if err != nil {
				return err
			}
			if connected[d.ID] {
				met = true
				first = first && known && st.Joining && f.node.self().Compare(d.ID) < 0
			}
			if !known || st.Joining {
				continue
			}
			covered := true
			for j, seq := range st.Received {
				covered = covered && mine[j].Seq >= seq
			}
			complete = complete || covered
		}
		return nil
	})
	return err == nil && (complete || met && first)
}

// recordsWhole tells whether everything on this disk is recorded, but for what changed a moment ago.
func (f *folderRun) recordsWhole() bool { return f.joined.Load() && f.whole.Load() }

// serviceChanged passes on that the service did something.
func (f *folderRun) serviceChanged() {
	if !f.whole.Load() {
		if open := f.current.Load(); open != nil && !open.service.Snapshot().FullScan.IsZero() {
			f.whole.Store(true)
			f.node.exchange.Notify(f.id)
		}
	}
	if open := f.current.Load(); open != nil && open.service.Snapshot().State == folder.StateIdle {
		f.node.small.dropFolder(f.id)
		f.node.host.RendezvousChanged() // what others find when they look for this device
	}
	f.node.changed.ring()
}

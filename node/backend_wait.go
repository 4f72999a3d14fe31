package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// Wait implements control.Daemon: everything on this disk is recorded, nothing is owed to it, and so many others have applied the same.
func (n *Node) Wait(ctx context.Context, spec control.WaitSpec) ([]control.Owed, error) {
	ctx, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	if owed, err := n.lookNow(ctx); owed != nil || err != nil {
		return owed, err
	}
	for {
		news := n.changed.wait()
		owed := n.owed(spec.Peers)
		if len(owed) == 0 {
			return nil, nil
		}
		select {
		case <-news:
		case <-time.After(100 * time.Millisecond): // what is owed can also shrink without news, as when a peer leaves
		case <-ctx.Done():
			return owed, nil
		}
	}
}

// lookNow looks at every folder's disk, so that all that was changed before is recorded.
func (n *Node) lookNow(ctx context.Context) ([]control.Owed, error) {
	for _, f := range n.runsNow() {
		for {
			svc, err := f.service()
			if err == nil && f.paused() {
				break
			}
			if err == nil {
				err = svc.Rescan(ctx)
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return []control.Owed{{Device: n.deviceName(n.self()), Folder: f.name(), Message: lookMessage(err)}}, nil
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return nil, nil
}

func lookMessage(err error) string {
	if errors.Is(err, folder.ErrWaitJournal) {
		return "has changes that are not recorded yet"
	}
	return fmt.Sprintf("could not look at its disk: %v", err)
}

// owed lists what is lacking here and elsewhere.
func (n *Node) owed(peers int) []control.Owed {
	var out []control.Owed
	me := n.deviceName(n.self())
	for _, f := range n.runsNow() {
		// First who has not spoken, then what is lacking: what they say between the two is lacking then. The other way round nobody would look at it.
		unheard := n.unheard(f.id)
		fs, _, err := n.folderStatus(f)
		if err != nil {
			out = append(out, control.Owed{Device: me, Folder: fs.Name, Message: err.Error()})
			continue
		}
		if fs.State != control.StateIdle {
			msg := "is " + string(fs.State) + f.lacks()
			if fs.Error != "" {
				msg = fs.Error
			} else if snap := f.snapshot(); snap.Held > 0 {
				msg = fmt.Sprintf("holds back %d deletions until `shoal folder confirm` answers", snap.Held)
			}
			out = append(out, control.Owed{Device: me, Folder: fs.Name, NeedFiles: fs.NeedFiles, NeedBytes: fs.NeedBytes, Message: msg})
			continue
		}
		for _, d := range unheard {
			out = append(out, control.Owed{Device: d.Name, Folder: fs.Name, Message: "has just been connected and has not said yet what it has"})
		}
	}
	return append(out, n.owedByOthers(peers)...)
}

// unheard lists the connected devices that may have something newer without this one knowing. A device that was revoked is told
// nothing, and lacks nothing.
func (n *Node) unheard(f shoal.FolderID) (devs []mesh.Device) {
	if me, _ := n.roster.State().Device(n.self()); me.Revoked {
		return nil
	}
	connected := n.connected()
	for _, d := range n.others() {
		if connected[d.ID] && !n.exchange.Heard(d.ID, f) {
			devs = append(devs, d)
		}
	}
	return devs
}

func (n *Node) connected() map[shoal.DeviceID]bool {
	m := map[shoal.DeviceID]bool{}
	for _, p := range n.host.Peers() {
		m[p.Device] = true
	}
	return m
}

// lacks names one path that the folder still has to bring up to date.
func (f *folderRun) lacks() (text string) {
	_ = f.index.View(func(tx *index.Tx) error {
		paths, err := tx.Needs("", 1)
		if len(paths) > 0 {
			text = fmt.Sprintf("; still to do: %q", string(paths[0]))
		}
		return err
	})
	return text
}

// owedByOthers tells who of the others is behind, as far as spec asks for them.
func (n *Node) owedByOthers(peers int) []control.Owed {
	if peers == 0 {
		return nil
	}
	connected := n.connected()
	var late []control.Owed
	done, asked := 0, 0
	keepers := 0
	for _, d := range n.others() {
		keepers++
		if peers == control.AllPeers && !connected[d.ID] {
			continue
		}
		asked++
		if o := n.behindIn(d); o != nil {
			late = append(late, *o)
		} else {
			done++
		}
	}
	switch {
	case peers == control.AllPeers && keepers > 0 && asked == 0:
		return []control.Owed{{Message: "no other device is connected"}}
	case peers == control.AllPeers || done < peers && len(late) > 0:
		return late
	case done < peers:
		return []control.Owed{{Message: fmt.Sprintf("%d other devices are asked for, the mesh has %d", peers, keepers)}}
	}
	return nil
}

// behindIn says in which folder a device is behind; nil when in none.
func (n *Node) behindIn(d mesh.Device) *control.Owed {
	for _, f := range n.runsNow() {
		var o *control.Owed
		if err := f.index.View(func(tx *index.Tx) error { o = behind(tx, d.ID); return nil }); err != nil {
			o = &control.Owed{Message: err.Error()}
		}
		if o != nil {
			o.Device, o.Folder = d.Name, f.name()
			return o
		}
	}
	return nil
}

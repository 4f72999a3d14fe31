package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// recoveryPause is how often a recovery tells how far it is.
const recoveryPause = 3 * time.Second

// finishRecovery follows what comes back after the device runs: says how far it is, puts the others out if that was asked for, and ends the device
// when it was to run once.
func (n *Node) finishRecovery(ctx context.Context) error {
	rec := n.recovery
	if rec == nil {
		return nil
	}
	if rec.root == nil {
		n.nameOthers()
	}
	tick := time.NewTicker(recoveryPause)
	defer tick.Stop()
	told := ""
	for {
		news := n.changed.wait()
		recorded := n.recordsBack()
		if recorded && rec.root != nil {
			if err := n.revokeOthers(); err != nil {
				return err
			}
		}
		if recorded && len(n.owed(0)) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			if rec.root != nil {
				rec.root.Erase()
				n.cfg.Progress("The other devices were not put out: their records were not complete yet.")
			}
			return nil
		case <-news:
		case <-tick.C:
			if text := n.recoveryState(recorded); text != told {
				told = text
				n.cfg.Progress(text)
			}
		}
	}
	n.tellRecovered()
	if rec.once {
		n.stop()
	}
	return nil
}

// recordsBack tells whether all records are here that the peer of the recovery has, or any connected device if it was none in particular.
func (n *Node) recordsBack() bool {
	connected := n.connected()
	if peer := n.recovery.peer; len(connected) == 0 || peer != (shoal.DeviceID{}) && !connected[peer] {
		return false
	}
	for _, f := range n.runsNow() {
		if len(n.unheard(f.id)) > 0 || n.exchange.Lacks(f.id) {
			return false
		}
	}
	return true
}

// recoveryState says how far a recovery is.
func (n *Node) recoveryState(recorded bool) string {
	if !recorded {
		return "Fetching what the others have …"
	}
	var files, bytes int64
	for _, f := range n.runsNow() {
		_ = f.index.View(func(tx *index.Tx) error {
			needFiles, needBytes := tx.NeedTotals()
			files, bytes = files+needFiles, bytes+needBytes
			return nil
		})
	}
	return fmt.Sprintf("%d files and folders are to come, %.1f MiB", files, float64(bytes)/(1<<20))
}

// tellRecovered says that all is here, and of which folders nothing is.
func (n *Node) tellRecovered() {
	n.cfg.Progress("Everything that the connected devices have is here.")
	for _, f := range n.runsNow() {
		known := 0
		_ = f.index.View(func(tx *index.Tx) error {
			known = len(tx.Frontier())
			return nil
		})
		if known == 0 {
			n.cfg.Progress(fmt.Sprintf("The folder %q is empty, or no device that is connected has it; it comes when one does.", f.name()))
		}
	}
}

// nameOthers says how to put out devices that are lost.
func (n *Node) nameOthers() {
	var names []string
	for _, d := range n.others() {
		if d.ID != n.recovery.peer && d.Role != mesh.RoleVault {
			names = append(names, d.Name)
		}
	}
	if len(names) > 0 {
		n.cfg.Progress("Still in the mesh: " + strings.Join(names, ", ") + ". Put out what is lost or stolen with: shoal devices revoke NAME")
	}
}

// revokeOthers puts out all devices but the peer of the recovery and vaults, by the word of the root. What they wrote and is here counts.
func (n *Node) revokeOthers() error {
	rec := n.recovery
	defer func() {
		rec.root.Erase()
		rec.root = nil
	}()
	for _, d := range n.others() {
		if d.ID == rec.peer || d.Role == mesh.RoleVault {
			continue
		}
		cuts, err := n.cutsNow(d.ID)
		if err != nil {
			return err
		}
		err = n.roster.Update(func(r *mesh.Roster) error { return r.Revoke(rec.root, d.ID, cuts, time.Now(), rand.Reader) })
		if err != nil {
			return rosterError(err, "revoke a device")
		}
		n.event(control.Event{Kind: control.EventRevoked, Device: d.Name, Message: "was put out of the mesh by the recovery phrase."})
		n.cfg.Progress(d.Name + " is put out of the mesh.")
	}
	// By the root again: epochs and keys of which this device would have to wait for others.
	err := n.roster.Update(func(r *mesh.Roster) error {
		_, err := r.Tend(rec.root, time.Now(), rand.Reader)
		return err
	})
	if err != nil {
		return rosterError(err, "give keys")
	}
	n.rosterGrew()
	return nil
}

// root is the public key of the mesh's root.
func (n *Node) root() (root shoal.DeviceID) {
	n.roster.View(func(r *mesh.Roster) { root = r.Root() })
	return root
}

package node

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/p2p"
)

// followLinks tells the exchanges which devices are there.
func (n *Node) followLinks(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-n.host.Events():
			if !ok {
				return nil
			}
			n.linkChanged(e)
		}
	}
}

func (n *Node) linkChanged(e p2p.Event) {
	name := n.deviceName(e.Device)
	if !n.trusts(e.Device) { // only the roster is exchanged, and nobody need know
		if e.Up {
			n.exchange.PeerUp(e.Device)
		} else {
			n.exchange.PeerDown(e.Device)
			n.blocks.PeerDown(e.Device)
		}
		return
	}
	if e.Up {
		n.blocks.PeerUp(e.Device, n.reach.Cost(e.Device))
		n.exchange.PeerUp(e.Device)
		n.event(control.Event{Kind: control.EventConnected, Device: name, Message: "is connected."})
		n.rememberAddresses()
	} else {
		n.blocks.PeerDown(e.Device)
		n.exchange.PeerDown(e.Device)
		n.event(control.Event{Kind: control.EventDisconnected, Device: name, Message: "is not connected any more."})
	}
	n.changed.ring()
}

// setMembers tells the network whom to stay connected with, and through whom it may be reached.
func (n *Node) setMembers() {
	var relays []shoal.DeviceID
	for _, d := range n.others() {
		if d.Role == mesh.RoleVault {
			relays = append(relays, d.ID)
		}
	}
	n.host.SetRelays(relays)
	n.reach.SetMembers()
}

// rememberAddresses saves where the others were seen, for the next start.
func (n *Node) rememberAddresses() {
	err := n.reach.Remember()
	n.duties.ended(dutyKey{name: dutyAddresses}, err)
	if err != nil {
		n.log.Warn("save addresses", "err", err)
	}
}

// rosterGrew says that there are new statements.
func (n *Node) rosterGrew() {
	select {
	case n.rosterCh <- struct{}{}:
	default:
	}
}

// followRoster carries out what new statements mean: members, doors, keys. The exchange applies the cuts.
func (n *Node) followRoster(ctx context.Context) error {
	seen := map[shoal.DeviceID]bool{}
	trusted := map[shoal.DeviceID]bool{}
	for _, d := range n.roster.State().Devices() {
		seen[d.ID], trusted[d.ID] = d.Revoked, n.trusts(d.ID)
	}
	n.tend()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.rosterCh:
		}
		n.exchange.NotifyRoster()
		n.setMembers()
		n.host.RendezvousChanged()
		n.announce(seen)
		n.meetAnew(trusted)
		n.tend()
		n.changed.ring()
	}
}

// announce makes an event of each device that came or was revoked.
func (n *Node) announce(seen map[shoal.DeviceID]bool) {
	for _, d := range n.roster.State().Devices() {
		revoked, known := seen[d.ID]
		seen[d.ID] = d.Revoked
		switch {
		case !known && !d.Revoked:
			how := "is in the mesh as " + d.Role.String() + "."
			if d.AdmittedBy == n.root() {
				how = "was let into the mesh as " + d.Role.String() + " with the recovery phrase. If that was not you, put it out: shoal devices revoke"
			}
			n.event(control.Event{Kind: control.EventAdmitted, Device: d.Name, Message: how})
		case d.Revoked && !revoked:
			n.event(control.Event{Kind: control.EventRevoked, Device: d.Name, Message: "was put out of the mesh."})
		}
	}
}

// meetAnew ends the links with devices that became trusted or ceased to be: the next one begins with the right sessions.
func (n *Node) meetAnew(trusted map[shoal.DeviceID]bool) {
	for _, d := range n.roster.State().Devices() {
		now := n.trusts(d.ID)
		if was, known := trusted[d.ID]; known && was != now {
			n.host.Disconnect(d.ID)
		}
		trusted[d.ID] = now
	}
}

// tend makes what the mesh lacks and this device can give: epochs after a revocation, keys for devices admitted elsewhere.
func (n *Node) tend() {
	made := 0
	err := n.roster.Update(func(r *mesh.Roster) (err error) {
		made, err = r.Tend(n.id, time.Now(), rand.Reader)
		return err
	})
	if err != nil {
		n.log.Warn("tend the roster", "err", err)
	}
	if made > 0 {
		n.exchange.NotifyRoster()
	}
}

// rosterDoor lets the exchange read and extend the roster.
type rosterDoor struct{ n *Node }

func (d rosterDoor) Heads() []mesh.Hash               { return d.n.roster.Heads() }
func (d rosterDoor) Has(h mesh.Hash) bool             { return d.n.roster.Has(h) }
func (d rosterDoor) Since(heads []mesh.Hash) [][]byte { return d.n.roster.Since(heads) }

func (d rosterDoor) Add(_ context.Context, raw [][]byte) error {
	grew, err := d.n.roster.Add(raw)
	if grew {
		d.n.rosterGrew()
	}
	return err
}

// recordsCame wakes the folder whose records grew.
func (n *Node) recordsCame(f shoal.FolderID, a index.Accepted) {
	if run := n.folder(f); run != nil {
		run.wake()
	}
	for _, p := range a.Problems {
		n.log.Warn("a record was set aside", "path", string(p.Path), "err", p.Message)
	}
	n.changed.ring()
}

// journalShown passes on that a peer has shown its position in this device's own journal.
func (n *Node) journalShown(f shoal.FolderID, _ shoal.DeviceID, same bool) {
	run := n.folder(f)
	if run == nil {
		return
	}
	select {
	case run.proof <- same:
	default:
	}
}

// rivalShown passes on that a peer has another history of this device's own journal.
func (n *Node) rivalShown(f shoal.FolderID, peer shoal.DeviceID, head []byte) {
	n.log.Warn("a device has another history of our journal", "device", peer, "folder", f)
	if run := n.folder(f); run != nil {
		select {
		case run.rival <- head:
		default: // one is looked at already
		}
	}
}

func (n *Node) forked(f shoal.FolderID, fork *index.ForkError) {
	n.log.Error("a device signed two histories", "err", fork)
	n.event(control.Event{
		Kind: control.EventProblem, Device: n.deviceName(fork.Journal.Device),
		Message: "has signed two different histories of one journal: it was put back to an earlier state, or a copy of it runs, or it lies. It is told, and should leave one of them; both are kept as evidence.",
	})
	_ = f
}

// standing tells what this device has not applied, for its status.
func (n *Node) standing(f shoal.FolderID, tx *index.Tx) (index.Standing, error) {
	run := n.folder(f)
	st := index.Standing{Joining: run == nil || !run.recordsWhole()}
	paths, err := tx.Needs("", index.MaxExceptions+1)
	if err != nil || len(paths) > index.MaxExceptions {
		return st, err
	}
	excused := map[shoal.Path]string{}
	if run != nil {
		excused = run.snapshot().Excused
	}
	st.Complete = true
	st.Exceptions = make([]index.Exception, len(paths))
	for i, p := range paths {
		st.Exceptions[i] = index.Exception{Path: p, Reason: index.ReasonOwed}
		switch folder.Excuse(excused, p) {
		case "excluded":
			st.Exceptions[i].Reason = index.ReasonExcluded
		case "error":
			st.Exceptions[i].Reason = index.ReasonError
		}
	}
	return st, nil
}

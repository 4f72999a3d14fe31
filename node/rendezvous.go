package node

import (
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/beacon"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/p2p"
)

// horizon is what the hash table said of devices that were not connected. The zero value is ready; it is safe for
// concurrent use.
type horizon struct {
	mu   sync.Mutex
	seen map[shoal.DeviceID]seenDevice // guarded by mu; devices of the mesh
}

type seenDevice struct {
	at        time.Time
	positions []beacon.Position
}

// note keeps what a device said and tells whether that is news.
func (h *horizon) note(dev shoal.DeviceID, s seenDevice) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[shoal.DeviceID]seenDevice{}
	}
	news = !slices.Equal(h.seen[dev].positions, s.positions)
	h.seen[dev] = s
	return news
}

func (h *horizon) of(dev shoal.DeviceID) (seenDevice, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.seen[dev]
	return s, ok
}

// hashTable says how to take part in it: the ways in are what the user named, and those that worked before.
func (n *Node) hashTable() p2p.DHT {
	return p2p.DHT{On: !n.cfg.NoDHT, Bootstrap: append(slices.Clone(n.cfg.Bootstrap), n.settings.Get().Entries...)}
}

// rendezvous is what this device contributes to being found through the hash table.
func (n *Node) rendezvous() p2p.Rendezvous {
	return p2p.Rendezvous{Secrets: n.rendezvousSecrets, Devices: n.findable, Note: n.positions, Found: n.sighted}
}

// rendezvousSecrets are the keys of the mesh's epochs, that to write under first. While there is none of that kind, somebody who was
// revoked could read what is left: then nothing is.
func (n *Node) rendezvousSecrets() [][32]byte {
	keys := n.roster.Keys(shoal.FolderID{})
	if keys == nil || !n.trusts(n.self()) {
		return nil
	}
	current, ok := keys.Current()
	if !ok {
		return nil
	}
	out := [][32]byte{current.Rendezvous}
	for _, e := range keys.Epochs() {
		if e.ID != current.ID {
			out = append(out, e.Rendezvous)
		}
	}
	return out
}

// findable are the devices that leave records: vaults have no keys.
func (n *Node) findable() []shoal.DeviceID {
	var out []shoal.DeviceID
	for _, d := range n.others() {
		if d.Role != mesh.RoleVault {
			out = append(out, d.ID)
		}
	}
	return out
}

// positions is the note: how far the journals go that this device has.
func (n *Node) positions() []byte {
	var all []beacon.Position
	for _, f := range n.runsNow() {
		err := f.index.View(func(tx *index.Tx) error {
			for j, pos := range tx.Frontier() {
				all = append(all, beacon.Position{Folder: f.id, Journal: j, Seq: pos.Seq})
			}
			return nil
		})
		if err != nil {
			n.log.Warn("read positions of journals", "folder", f.id, "err", err)
		}
	}
	return beacon.Encode(n.self(), all, p2p.MaxNote)
}

// sighted notes what the hash table says of a device that is not connected.
func (n *Node) sighted(s p2p.Sighting) {
	positions, err := beacon.Decode(s.Note)
	if err != nil {
		n.log.Warn("read the note of a device", "device", s.Device, "err", err)
		return
	}
	if n.seen.note(s.Device, seenDevice{at: s.At, positions: positions}) && n.isAhead(positions) {
		n.event(control.Event{
			Kind: control.EventSeen, Device: n.deviceName(s.Device),
			Message: "has changes that are not here yet. It is sought at the addresses that it left.",
		})
	}
	n.changed.ring()
}

// isAhead tells whether somebody who is at these positions has something of a folder here that this device has not.
func (n *Node) isAhead(positions []beacon.Position) bool {
	for _, f := range n.runsNow() {
		ahead := false
		err := f.index.View(func(tx *index.Tx) error {
			mine := tx.Frontier()
			for _, p := range positions {
				ahead = ahead || p.Folder == f.id && p.Seq > mine[p.Journal].Seq
			}
			return nil
		})
		if err == nil && ahead {
			return true
		}
	}
	return false
}

// unreached are the problems of devices that have something newer and cannot be reached.
func (n *Node) unreached() []control.Problem {
	connected := map[shoal.DeviceID]bool{}
	for _, p := range n.host.Peers() {
		connected[p.Device] = true
	}
	var out []control.Problem
	for _, d := range n.others() {
		s, ok := n.seen.of(d.ID)
		if ok && !connected[d.ID] && n.isAhead(s.positions) {
			out = append(out, control.Problem{
				Kind: "unreached", Since: s.at,
				Message: d.Name + " has changes that are not here yet, and is not connected. It was last known to be on the network at " + s.at.Format(time.RFC3339) + ".",
			})
		}
	}
	return out
}

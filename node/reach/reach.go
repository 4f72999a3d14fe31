// Package reach joins the network of a device with what it remembers of where the others are: whom to stay connected with, at which
// addresses, and at what cost. Devices and vaults do that alike.
package reach

import (
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/p2p"
)

// Reach is made once for one host. Its methods are safe for concurrent use.
type Reach struct {
	Self      shoal.DeviceID
	Host      *p2p.Host
	Roster    func() *mesh.State // cheap, safe for concurrent use
	Settings  *settings.Store
	Bootstrap []string // addresses where any member may be found
}

// Cost tells what it costs to get something from a device over the link that there is; that of a relay when there is none.
func (r *Reach) Cost(dev shoal.DeviceID) blockexchange.Cost {
	for _, p := range r.Host.Peers() {
		if p.Device != dev {
			continue
		}
		switch p.Transport {
		case p2p.TransportLAN:
			return blockexchange.CostLAN
		case p2p.TransportDirect:
			return blockexchange.CostDirect
		}
	}
	return blockexchange.CostRelay
}

// SetMembers tells the network whom to stay connected with, and where they were last seen. Of those that were revoked only owners are
// sought: they may know of a statement that undoes it.
func (r *Reach) SetMembers() {
	known := r.Settings.Get().Addresses
	members := map[shoal.DeviceID][]string{}
	for _, d := range r.Roster().Devices() {
		if d.ID == r.Self || d.Revoked && d.Role != mesh.RoleOwner {
			continue
		}
		members[d.ID] = slices.Concat(r.Host.KnownAddrs(d.ID), known[d.ID.String()], r.Bootstrap)
	}
	r.Host.SetMembers(members)
}

// Remember saves where the others were seen, for the next start.
func (r *Reach) Remember() error {
	seen := map[string][]string{}
	for _, d := range r.Roster().Devices() {
		if a := r.Host.KnownAddrs(d.ID); len(a) > 0 && !d.Revoked && d.ID != r.Self {
			seen[d.ID.String()] = a
		}
	}
	entries := r.Host.DHTEntries()
	if len(seen) == 0 && len(entries) == 0 {
		return nil
	}
	return r.Settings.Update(func(s *settings.Settings) {
		if len(entries) > 0 {
			s.Entries = entries
		}
		for dev, a := range seen {
			s.Addresses[dev] = a
		}
	})
}

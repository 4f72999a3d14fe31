package keeper

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// knows is the network's gate: who is, or was, in the mesh. Those that were revoked get the roster and nothing else.
func (k *keeper) knows(dev shoal.DeviceID) bool {
	_, known := k.roster.State().Device(dev)
	return known
}

// trusts tells whether a device may give and have records and blocks.
func (k *keeper) trusts(dev shoal.DeviceID) bool {
	s := k.roster.State()
	return s.Admitted(dev) && s.Admitted(k.id.Device())
}

func (k *keeper) isVault(dev shoal.DeviceID) bool {
	d, known := k.roster.State().Device(dev)
	return known && d.Role == mesh.RoleVault
}

// name is what a device is called here. Names are sealed from vaults, so that is mostly a part of its ID.
func (k *keeper) name(dev shoal.DeviceID) string {
	if d, ok := k.roster.State().Device(dev); ok && d.Name != "" {
		return d.Name
	}
	return dev.Short()
}

// followLinks tells the exchanges which devices are there.
func (k *keeper) followLinks(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-k.host.Events():
			if !ok {
				return nil
			}
			k.linkChanged(e)
		}
	}
}

func (k *keeper) linkChanged(e p2p.Event) {
	if !e.Up {
		k.blocks.PeerDown(e.Device)
		k.exchange.PeerDown(e.Device)
		return
	}
	if k.trusts(e.Device) {
		k.blocks.PeerUp(e.Device, k.reach.Cost(e.Device))
		k.rememberAddresses()
	} else if !k.roster.State().Admitted(e.Device) {
		k.log.Info("a revoked device is here: it gets the roster, and nothing else", "device", k.name(e.Device))
	}
	k.exchange.PeerUp(e.Device)
}

// rememberAddresses saves where the others were seen, for the next start.
func (k *keeper) rememberAddresses() {
	if err := k.reach.Remember(); err != nil {
		k.log.Warn("save addresses", "err", err)
	}
}

// followRoster carries out what new statements mean: members, doors, folders. The exchange applies the cuts.
func (k *keeper) followRoster(ctx context.Context) error {
	trusted := map[shoal.DeviceID]bool{}
	for _, d := range k.roster.State().Devices() {
		trusted[d.ID] = k.trusts(d.ID)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.rosterCh:
		}
		if err := k.tenant.OpenFolders(ctx); err != nil {
			return err
		}
		k.exchange.NotifyRoster()
		k.reach.SetMembers()
		for _, d := range k.roster.State().Devices() {
			now := k.trusts(d.ID)
			if was, known := trusted[d.ID]; known && was != now {
				k.host.Disconnect(d.ID) // the next link begins with the right sessions
			}
			trusted[d.ID] = now
		}
	}
}

// rosterDoor lets the exchange read and extend the roster.
type rosterDoor struct{ k *keeper }

func (d rosterDoor) Heads() []mesh.Hash               { return d.k.roster.Heads() }
func (d rosterDoor) Has(h mesh.Hash) bool             { return d.k.roster.Has(h) }
func (d rosterDoor) Since(heads []mesh.Hash) [][]byte { return d.k.roster.Since(heads) }

func (d rosterDoor) Add(_ context.Context, raw [][]byte) error {
	grew, err := d.k.roster.Add(raw)
	if grew {
		if d.k.replica != nil {
			d.k.replica.Wake()
		}
		d.k.rosterGrew()
	}
	return err
}

func (k *keeper) rosterGrew() {
	select {
	case k.rosterCh <- struct{}{}:
	default:
	}
	if k.exchange != nil { // not while the roster still comes from the bucket
		k.exchange.NotifyRoster()
	}
}

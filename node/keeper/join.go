package keeper

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/p2p"
)

// welcome is what a vault uses of what the one that admitted it gives.
type welcome struct {
	Statements [][]byte            `json:"statements"`
	Addresses  map[string][]string `json:"addresses"`
}

// enter joins a mesh if this vault is in none.
func (k *keeper) enter(ctx context.Context) error {
	fresh := k.roster.State().Mesh() == (shoal.MeshID{})
	switch {
	case fresh && k.cfg.Join == "":
		return control.Errorf(control.CodeUsage, "this vault is in no mesh yet: make a ticket with `shoal invite --role vault` on an owner's device, and give it with --join")
	case fresh:
		return k.join(ctx)
	case k.cfg.Join != "":
		return control.Errorf(control.CodeUsage, "this vault is in a mesh already; use another --data for a second one")
	}
	if me, known := k.roster.State().Device(k.id.Device()); known && me.Role != mesh.RoleVault {
		return control.Errorf(control.CodeUsage, "this is the home of a device, not of a vault: give another folder with --data")
	}
	return nil
}

func (k *keeper) join(ctx context.Context) error {
	k.cfg.Progress("Looking for the inviter …")
	_, raw, err := k.host.Join(ctx, k.cfg.Join, p2p.Guest{Name: k.cfg.Name, HPKE: k.id.HPKEPublic()}, k.cfg.Progress)
	if err != nil {
		return control.Errorf(control.CodeRefused, "join: %w", err)
	}
	var w welcome
	if err := json.Unmarshal(raw, &w); err != nil {
		return fmt.Errorf("read what the inviter gave: %w", err)
	}
	r := mesh.NewRoster()
	for _, st := range w.Statements {
		if _, err := r.Add(st); err != nil {
			return fmt.Errorf("read the roster: %w", err)
		}
	}
	if t, err := p2p.ParseTicket(k.cfg.Join); err == nil && t.Mesh != r.Mesh() {
		return control.Errorf(control.CodeRefused, "the inviter gave the roster of another mesh than its ticket names")
	}
	me, known := r.State().Device(k.id.Device())
	if !known || me.Revoked || me.Role != mesh.RoleVault {
		return control.Errorf(control.CodeRefused, "the ticket is not for a vault: make one with `shoal invite --role vault`")
	}
	if err := k.settings.Update(func(s *settings.Settings) { s.Name, s.Addresses = k.cfg.Name, w.Addresses }); err != nil {
		return err
	}
	k.joined = true
	return k.roster.Replace(r)
}

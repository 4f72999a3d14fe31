package keeper

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/node/welcome"
	"github.com/shoalmesh/shoal/p2p"
)

// enter joins a mesh if this vault is in none.
func (k *keeper) enter(ctx context.Context) error {
	fresh := k.roster.State().Mesh() == (shoal.MeshID{})
	switch {
	case fresh && k.cfg.Join == "":
		return control.Errorf(control.CodeFailed, "the roster in %s is empty", k.cfg.Data)
	case fresh:
		return k.join(ctx)
	}
	if me, known := k.roster.State().Device(k.id.Device()); known && me.Role != mesh.RoleVault {
		return control.Errorf(control.CodeUsage, "this is the home of a device, not of a vault: give another folder with --data")
	}
	return nil
}

func (k *keeper) join(ctx context.Context) error {
	if t, err := p2p.ParseTicket(k.cfg.Join); err == nil && t.Vacant() {
		return control.Errorf(control.CodeUsage, "this is the ticket of a vault that waits for a mesh: give it to `shoal devices add-vault` on a device")
	}
	_, raw, err := k.host.Join(ctx, k.cfg.Join, p2p.Guest{Name: k.cfg.Name, HPKE: k.id.HPKEPublic()}, k.cfg.Progress)
	if err != nil {
		return control.Errorf(control.CodeRefused, "join: %w", err)
	}
	w, r, err := welcome.Parse(raw)
	if err != nil {
		return err
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

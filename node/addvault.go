package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/welcome"
	"github.com/shoalmesh/shoal/p2p"
)

const (
	// handoverReach is how long a vault that was just admitted may take to be linked.
	handoverReach = 30 * time.Second
	// handoverPause is between two looks whether it is.
	handoverPause = 100 * time.Millisecond
	// handoverWait bounds the handover itself.
	handoverWait = 2 * time.Minute
)

// AddVault implements control.Devices: this device proves the secret of the ticket to the vault, admits it, and hands it the roster. If it is
// interrupted, the same ticket does it again while it is good.
func (n *Node) AddVault(ctx context.Context, ticket string) (control.VaultAdded, error) {
	t, err := p2p.ParseTicket(ticket)
	if err != nil || !t.Vacant() {
		return control.VaultAdded{}, control.Errorf(control.CodeUsage, "this is no ticket of a vault's operator, who makes one with `shoal vault invite`")
	}
	if me, ok := n.roster.State().Device(n.self()); !ok || me.Role != mesh.RoleOwner || me.Revoked {
		return control.VaultAdded{}, control.Errorf(control.CodeRefused, "only an owner may add a vault: run this on an owner's device")
	}
	_, raw, err := n.host.Join(ctx, ticket, p2p.Guest{Name: n.deviceName(n.self()), HPKE: n.id.HPKEPublic()}, nil)
	if err != nil {
		return control.VaultAdded{}, vaultError(err)
	}
	offer, err := welcome.ParseOffer(raw)
	if err != nil {
		return control.VaultAdded{}, err
	}
	given, err := n.admitNow(p2p.Guest{Device: t.Inviter, HPKE: offer.HPKE, Name: offer.Name, Role: mesh.RoleVault})
	if err != nil {
		return control.VaultAdded{}, fmt.Errorf("admit the vault: %w", err)
	}
	n.host.LearnAddrs(t.Inviter, t.Addrs)
	n.rosterGrew()
	n.setMembers()
	if err := n.handOver(ctx, t.Inviter, given); err != nil {
		var refused *welcome.RefusedError
		if errors.As(err, &refused) { // it will never come, and its key is of no other use
			err = errors.Join(err, n.RevokeDevice(ctx, t.Inviter))
		}
		return control.VaultAdded{}, err
	}
	name := n.deviceName(t.Inviter)
	n.event(control.Event{Kind: control.EventAdmitted, Device: name, Message: "keeps this mesh from now on, as a vault."})
	return control.VaultAdded{Device: t.Inviter.String(), Name: name}, nil
}

// handOver gives the roster to a vault that waits for it, as soon as it is linked.
func (n *Node) handOver(ctx context.Context, vault shoal.DeviceID, given []byte) error {
	reach, cancel := context.WithTimeout(ctx, handoverReach)
	defer cancel()
	tick := time.NewTicker(handoverPause)
	defer tick.Stop()
	for {
		s, err := n.host.Open(reach, vault, welcome.Protocol)
		if err == nil {
			return n.give(s, given)
		}
		select {
		case <-reach.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return control.Errorf(control.CodeFailed, "the vault was admitted, but can't be reached to hand the mesh to it: run this again with the same ticket, or `shoal devices revoke %s`: %w", n.deviceName(vault), err)
		case <-tick.C:
		}
	}
}

func (n *Node) give(s p2p.Stream, given []byte) error {
	defer func() { _ = s.Close() }()
	if err := s.SetDeadline(time.Now().Add(handoverWait)); err != nil {
		return err
	}
	err := welcome.Give(s, given)
	var refused *welcome.RefusedError
	if errors.As(err, &refused) {
		return control.Errorf(control.CodeRefused, "%w", err)
	}
	if err != nil {
		return control.Errorf(control.CodeFailed, "hand the mesh to the vault, which was admitted: %w; run this again with the same ticket", err)
	}
	return nil
}

// vaultError says what a person can do when the ticket of a vault's operator is of no use.
func vaultError(err error) error {
	switch {
	case errors.Is(err, p2p.ErrExpired):
		return control.Errorf(control.CodeRefused, "the ticket has expired, or the vault was started again since: ask its operator for a new one")
	case errors.Is(err, p2p.ErrUsed):
		return control.Errorf(control.CodeRefused, "the ticket was used already: ask the vault's operator for a new one")
	case errors.Is(err, p2p.ErrUnreachable):
		return control.Errorf(control.CodeFailed, "the vault can't be reached at the addresses of its ticket: does it run, and may its port be reached from here?")
	}
	return fmt.Errorf("show the ticket to the vault: %w", err)
}

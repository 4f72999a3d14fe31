package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newDevicesRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Put a device out of the mesh, for ever",
		Long: `Puts a device out of the mesh for ever: it gets nothing that is written from now on, and
what it writes counts for nothing. What it has already it keeps. On a terminal this asks
first, unless there is --yes.`,
		Example: "  shoal devices revoke lost-phone",
		Args:    needArgs("NAME"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			name := terminal.Printable(args[0])
			if a.console.CanAsk() && !a.yes {
				yes, err := a.console.Ask(ctx, "Put \""+name+"\" out of the mesh for ever?")
				if err != nil {
					return err
				}
				if !yes {
					return control.Errorf(control.CodeRefused, "nothing was done")
				}
			}
			if err := client.RevokeDevice(ctx, args[0]); err != nil {
				return err
			}
			a.done(nil, "%s is revoked.", name)
			return nil
		}),
	}
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newDevicesAddVault(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "add-vault TICKET",
		Short: "Have somebody's vault keep this mesh",
		Long: `Brings this mesh to a vault, with the ticket that its operator made with "shoal vault invite";
- reads it from standard input. The vault gets the roster and ciphertext, and no keys: it sees
sizes and times, no names and no contents. Only an owner's device can do this.`,
		Example: "  shoal devices add-vault TICKET\n  shoal devices add-vault - < ticket.txt",
		Args:    needArgs("TICKET"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			ticket, err := readTicket(a.console.In, args[0])
			if err != nil {
				return err
			}
			added, err := client.AddVault(ctx, ticket)
			if err != nil {
				return err
			}
			a.show(added, func() {
				a.console.Printf("The vault \"%s\" keeps this mesh from now on.\n", terminal.Printable(added.Name))
			})
			return nil
		}),
	}
}

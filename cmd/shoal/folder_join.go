package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderJoin(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "join NAME DIR",
		Short: "Keep a folder of the mesh in a directory of this device",
		Long: `Keeps a folder of the mesh in DIR. Files that are there already are adopted when they are
equal and added when they are new; nothing is deleted or overwritten. It returns before
the content is there; "shoal wait" waits for it.`,
		Example: "  shoal folder join Photos ~/Pictures",
		Args:    needArgs("NAME", "DIR"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			dir, err := absolute(args[1])
			if err != nil {
				return err
			}
			folder, err := client.JoinFolder(ctx, args[0], dir)
			if err != nil {
				return err
			}
			a.done(folder, "%s comes to %s.", terminal.Printable(folder.Name), terminal.Printable(string(folder.Path)))
			return nil
		}),
	}
}

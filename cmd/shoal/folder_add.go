package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderAdd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "add DIR",
		Short: "Make a new folder of the mesh from a directory",
		Long:  "Makes a new folder of the mesh from DIR, which is created when it does not exist. Other devices take it with \"shoal folder join\".",
		Example: `  shoal folder add ~/Pictures
  shoal folder add /srv/data --name Data`,
		Args: needArgs("DIR"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			dir, err := absolute(args[0])
			if err != nil {
				return err
			}
			folder, err := client.AddFolder(ctx, dir, name)
			if err != nil {
				return err
			}
			a.done(folder, "Added %s in %s.", terminal.Printable(folder.Name), terminal.Printable(string(folder.Path)))
			return nil
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "name in the mesh (default: that of the directory)")
	return cmd
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderMove(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "move NAME DIR",
		Short:   "Say that a folder's directory was moved",
		Long:    "Says that the directory of a folder is now DIR. Move it first; this command moves no file.",
		Example: "  mv ~/Pictures /big/Pictures && shoal folder move Photos /big/Pictures",
		Args:    needArgs("NAME", "DIR"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			dir, err := absolute(args[1])
			if err != nil {
				return err
			}
			folder, err := client.MoveFolder(ctx, args[0], dir)
			if err != nil {
				return err
			}
			a.done(folder, "%s is in %s.", terminal.Printable(folder.Name), terminal.Printable(string(folder.Path)))
			return nil
		}),
	}
}

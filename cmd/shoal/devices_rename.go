package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newDevicesRename(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "rename NAME NEW",
		Short:   "Give a device another name",
		Long:    "Gives a device another name, on all devices. Names of conflict copies keep the one that it was admitted with.",
		Example: "  shoal devices rename phone old-phone",
		Args:    needArgs("NAME", "NEW"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			if err := client.RenameDevice(ctx, args[0], args[1]); err != nil {
				return err
			}
			a.done(nil, "%s is now called %s.", terminal.Printable(args[0]), terminal.Printable(args[1]))
			return nil
		}),
	}
}

package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderSet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "set NAME KEY=VALUE...",
		Short:   "Change settings of a folder on this device",
		Long:    "Changes settings of a folder on this device, all that are named or none. \"shoal folder list\" shows them.",
		Example: "  shoal folder set Photos watch=false",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return control.Errorf(control.CodeUsage, "%s takes NAME KEY=VALUE", cmd.CommandPath())
			}
			return noEmpty(cmd, args)
		},
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			values := map[string]string{}
			for _, arg := range args[1:] {
				key, value, ok := strings.Cut(arg, "=")
				if !ok || key == "" {
					return control.Errorf(control.CodeUsage, "%q is not KEY=VALUE", arg)
				}
				values[key] = value
			}
			if err := client.Set(ctx, args[0], values); err != nil {
				return err
			}
			a.done(nil, "%s: %s", terminal.Printable(args[0]), terminal.Printable(settings(values)))
			return nil
		}),
	}
}

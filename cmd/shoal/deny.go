package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newDeny(a *app) *cobra.Command {
	return a.onName(&cobra.Command{
		Use:     "deny NAME",
		Short:   "Send a device away that asks",
		Long:    "Sends the device of that name or ID away that asks to join. Its invitation is used up.",
		Example: "  shoal deny phone",
	}, (*control.Client).Deny, "%s was sent away.")
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newApprove(a *app) *cobra.Command {
	return a.onName(&cobra.Command{
		Use:     "approve NAME",
		Short:   "Admit a device that asks",
		Long:    "Admits the device of that name or ID that asks to join. \"shoal devices\" shows who asks; only an owner may admit.",
		Example: "  shoal approve phone",
	}, (*control.Client).Approve, "%s was admitted.")
}

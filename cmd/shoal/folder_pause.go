package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newFolderPause(a *app) *cobra.Command {
	return a.onName(&cobra.Command{
		Use:     "pause NAME",
		Short:   "Neither record nor apply changes until resumed",
		Long:    "Neither records nor applies changes in a folder until \"shoal folder resume\".",
		Example: "  shoal folder pause Photos",
	}, (*control.Client).Pause, "%s is paused.")
}

package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newFolderRemove(a *app) *cobra.Command {
	return a.onName(&cobra.Command{
		Use:     "remove NAME",
		Short:   "Keep a folder on this device no longer",
		Long:    "Keeps a folder on this device no longer. No file is deleted, here or elsewhere.",
		Example: "  shoal folder remove Photos",
	}, (*control.Client).RemoveFolder, "%s is kept here no longer; its files stay where they are.")
}

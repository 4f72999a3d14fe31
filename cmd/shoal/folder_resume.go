package main

import (
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newFolderResume(a *app) *cobra.Command {
	return a.onName(&cobra.Command{
		Use:     "resume NAME",
		Short:   "End a pause",
		Long:    "Ends the pause of a folder.",
		Example: "  shoal folder resume Photos",
	}, (*control.Client).Resume, "%s goes on.")
}

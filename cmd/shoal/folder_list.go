package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the folders of the mesh",
		Long:    "Lists every folder of the mesh, those that are not on this device too.",
		Example: "  shoal folder list\n  shoal folder list --json",
		Args:    noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			folders, err := client.Folders(ctx)
			if err != nil {
				return err
			}
			a.show(folders, func() { printFolders(a.console, folders) })
			return nil
		}),
	}
}

func printFolders(c *terminal.Console, folders []control.Folder) {
	if len(folders) == 0 {
		c.Notef("No folder yet; add one with: shoal folder add DIR")
	}
	var table terminal.Table
	for _, f := range folders {
		state := terminal.Cell{Text: string(f.State), Style: stateStyle(f.State)}
		where := string(f.Path)
		if !f.Here {
			state = terminal.Cell{Text: "not here", Style: terminal.Faint}
			where = "take it with: shoal folder join " + f.Name + " DIR"
		}
		table.Cells(terminal.Cell{Text: f.Name}, state, terminal.Cell{Text: where}, terminal.Cell{Text: settings(f.Settings)})
	}
	table.Print(c, "")
}

// settings returns KEY=VALUE pairs in order.
func settings(m map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, key+"="+m[key])
	}
	return strings.Join(pairs, " ")
}

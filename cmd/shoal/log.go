package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newLog(a *app) *cobra.Command {
	limit := control.DefaultLog
	cmd := &cobra.Command{
		Use:   "log [PATH]",
		Short: "Show what happened, newest last",
		Long:  "Shows what happened, newest last: to the file PATH, to all in the directory PATH, or to everything.",
		Example: `  shoal log
  shoal log ~/Shoal/notes.txt
  shoal log --limit 20 --json`,
		Args: mayHave("PATH"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			if limit < 1 {
				return control.Errorf(control.CodeUsage, "--limit is 1 or more")
			}
			path := ""
			if len(args) == 1 {
				var err error
				if path, err = absolute(args[0]); err != nil {
					return err
				}
			}
			events, err := client.Log(ctx, path, limit)
			if err != nil {
				return err
			}
			a.show(events, func() { printEvents(a.console, events) })
			return nil
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many of the newest to show")
	return cmd
}

func printEvents(c *terminal.Console, events []control.Event) {
	var table terminal.Table
	for _, e := range events {
		where := e.Folder
		if e.Path != "" {
			where += "/" + string(e.Path)
		}
		table.Cells(terminal.Cell{Text: terminal.Time(e.Time), Style: terminal.Faint}, terminal.Cell{Text: string(e.Kind)},
			terminal.Cell{Text: where}, terminal.Cell{Text: e.Device}, terminal.Cell{Text: e.Message})
	}
	table.Print(c, "")
}

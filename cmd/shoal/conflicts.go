package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newConflicts(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "conflicts",
		Short: "List files that were changed on two devices at once",
		Long: `Lists each file that was changed on two devices before they met: the side that won, and the
others, which stand beside it as copies. Settle one with "shoal resolve".`,
		Example: "  shoal conflicts\n  shoal conflicts --json",
		Args:    noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			conflicts, err := client.Conflicts(ctx)
			if err != nil {
				return err
			}
			a.show(conflicts, func() { printConflicts(a.console, conflicts) })
			return nil
		}),
	}
}

func printConflicts(c *terminal.Console, conflicts []control.Conflict) {
	if len(conflicts) == 0 {
		c.Notef("No conflicts.")
		return
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = ""
	}
	for i, conflict := range conflicts {
		if i > 0 {
			c.Printf("\n")
		}
		c.Printf("%s\n", c.Styled(terminal.Bold, terminal.Printable(nearPath(cwd, string(conflict.Abs)))))
		var table terminal.Table
		side := func(what string, s control.Side, name string) {
			table.Row(what, terminal.Bytes(s.Size), s.Device, terminal.Time(s.Time), name)
		}
		side("winner", conflict.Winner, "")
		for _, s := range conflict.Copies {
			side("copy", s, nearPath(cwd, string(s.Abs)))
		}
		table.Print(c, "  ")
	}
	c.Printf("\nSettle one with: shoal resolve PATH --keep winner|copy|both\n")
}

// nearPath returns an absolute path as one would type it in cwd: relative when it lies inside.
func nearPath(cwd, abs string) string {
	if cwd == "" {
		return abs
	}
	rel, err := filepath.Rel(cwd, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return abs
	}
	return rel
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newDoctor(a *app) *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check keys, disk, database, network, watch limits, clock",
		Long: `Examines this device and says what to do about what it finds. The exit code is 6 when
something is damaged or does not work.

With --deep it also reads every file on this device again and compares it with what was
recorded: a file that is not the same though nobody changed it was damaged by the disk.
Nothing is changed. It takes as long as reading all files takes; syncing goes on meanwhile.`,
		Example: "  shoal doctor\n  shoal doctor --json\n  shoal doctor --deep",
		Args:    noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			checks, err := client.Doctor(ctx)
			if err != nil {
				return err
			}
			if deep {
				return a.deepCheck(ctx, client, checks)
			}
			a.show(checks, func() { printChecks(a.console, checks) })
			return failedChecks(checks)
		}),
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read every file again and compare it with what was recorded")
	return cmd
}

func printChecks(c *terminal.Console, checks []control.Check) {
	styles := map[control.CheckState]terminal.Style{
		control.CheckOK: terminal.Green, control.CheckWarn: terminal.Yellow, control.CheckFail: terminal.Red,
	}
	var table terminal.Table
	for _, check := range checks {
		table.Cells(terminal.Cell{Text: string(check.State), Style: styles[check.State]}, terminal.Cell{Text: check.Name}, terminal.Cell{Text: check.Message})
		if check.Fix != "" {
			table.Row("", "", "→ "+check.Fix)
		}
	}
	table.Print(c, "")
}

// failedChecks is a CodeConflict error when a check failed. The output has said which.
func failedChecks(checks []control.Check) error {
	for _, check := range checks {
		if check.State == control.CheckFail {
			return control.Errorf(control.CodeConflict, "%w", errSilent)
		}
	}
	return nil
}

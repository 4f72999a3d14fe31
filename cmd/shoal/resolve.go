package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newResolve(a *app) *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:   "resolve PATH --keep winner|copy|both",
		Short: "Settle a conflict",
		Long: `Settles the conflict at PATH, which is the file or one of its conflict copies.

  winner  on the file: drop all copies; on a copy: drop that one, the others become
          ordinary files
  copy    the copy becomes the file; with several copies, name the one
  both    every copy becomes an ordinary file of its own`,
		Example: `  shoal resolve notes.txt --keep winner
  shoal resolve "notes (conflict phone 2026-11-22 14.03.05 a1b2).txt" --keep copy`,
		Args: needArgs("PATH"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			choice := control.Keep(keep)
			if err := choice.Validate(); err != nil {
				return err
			}
			path, err := absolute(args[0])
			if err != nil {
				return err
			}
			if err := client.ResolveConflict(ctx, path, choice); err != nil {
				return err
			}
			a.done(nil, "%s is settled.", terminal.Printable(args[0]))
			return nil
		}),
	}
	cmd.Flags().StringVar(&keep, "keep", "", "which side stays: `winner, copy or both`")
	return cmd
}

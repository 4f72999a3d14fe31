package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newFolderConfirm(a *app) *cobra.Command {
	var deletions, restore bool
	cmd := &cobra.Command{
		Use:   "confirm NAME --deletions|--restore",
		Short: "Answer the question of a mass deletion",
		Long: `When very many files vanish from a folder at once, Shoal asks before it deletes them on
other devices. --deletions says that it was meant, --restore brings the files back.`,
		Example: `  shoal folder confirm Photos --restore
  shoal folder confirm Photos --deletions`,
		Args: needArgs("NAME"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			if deletions == restore {
				return control.Errorf(control.CodeUsage, "say either --deletions or --restore")
			}
			answer, what := control.AnswerDeletions, "The deletions in %s are recorded."
			if restore {
				answer, what = control.AnswerRestore, "The files of %s come back."
			}
			if err := client.Confirm(ctx, args[0], answer); err != nil {
				return err
			}
			a.done(nil, what, terminal.Printable(args[0]))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&deletions, "deletions", false, "the deletions were meant")
	cmd.Flags().BoolVar(&restore, "restore", false, "they were not: bring the files back")
	return cmd
}

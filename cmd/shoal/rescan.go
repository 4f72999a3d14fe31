package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newRescan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rescan [FOLDER]",
		Short: "Look at the disk now",
		Long:  "Looks at the whole disk of one folder, or of all that are not paused, and returns when that is done.",
		Example: `  shoal rescan
  shoal rescan Photos`,
		Args: mayHave("FOLDER"),
		RunE: a.asking(func(ctx context.Context, client *control.Client, args []string) error {
			names := args
			if len(names) == 0 {
				var err error
				if names, err = scannable(ctx, client); err != nil {
					return err
				}
			}
			// One folder that cannot be read does not stop the others.
			var errs []error
			for _, name := range names {
				if err := client.Rescan(ctx, name); err != nil {
					errs = append(errs, fmt.Errorf("rescan %s: %w", name, err))
				}
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			a.done(nil, "Looked.")
			return nil
		}),
	}
}

// scannable returns the IDs of the folders on this disk that are not paused.
func scannable(ctx context.Context, client *control.Client) ([]string, error) {
	folders, err := client.Folders(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, f := range folders {
		if f.Here && f.State != control.StatePaused {
			ids = append(ids, f.ID)
		}
	}
	return ids, nil
}

package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newStop(a *app) *cobra.Command {
	timeout := time.Minute
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "Stop the running daemon cleanly",
		Long:    "Asks the daemon to stop and returns when it has.",
		Example: "  shoal stop",
		Args:    noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			if err := client.Stop(ctx); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			err := client.WaitStopped(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				return control.Errorf(control.CodeTimeout, "Shoal has not stopped after %s", timeout)
			}
			if err != nil {
				return err
			}
			a.done(nil, "Stopped.")
			return nil
		}),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait until it has stopped")
	return cmd
}

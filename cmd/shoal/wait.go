package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newWait(a *app) *cobra.Command {
	spec := control.WaitSpec{Timeout: control.DefaultWait, Peers: control.AllPeers}
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until everything is where it should be",
		Long: `Returns when every change made on this disk before the call is recorded, this device has
everything it should have, and at least N other devices have the same. Without --peers:
all connected ones, and at least one if the mesh has another full device or vault; 0 asks
for none. On time-out it says what is owed by whom, with exit code 4.`,
		Example: `  shoal wait
  shoal wait --timeout 10m --peers 2
  shoal wait --peers 0 && echo recorded`,
		Args: noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			if err := spec.Validate(); err != nil {
				return err
			}
			waited, err := client.Wait(ctx, spec)
			return a.printWaited(waited, err)
		}),
	}
	cmd.Flags().DurationVar(&spec.Timeout, "timeout", spec.Timeout, "how long to wait")
	cmd.Flags().IntVar(&spec.Peers, "peers", spec.Peers, "how many other devices must have everything")
	cmd.Flags().Lookup("peers").DefValue = "all that are connected"
	return cmd
}

// printWaited prints how a wait ended. Its error is err.
func (a *app) printWaited(waited control.Waited, err error) error {
	var late *control.Error
	if errors.As(err, &late) && late.Code == control.CodeTimeout {
		if a.json {
			a.printJSON(control.Waited{Owed: late.Owed})
		}
		for _, owed := range late.Owed {
			a.console.Notef("%s", describeOwed(owed))
		}
	}
	if err == nil && a.json {
		a.printJSON(waited)
	}
	return err
}

// describeOwed says what is owed by whom.
func describeOwed(o control.Owed) string {
	text := "owed"
	if o.Device != "" {
		text += " by " + terminal.Printable(o.Device)
	}
	if o.Folder != "" {
		text += " in " + terminal.Printable(o.Folder)
	}
	if o.NeedFiles > 0 || o.NeedBytes > 0 {
		text += ": " + needWords(o.NeedFiles, o.NeedBytes)
	}
	if o.Message != "" {
		text += ": " + terminal.Printable(o.Message)
	}
	return text
}

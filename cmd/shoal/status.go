package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

// watchPause is how often --watch looks: often enough for a rate, seldom enough to cost nothing.
const watchPause = time.Second

func newStatus(a *app) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show folders, devices, transfers, copies and problems",
		Long: `Shows how everything stands. With --watch it goes on showing it, each time something
changed, until Ctrl-C; with --json too, one document a line.`,
		Example: `  shoal status
  shoal status --watch
  shoal status --json`,
		Args: noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			if watch {
				return a.watchStatus(ctx, client)
			}
			status, err := client.Status(ctx)
			if err != nil {
				return err
			}
			a.show(status, func() { printStatus(a.console, status) })
			return nil
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on showing it")
	return cmd
}

// watchStatus shows the status each time it changed, until ctx ends, which is how it is meant to end.
func (a *app) watchStatus(ctx context.Context, client *control.Client) error {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	var last []byte
	for {
		status, err := client.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := json.Marshal(status)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, last) {
			a.showAgain(status, now, last == nil)
			last = now
		}
		if err := a.console.WriteError(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// showAgain shows a status in the place of the one before, where there is such a place.
func (a *app) showAgain(status control.Status, raw []byte, first bool) {
	switch {
	case a.json:
		a.console.Printf("%s\n", raw)
		return
	case a.console.OutTerminal:
		a.console.Clear()
	case !first:
		a.console.Printf("\n")
	}
	printStatus(a.console, status)
}

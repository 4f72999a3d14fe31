package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newRun(a *app) *cobra.Command {
	var f daemonFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run Shoal as a service does: no questions, no first-run steps",
		Long: `Runs the device that "shoal up" made, until it is stopped. It asks nothing and prints
nothing but its log, on standard error. "shoal service install" runs it at login.`,
		Example: `  shoal run
  shoal run --home /srv/shoal --listen /ip4/0.0.0.0/tcp/4001 --no-mdns`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.config(a)
			if err != nil {
				return err
			}
			c.Service = true
			c.AutoAdmit = a.yes
			c.Log = a.logger(slog.LevelInfo)
			c.Ready = func(s control.Started) {
				if a.json {
					a.printJSON(s)
				}
			}
			return a.runService(cmd.Context(), c)
		},
	}
	f.register(cmd)
	return cmd
}

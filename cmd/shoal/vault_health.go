package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newVaultHealth(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Tell whether all is well, for whoever supervises the vault",
		Long: `Ends with 0 when every tenant runs, what it keeps can be written, and the last scrub went
through; else with 6 and a line for each problem. It is what /healthz tells, without a port: for
the health check of a container.`,
		Example: "  shoal vault health --data /srv/vault",
		Args:    noArgs,
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
			health, err := client.VaultHealth(ctx)
			if err != nil {
				return err
			}
			a.show(health, func() {
				for _, text := range health.Problems {
					a.console.Printf("%s\n", terminal.Printable(text))
				}
				if len(health.Problems) == 0 {
					a.console.Printf("All is well.\n")
				}
			})
			if len(health.Problems) > 0 {
				return control.Errorf(control.CodeConflict, "%w", fmt.Errorf("%d problems: %w", len(health.Problems), errSilent))
			}
			return nil
		}),
	}
}

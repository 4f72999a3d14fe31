package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

func newVaultQuota(a *app, f *vaultFlags) *cobra.Command {
	var retention time.Duration
	cmd := &cobra.Command{
		Use:   "quota [BYTES]",
		Short: "Show or set how much, and for how long, the vault keeps",
		Long: `Sets how many bytes the vault keeps; 0 is no limit. Beyond it nothing more is taken in,
and devices say so. --retention sets how long superseded data is kept: longer counts
at once, shorter when the present one has passed, and never less than was fixed when
the vault joined.`,
		Example: `  shoal vault quota 500G --data /srv/vault
  shoal vault quota --retention 2160h`,
		Args: mayHave("BYTES"),
	}
	cmd.Flags().DurationVar(&retention, "retention", 0, "how long superseded data is kept")
	cmd.RunE = f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
		var change control.VaultChange
		if len(args) == 1 {
			n, err := parseBytes(args[0])
			if err != nil {
				return err
			}
			change.Quota = &n
		}
		if cmd.Flags().Changed("retention") {
			s := int64(retention / time.Second)
			change.Retention = &s
		}
		if change != (control.VaultChange{}) {
			if err := client.SetVault(ctx, change); err != nil {
				return err
			}
		}
		v, err := client.Vault(ctx)
		if err != nil {
			return err
		}
		a.show(v.Tenants, func() { printVault(a.console, &v) })
		return nil
	})
	return cmd
}

// parseBytes reads a size such as 500G, 20GiB or 1000000; K, M, G and T are powers of 1,024.
func parseBytes(text string) (int64, error) {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(text), "B"), "I")
	unit := int64(1)
	if n := len(number); n > 0 {
		if i := strings.IndexByte("KMGT", number[n-1]); i >= 0 {
			unit <<= 10 * (i + 1)
			number = number[:n-1]
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, control.Errorf(control.CodeUsage, "%q is no size; one looks like 500G", text)
	}
	return n * unit, nil
}

func newVaultScrub(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "scrub",
		Short:   "Have the vault read again all that it keeps",
		Long:    "Has everything read again in the background, as happens every week. What is damaged is\nfetched from devices again. \"shoal vault status\" tells how it went.",
		Example: "  shoal vault scrub --data /srv/vault",
		Args:    noArgs,
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
			if err := client.ScrubVault(ctx); err != nil {
				return err
			}
			a.done(nil, "The vault reads everything again.")
			return nil
		}),
	}
}

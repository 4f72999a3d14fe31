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
	var all bool
	cmd := &cobra.Command{
		Use:   "quota [TENANT] [BYTES]",
		Short: "Show or set how much, and for how long, the vault keeps",
		Long: `Sets how many bytes the vault keeps for a mesh; 0 is no limit. Beyond it nothing more is
taken in, and devices say so. A vault of several meshes needs TENANT, the ID of a mesh or its
beginning. --all sets a limit for all meshes together, beside their own. --retention sets how
long superseded data is kept: longer counts at once, shorter when the present one has
passed, and never less than was fixed when the vault joined.`,
		Example: `  shoal vault quota 500G --data /srv/vault
  shoal vault quota 3f9a01c2 100G
  shoal vault quota --all 2T
  shoal vault quota --retention 2160h`,
		Args: mayHaveTwo("TENANT and BYTES"),
	}
	cmd.Flags().DurationVar(&retention, "retention", 0, "how long superseded data is kept")
	cmd.Flags().BoolVar(&all, "all", false, "the limit of all meshes together")
	cmd.RunE = f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
		change, err := quotaChange(args, all)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("retention") {
			s := int64(retention / time.Second)
			change.Retention = &s
		}
		if change.Quota != nil || change.WholeQuota != nil || change.Retention != nil {
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

// quotaChange reads the arguments: TENANT BYTES, or one of the two.
func quotaChange(args []string, all bool) (control.VaultChange, error) {
	var change control.VaultChange
	if len(args) == 2 {
		change.Tenant = args[0]
	}
	if all && len(args) != 1 {
		return change, control.Errorf(control.CodeUsage, "--all takes one size, and no tenant")
	}
	if len(args) == 0 {
		return change, nil
	}
	n, err := parseBytes(args[len(args)-1])
	if err != nil {
		return change, err
	}
	if all {
		change.WholeQuota = &n
	} else {
		change.Quota = &n
	}
	return change, nil
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

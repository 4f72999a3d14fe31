package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newVaultStatus(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Tell what the vault keeps, lacks and refuses",
		Long:    "Tells per mesh how much is kept and of which folder and device, what is lacking, the\nretention, and how the last scrub went. A vault knows folders by their IDs only.",
		Example: "  shoal vault status --data /srv/vault\n  shoal vault status --json",
		Args:    noArgs,
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
			v, err := client.Vault(ctx)
			if err != nil {
				return err
			}
			a.show(v, func() { printVault(a.console, &v) })
			return nil
		}),
	}
}

func printVault(c *terminal.Console, v *control.Vault) {
	for i := range v.Tenants {
		t := &v.Tenants[i]
		c.Printf("%s: %s\n", t.Mesh, t.State)
		var facts terminal.Table
		facts.Row("Kept", terminal.Bytes(t.Used)+quotaText(t.Quota))
		facts.Row("Retention", (time.Duration(t.Retention)*time.Second).String()+", at least "+(time.Duration(t.Minimum)*time.Second).String())
		if t.Hold > 0 {
			facts.Row("Deleting", "held for "+(time.Duration(t.Hold)*time.Second).String()+": the clock has jumped")
		}
		for _, fo := range t.Folders {
			facts.Row("Folder "+fo.ID, terminal.Bytes(fo.Bytes)+", "+count(fo.Records)+" records, "+count(fo.Blocks)+" blocks, "+count(fo.Lacking)+" lacking")
		}
		for _, d := range t.Devices {
			facts.Row("From "+shortID(d.ID), terminal.Bytes(d.Bytes)+", "+count(d.Blocks)+" blocks")
		}
		facts.Print(c, "  ")
	}
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func quotaText(quota int64) string {
	if quota == 0 {
		return ", no quota"
	}
	return " of " + terminal.Bytes(quota)
}

func newVaultTenants(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "tenants",
		Short:   "List the meshes that the vault keeps",
		Long:    "Lists the meshes that are kept here: one, for now.",
		Example: "  shoal vault tenants --data /srv/vault",
		Args:    noArgs,
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
			v, err := client.Vault(ctx)
			if err != nil {
				return err
			}
			a.show(v.Tenants, func() {
				for _, t := range v.Tenants {
					a.console.Printf("%s  %s  %s%s\n", t.Mesh, t.State, terminal.Bytes(t.Used), quotaText(t.Quota))
				}
			})
			return nil
		}),
	}
}

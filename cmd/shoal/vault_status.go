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
	if len(v.Tenants) == 0 {
		c.Printf("This vault keeps no mesh yet. Bring one here with \"shoal vault tenants add TICKET\" or \"shoal vault invite\".\n")
	}
	if v.Quota > 0 {
		c.Printf("All meshes together: %s%s\n", terminal.Bytes(v.Used), quotaText(v.Quota))
	}
	for i := range v.Tenants {
		printTenant(c, &v.Tenants[i])
	}
}

func printTenant(c *terminal.Console, t *control.VaultTenant) {
	c.Printf("%s: %s\n", tenantTitle(t), t.State)
	var facts terminal.Table
	if t.Problem != "" {
		facts.Row("Problem", terminal.Printable(t.Problem))
	}
	if t.Device == "" { // it does not run
		facts.Row("Data", terminal.Printable(string(t.Data)))
		facts.Print(c, "  ")
		return
	}
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
	facts.Row("Device", t.Device)
	for _, a := range t.Addresses {
		facts.Row("Address", a)
	}
	for _, a := range t.Entries {
		facts.Row("Way into the hash table", "--bootstrap "+a)
	}
	facts.Print(c, "  ")
}

// tenantTitle is what a tenant is called: by its mesh, or by its folder when it could not be opened.
func tenantTitle(t *control.VaultTenant) string {
	if t.Mesh == "" {
		return terminal.Printable(string(t.Data))
	}
	return t.Mesh
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func quotaText(quota int64) string {
	if quota == 0 {
		return ", no quota"
	}
	return " of " + terminal.Bytes(quota)
}

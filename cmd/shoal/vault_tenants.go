package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newVaultTenants(a *app, f *vaultFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenants",
		Short: "List the meshes that the vault keeps, add one, or end the keeping of one",
		Long: `Lists the meshes that are kept here. Each is shut off from the others: it has a device
identity, a network address, a database and packs of its own.`,
		Example: "  shoal vault tenants --data /srv/vault\n  shoal vault tenants add TICKET\n  shoal vault tenants remove 3f9a01c2",
		Args:    noArgs,
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
			v, err := client.Vault(ctx)
			if err != nil {
				return err
			}
			a.show(v.Tenants, func() {
				for i := range v.Tenants {
					t := &v.Tenants[i]
					a.console.Printf("%s  %s  %s%s\n", tenantTitle(t), t.State, terminal.Bytes(t.Used), quotaText(t.Quota))
				}
			})
			return nil
		}),
	}
	cmd.AddCommand(newVaultTenantsAdd(a, f), newVaultTenantsRemove(a, f))
	return cmd
}

func newVaultTenantsAdd(a *app, f *vaultFlags) *cobra.Command {
	var quota string
	cmd := &cobra.Command{
		Use:   "add TICKET",
		Short: "Keep one more mesh, with a ticket from one of its owners",
		Long: `Joins one more mesh with the ticket that "shoal invite --role vault" gives on an owner's
device; - reads it from standard input. The vault must reach that device: if it can't, make
a ticket with "shoal vault invite" and have the owner bring the mesh here.`,
		Example: "  shoal vault tenants add TICKET --data /srv/vault\n  shoal vault tenants add - --quota 200G",
		Args:    needArgs("TICKET"),
	}
	cmd.Flags().StringVar(&quota, "quota", "", "how many `bytes` are kept for it, such as 200G (default: no limit)")
	cmd.RunE = f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
		spec := control.TenantSpec{}
		var err error
		if spec.Ticket, err = readTicket(a.console.In, args[0]); err != nil {
			return err
		}
		if quota != "" {
			if spec.Quota, err = parseBytes(quota); err != nil {
				return err
			}
		}
		t, err := client.AddTenant(ctx, spec)
		if err != nil {
			return err
		}
		a.show(t, func() { a.console.Printf("Mesh %s is kept from now on.\n", t.Mesh) })
		return nil
	})
	return cmd
}

// readTicket takes a ticket from the command line, or from standard input for -.
func readTicket(in io.Reader, arg string) (string, error) {
	up := upFlags{join: arg}
	return up.secret(in)
}

func newVaultTenantsRemove(a *app, f *vaultFlags) *cobra.Command {
	var del bool
	cmd := &cobra.Command{
		Use:   "remove TENANT",
		Short: "Keep a mesh no longer",
		Long: `Ends the keeping of a mesh, named by its ID or the beginning of it. What was kept is moved
aside, and the command says where; --delete-data deletes it instead, for ever. On a terminal
this asks first; without one, --delete-data needs --yes. The mesh still has the vault in its
roster: an owner puts it out with "shoal devices revoke".`,
		Example: "  shoal vault tenants remove 3f9a01c2\n  shoal vault tenants remove 3f9a01c2 --delete-data --yes",
		Args:    needArgs("TENANT"),
	}
	cmd.Flags().BoolVar(&del, "delete-data", false, "delete what was kept")
	cmd.RunE = f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
		if err := a.mayRemove(ctx, terminal.Printable(args[0]), del); err != nil {
			return err
		}
		removed, err := client.RemoveTenant(ctx, control.TenantRemoval{Tenant: args[0], DeleteData: del})
		if err != nil {
			return err
		}
		a.show(removed, func() {
			a.console.Printf("Mesh %s is not kept any more.\n", removed.Mesh)
			if removed.Data != "" {
				a.console.Printf("What was kept is in %s.\n", terminal.Printable(string(removed.Data)))
			}
		})
		return nil
	})
	return cmd
}

// mayRemove asks a person.
func (a *app) mayRemove(ctx context.Context, name string, del bool) error {
	question := "Keep mesh " + name + " no longer?"
	if del {
		question = "Delete for ever all that is kept of mesh " + name + "?"
	}
	switch {
	case a.yes:
		return nil
	case a.console.CanAsk():
		yes, err := a.console.Ask(ctx, question)
		if err == nil && !yes {
			err = control.Errorf(control.CodeRefused, "nothing was done")
		}
		return err
	case del:
		return control.Errorf(control.CodeRefused, "deleting what is kept needs a person's answer: give --yes")
	}
	return nil
}

func newVaultInvite(a *app, f *vaultFlags) *cobra.Command {
	var spec control.TenantInvite
	var quota string
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Make a ticket with which an owner of another mesh brings it here",
		Long: `Makes a one-time ticket for somebody else's mesh. An owner of it runs
"shoal devices add-vault TICKET"; then the mesh is kept here. The ticket is good while the
vault runs, and once.`,
		Example: "  shoal vault invite --quota 100G --expires 24h --data /srv/vault",
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&quota, "quota", "", "how many `bytes` are kept for that mesh, such as 100G (default: no limit)")
	cmd.Flags().DurationVar(&spec.Expires, "expires", control.DefaultTenantExpiry, "how long the ticket is good")
	cmd.RunE = f.askingVault(a, func(ctx context.Context, client *control.Client, _ []string) error {
		if quota != "" {
			n, err := parseBytes(quota)
			if err != nil {
				return err
			}
			spec.Quota = n
		}
		invite, err := client.InviteTenant(ctx, spec)
		if err != nil {
			return err
		}
		a.show(tenantTicket{Ticket: invite.Ticket, Expires: invite.Expires}, func() {
			a.console.Printf("%s\n\n  shoal devices add-vault %s\n\nThis is good for one mesh, until %s, while this vault runs.\n",
				a.console.Styled(terminal.Bold, "An owner of the mesh types:"), invite.Ticket, terminal.Time(invite.Expires))
		})
		return nil
	})
	return cmd
}

// tenantTicket is what `vault invite --json` prints.
type tenantTicket struct {
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

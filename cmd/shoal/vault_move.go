package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newVaultExport(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "export TENANT FILE",
		Short: "Write a mesh and all that is kept of it into one file, to move house",
		Long: `Writes a tenant into one file: its device key, roster, database and packs. Then it never runs
here again, since two vaults with one identity would speak over each other; when the export
fails it goes on here. Other tenants run all the while. The file holds the vault's key, so keep
it to yourself. What was kept stays here, too, until "shoal vault tenants remove".`,
		Example: "  shoal vault export 3f9a01c2 /mnt/usb/mesh.tar --data /srv/vault",
		Args:    needArgs("TENANT", "FILE"),
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
			file, err := absolute(args[1])
			if err != nil {
				return err
			}
			a.console.Notef("The tenant ends here; its archive is being written …")
			moved, err := client.ExportTenant(ctx, control.TenantExport{Tenant: args[0], File: control.Path(file)})
			if err != nil {
				return err
			}
			a.done(moved, "Mesh %s is in %s, %s. It does not run here any more. On the other machine: shoal vault import FILE", moved.Mesh, terminal.Printable(file), terminal.Bytes(moved.Bytes))
			return nil
		}),
	}
}

func newVaultImport(a *app, f *vaultFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Go on as a mesh's vault that was exported elsewhere",
		Long: `Has the running vault go on as a tenant that "shoal vault export" wrote into a file on another
machine. Every byte is checked. It calls the devices of the mesh at once, so they learn its new
address. Import a file once only: two vaults with one identity would speak over each other.`,
		Example: "  shoal vault import /mnt/usb/mesh.tar --data /srv/vault",
		Args:    needArgs("FILE"),
		RunE: f.askingVault(a, func(ctx context.Context, client *control.Client, args []string) error {
			file, err := absolute(args[0])
			if err != nil {
				return err
			}
			moved, err := client.ImportTenant(ctx, control.TenantImport{File: control.Path(file)})
			if err != nil {
				return err
			}
			a.done(moved, "Mesh %s is kept here from now on.", moved.Mesh)
			return nil
		}),
	}
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newDevices(a *app) *cobra.Command {
	cmd := newGroup("devices", "List, rename and revoke the devices of the mesh, and add vaults",
		`  shoal devices
  shoal devices --json
  shoal devices rename phone old-phone`,
		newDevicesList(a), newDevicesRename(a), newDevicesRevoke(a), newDevicesAddVault(a))
	cmd.Long = "Without a command it lists the devices of the mesh, this one too, and who asks to be admitted."
	cmd.RunE = a.asking(a.listDevices)
	return cmd
}

func newDevicesList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the devices of the mesh",
		Long:    "Lists the devices of the mesh, this one too, and who asks to be admitted.",
		Example: "  shoal devices list\n  shoal devices list --json",
		Args:    noArgs,
		RunE:    a.asking(a.listDevices),
	}
}

func (a *app) listDevices(ctx context.Context, client *control.Client, _ []string) error {
	devices, err := client.Devices(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(devices)
		return nil
	}
	printDevices(a.console, devices)
	requests, err := client.Requests(ctx)
	if err != nil {
		return err
	}
	for _, r := range requests {
		a.console.Printf("\n%s.\n  Admit it with: shoal approve %s\n", describeGuest(r), r.Device)
	}
	return nil
}

func printDevices(c *terminal.Console, devices []control.Device) {
	var table terminal.Table
	for _, d := range devices {
		state := terminal.Cell{Text: "offline", Style: terminal.Faint}
		switch {
		case d.Revoked:
			state = terminal.Cell{Text: "revoked", Style: terminal.Red}
		case d.Self:
			state = terminal.Cell{Text: "this device", Style: terminal.Bold}
		case d.Connected:
			state = terminal.Cell{Text: "connected", Style: terminal.Green}
		}
		table.Cells(terminal.Cell{Text: d.Name}, terminal.Cell{Text: d.Role}, state, terminal.Cell{Text: d.ID, Style: terminal.Faint})
	}
	table.Print(c, "")
}

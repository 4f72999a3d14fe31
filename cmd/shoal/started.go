package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

// printStarted says that the device runs, where, and how to add another.
func printStarted(a *app, s control.Started) {
	if a.json {
		a.printJSON(s)
		return
	}
	c := a.console
	what := "Shoal runs"
	switch {
	case s.Created:
		what = "Shoal runs, in a new mesh"
	case s.Joined:
		what = "Shoal runs, and has joined"
	}
	c.Printf("%s.\n\n", c.Styled(terminal.Bold, what))
	var facts terminal.Table
	facts.Row("Device", s.Name+"  "+shortID(s.Device))
	if s.Dir != "" {
		facts.Row("Folder", string(s.Dir))
	}
	if s.API != "" {
		facts.Row("Web", s.API)
	}
	facts.Print(c, "  ")
	if s.Ticket != "" {
		c.Printf("\n")
		printInvite(c, control.Invite{Code: s.Code, Ticket: s.Ticket, Expires: s.Expires})
	}
	c.Printf("\nCtrl-C stops it.\n")
}

// printInvite shows how to add a device.
func printInvite(c *terminal.Console, invite control.Invite) {
	c.Printf("%s\n\n", c.Styled(terminal.Bold, "To add a device, type there:"))
	var ways terminal.Table
	if invite.Code != "" {
		ways.Row("shoal up --join " + invite.Code)
	}
	ways.Row("shoal up --join " + invite.Ticket)
	ways.Print(c, "  ")
	if c.OutTerminal {
		if code := terminal.QR(invite.Ticket, c.Width(), c.Color); code != "" {
			c.Printf("\n%s", code)
		}
	}
	c.Printf("\n%s\n", goodFor(invite.Expires))
}

// goodFor says what an invitation is good for, and until when.
func goodFor(expires time.Time) string {
	if expires.IsZero() {
		return "This is good for one device."
	}
	return fmt.Sprintf("This is good for one device, until %s.", terminal.Time(expires))
}

// phraseColumns is how many words of the recovery phrase stand on a line.
const phraseColumns = 6

// showPhrase shows the recovery phrase. The console is a terminal.
func showPhrase(c *terminal.Console, words string) error {
	c.Printf("%s\n\n", c.Styled(terminal.Bold, "Your recovery phrase. Write it down now; it is not shown again:"))
	var table terminal.Table
	list := strings.Fields(words)
	for start := 0; start < len(list); start += phraseColumns {
		row := make([]string, 0, phraseColumns)
		for i := start; i < min(start+phraseColumns, len(list)); i++ {
			row = append(row, fmt.Sprintf("%2d %s", i+1, list[i]))
		}
		table.Row(row...)
	}
	table.Print(c, "  ")
	c.Printf("\nWith these words all your files come back when every device is lost. Who has them has everything.\n\n")
	return c.WriteError()
}

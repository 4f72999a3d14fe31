package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func newInvite(a *app) *cobra.Command {
	var spec control.InviteSpec
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Let one new device into the mesh",
		Long: `Makes a one-time code and ticket for one new device, waits until it asks, shows who
it is, and asks for your approval. Without a terminal approve it with "shoal approve".

With --json it prints code, ticket and expiry at once and returns. With --yes the holder
of the ticket is admitted without a question; never as an owner.`,
		Example: `  shoal invite
  shoal invite --role reader --expires 1h
  shoal invite --json --yes`,
		Args: noArgs,
		RunE: a.asking(func(ctx context.Context, client *control.Client, _ []string) error {
			spec.Yes = a.yes
			return a.invite(ctx, client, spec)
		}),
	}
	cmd.Flags().StringVar(&spec.Role, "role", control.Roles[0], "`role` of the device: member, owner, reader or vault")
	cmd.Flags().DurationVar(&spec.Expires, "expires", control.DefaultExpiry, "how long the invitation is good")
	return cmd
}

func (a *app) invite(ctx context.Context, client *control.Client, spec control.InviteSpec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	invite, err := client.Invite(ctx, spec)
	if err != nil {
		return err
	}
	if a.json {
		a.printJSON(invite)
		return nil
	}
	return a.awaitGuest(ctx, client, spec, invite)
}

// awaitGuest shows an invitation and waits until it was used.
func (a *app) awaitGuest(ctx context.Context, client *control.Client, spec control.InviteSpec, invite control.Invite) error {
	ctx, cancel := context.WithTimeout(ctx, spec.Expires)
	defer cancel()
	// The stream is opened before anybody can know the code, so that no guest is missed.
	events, err := client.Events(ctx)
	if err != nil {
		return err
	}
	defer events.Close()
	printInvite(a.console, invite)
	a.console.Notef("Waiting for the device … (Ctrl-C stops waiting; the invitation stays good)")
	g := &greeter{console: a.console, client: client, asks: a.console.CanAsk() && !a.yes, seen: map[string]bool{}}
	err = g.wait(ctx, events)
	if errors.Is(err, context.DeadlineExceeded) {
		return control.Errorf(control.CodeTimeout, "nobody came before the invitation ran out, after %s", spec.Expires.Round(time.Second))
	}
	return err
}

// greeter waits for the guest of an invitation and has it admitted.
type greeter struct {
	console *terminal.Console
	client  *control.Client
	asks    bool            // a person is there to say yes
	seen    map[string]bool // IDs of guests that were shown
}

// wait returns when a device was admitted (nil) or sent away (CodeRefused).
func (g *greeter) wait(ctx context.Context, events *control.EventStream) error {
	for {
		event, err := events.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		switch event.Kind {
		case control.EventRequest:
			err = g.greet(ctx)
		case control.EventAdmitted:
			g.console.Printf("\"%s\" was admitted.\n", terminal.Printable(event.Device))
			return nil
		case control.EventDenied:
			return control.Errorf(control.CodeRefused, "%q was sent away; the invitation is used up", event.Device)
		}
		if err != nil {
			return err
		}
	}
}

// greet shows the guests that are new and asks about each.
func (g *greeter) greet(ctx context.Context) error {
	requests, err := g.client.Requests(ctx)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if g.seen[r.Device] {
			continue
		}
		g.seen[r.Device] = true
		if !g.asks {
			g.console.Notef("%s. Approve it with: shoal approve %s", describeGuest(r), r.Device)
			continue
		}
		if err := g.decide(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// decide asks the person and tells the daemon the answer. The event that follows ends the waiting.
func (g *greeter) decide(ctx context.Context, r control.Request) error {
	yes, err := askGuest(ctx, g.console, r)
	switch {
	case err != nil:
		return err
	case yes:
		return g.client.Approve(ctx, r.Device)
	}
	return g.client.Deny(ctx, r.Device)
}

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

// maxTicket bounds what --join - reads, in bytes.
const maxTicket = 16 << 10

type upFlags struct {
	daemonFlags
	join        string
	recoveryOut string
}

func newUp(a *app) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [DIR]",
		Short: "Run Shoal here; the first time, make or join a mesh",
		Long: `The first run makes this device, a mesh and the folder DIR (default ~/Shoal), then
runs until Ctrl-C or "shoal stop". With --join it joins the mesh of another device
instead. Later runs just run.

It prints the web address and how to add a device. The recovery phrase of a new mesh
is shown once, on a terminal, or written to --recovery-out FILE.`,
		Example: `  shoal up
  shoal up ~/Documents --name laptop
  shoal up --join 7-acid-wolf
  echo "$TICKET" | shoal up /data --join -`,
		Args: mayHave("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.config(a, args)
			if err != nil {
				return err
			}
			return a.runDaemon(cmd.Context(), c)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.join, "join", "", "`code or ticket` of another device; - reads it from standard input")
	cmd.Flags().StringVar(&f.recoveryOut, "recovery-out", "", "write the recovery phrase of a new mesh to this `file`")
	return cmd
}

func (f *upFlags) config(a *app, args []string) (daemonConfig, error) {
	c, err := f.daemonFlags.config(a)
	if err != nil {
		return c, err
	}
	if len(args) == 1 {
		c.Dir, err = absolute(args[0])
	} else {
		c.DefaultDir, err = defaultDir()
	}
	if err != nil {
		return c, err
	}
	if c.Join, err = f.secret(a.console.In); err != nil {
		return c, err
	}
	if f.recoveryOut != "" {
		if c.RecoveryOut, err = absolute(f.recoveryOut); err != nil {
			return c, err
		}
	}
	c.AutoAdmit = a.yes
	c.Log = a.logger(slog.LevelWarn)
	c.Ready = func(s control.Started) { printStarted(a, s) }
	if a.console.OutTerminal && !a.json {
		c.ShowPhrase = func(words string) error { return showPhrase(a.console, words) }
	}
	if a.console.CanAsk() && !a.yes && f.join != "-" {
		c.Ask = func(ctx context.Context, r control.Request) (bool, error) { return askGuest(ctx, a.console, r) }
	}
	return c, nil
}

// secret returns the code or ticket to join with.
func (f *upFlags) secret(in io.Reader) (string, error) {
	join := f.join
	if join == "-" {
		raw, err := io.ReadAll(io.LimitReader(in, maxTicket+1))
		if err != nil {
			return "", control.Errorf(control.CodeFailed, "read ticket from standard input: %w", err)
		}
		if join = strings.TrimSpace(string(raw)); join == "" || len(join) > maxTicket {
			return "", control.Errorf(control.CodeUsage, "standard input holds no ticket")
		}
	}
	return strings.TrimSpace(join), nil
}

// runDaemon runs a device until it ends by itself or is interrupted, which is how it is meant to end.
func (a *app) runDaemon(ctx context.Context, c daemonConfig) error {
	err := a.daemon(ctx, c)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// askGuest asks on the terminal whether a guest is to be admitted.
func askGuest(ctx context.Context, c *terminal.Console, r control.Request) (bool, error) {
	return c.Ask(ctx, describeGuest(r)+". Admit it?")
}

// describeGuest says who asks.
func describeGuest(r control.Request) string {
	name := r.Name
	if name == "" {
		name = "A device without a name"
	}
	text := "\"" + terminal.Printable(name) + "\" (" + shortID(r.Device) + ") asks to join as " + r.Role + " with a " + r.Via
	if r.Address != "" {
		text += " from " + terminal.Printable(r.Address)
	}
	return text
}

// shortID returns the end of a device's ID: enough to compare by eye with what the other screen shows.
func shortID(id string) string { return "…" + id[max(0, len(id)-6):] }

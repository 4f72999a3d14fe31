package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/keeper"
)

// vaultFlags are the flags of vault.
type vaultFlags struct {
	daemonFlags
	data      string
	s3        string
	join      string
	minimum   time.Duration
	metrics   string
	logFormat string
}

func newVault(a *app) *cobra.Command {
	var f vaultFlags
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Run an always-on vault: it keeps ciphertext, and can read nothing of it",
		Long: `Runs a vault until Ctrl-C or "shoal stop". It keeps the journals and sealed blocks of
meshes, so that devices that are never on at the same time stay in sync, and a fire
costs nothing. It has no keys: it sees sizes and times, no names and no contents.

The first run may join a mesh with a ticket that "shoal invite --role vault" gives on an
owner's device. More meshes come with "shoal vault tenants add" and "shoal vault invite";
each listens on the next two ports after those of the one before. --minimum-retention is how
long superseded data is kept at least; it is fixed for a mesh when it comes.

With --s3 everything is kept in a bucket of an S3-compatible store, encrypted as it
came; the data folder is a cache. Such a vault keeps one mesh. Several vaults may run on one
bucket at once, each on a machine or a data folder of its own; each joins with a ticket of
its own. One that is started with an empty folder and no ticket takes the place of one that
has ended. Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
~/.aws/credentials.`,
		Example: `  shoal vault --data /srv/vault --join TICKET
  shoal vault --data /srv/vault --listen /ip4/0.0.0.0/tcp/4001
  shoal vault --data /srv/vault --metrics 127.0.0.1:9091 --log-format json
  shoal vault --s3 https://s3.example.org/bucket/vault --join TICKET
  shoal vault status --data /srv/vault`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.config(a)
			if err != nil {
				return err
			}
			return a.runVault(cmd.Context(), c)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.join, "join", "", "`ticket` of the mesh to keep; - reads it from standard input")
	cmd.Flags().DurationVar(&f.minimum, "minimum-retention", 24*time.Hour, "how long superseded data is kept at least; fixed by the first run")
	cmd.Flags().StringVar(&f.metrics, "metrics", "", "`host:port` of /healthz and of /metrics for Prometheus")
	cmd.Flags().StringVar(&f.logFormat, "log-format", "text", "`form` of the log on standard error: text or json")
	cmd.PersistentFlags().StringVar(&f.data, "data", "", "`folder` of all that the vault keeps (default: the home; with --s3: a folder in the user's cache)")
	cmd.PersistentFlags().StringVar(&f.s3, "s3", "", "`URL` of the bucket that keeps everything: https://HOST/BUCKET[/PREFIX][?region=REGION]")
	cmd.AddCommand(newVaultStatus(a, &f), newVaultTenants(a, &f), newVaultQuota(a, &f), newVaultScrub(a, &f), newVaultInvite(a, &f), newVaultHealth(a, &f), newVaultExport(a, &f), newVaultImport(a, &f))
	return cmd
}

func (f *vaultFlags) config(a *app) (keeper.Config, error) {
	d, err := f.daemonFlags.config(a)
	if err != nil {
		return keeper.Config{}, err
	}
	if d.Home, err = f.dir(a); err != nil {
		return keeper.Config{}, err
	}
	up := upFlags{join: f.join}
	join, err := up.secret(a.console.In)
	if err != nil {
		return keeper.Config{}, err
	}
	log, err := a.loggerAs(f.logFormat, slog.LevelInfo)
	if err != nil {
		return keeper.Config{}, err
	}
	if f.logFormat == logJSON { // so that every line is one document
		d.Progress = func(text string) { log.Info(text) }
	}
	return keeper.Config{
		Metrics: f.metrics,
		Data:    d.Home, Bucket: f.s3, Name: d.Name, Listen: d.Listen, NoMDNS: d.NoMDNS, NoDHT: d.NoDHT, Bootstrap: d.Bootstrap, Join: join, Minimum: f.minimum,
		Ready: func(s control.Started) { printVaultStarted(a, s) }, Progress: d.Progress, Log: log,
	}, nil
}

// dir is the data folder: --data, else the cache of the bucket, else the home.
func (f *vaultFlags) dir(a *app) (string, error) {
	if f.data != "" {
		return absolute(f.data)
	}
	if f.s3 != "" {
		return keeper.CacheFolder(f.s3)
	}
	return a.homeDir()
}

// runVault runs a vault until it ends by itself or is interrupted.
func (a *app) runVault(ctx context.Context, c keeper.Config) error {
	err := keeper.Run(ctx, c)
	if ctx.Err() != nil && err == nil {
		return nil
	}
	return err
}

func printVaultStarted(a *app, s control.Started) {
	a.show(s, func() {
		a.console.Printf("The vault runs.\n\n")
		if s.Device == "" {
			a.console.Printf("  It keeps no mesh yet. Bring one here with \"shoal vault tenants add TICKET\" or \"shoal vault invite\".\n")
		} else {
			a.console.Printf("  %s\n", s.Device)
		}
		for _, addr := range s.Addresses {
			a.console.Printf("  %s\n", addr)
		}
		a.console.Printf("\nCtrl-C stops it.\n")
	})
}

// askingVault makes a command that asks the vault.
func (f *vaultFlags) askingVault(a *app, do func(ctx context.Context, client *control.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dir, err := f.dir(a)
		if err != nil {
			return err
		}
		client, err := control.NewClient(dir, a.logger(slog.LevelWarn))
		if err != nil {
			return err
		}
		defer client.Close()
		return do(cmd.Context(), client, args)
	}
}

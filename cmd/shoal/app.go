package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

// app is what all commands share: the global flags and the doors to the world.
type app struct {
	console  *terminal.Console
	daemon   daemonFunc
	services services

	// global flags
	home    string
	json    bool
	yes     bool
	verbose bool
	noColor bool
}

// errSilent ends a command whose output already says everything. Wrap it with a code.
var errSilent = errors.New("already said")

// homeVariable is the environment variable that stands for --home.
const homeVariable = "SHOAL_HOME"

// homeDir returns the absolute path of the home: --home, else SHOAL_HOME, else the platform's.
func (a *app) homeDir() (string, error) {
	dir := a.home
	if dir == "" {
		dir = os.Getenv(homeVariable)
	}
	if dir == "" {
		var err error
		if dir, err = defaultHome(); err != nil {
			return "", err
		}
	}
	return filepath.Abs(dir)
}

// defaultHome returns the platform's folder for data of programs of one user.
func defaultHome() (string, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return "", control.Errorf(control.CodeFailed, "no home given and %w: use --home", err)
	}
	switch runtime.GOOS {
	case "windows":
		if local := os.Getenv("LocalAppData"); local != "" {
			return filepath.Join(local, "Shoal"), nil
		}
		return filepath.Join(user, "AppData", "Local", "Shoal"), nil
	case "darwin":
		return filepath.Join(user, "Library", "Application Support", "Shoal"), nil
	}
	// XDG Base Directory Specification: relative paths are to be ignored.
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "shoal"), nil
	}
	return filepath.Join(user, ".local", "share", "shoal"), nil
}

// defaultDir is where the first folder goes when nobody says.
func defaultDir() (string, error) {
	user, err := os.UserHomeDir()
	if err != nil {
		return "", control.Errorf(control.CodeUsage, "no directory given and %w", err)
	}
	return filepath.Join(user, "Shoal"), nil
}

// asking makes a command that asks the daemon. The client connects when it is first used.
func (a *app) asking(do func(ctx context.Context, client *control.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dir, err := a.homeDir()
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

// onName makes of cmd a command that has the daemon do one thing to what its only argument names.
func (a *app) onName(cmd *cobra.Command, do func(*control.Client, context.Context, string) error, done string) *cobra.Command {
	cmd.Args = needArgs("NAME")
	cmd.RunE = a.asking(func(ctx context.Context, client *control.Client, args []string) error {
		if err := do(client, ctx, args[0]); err != nil {
			return err
		}
		a.done(nil, done, terminal.Printable(args[0]))
		return nil
	})
	return cmd
}

// logger writes to standard error from level on; everything with -v.
func (a *app) logger(level slog.Level) *slog.Logger {
	if a.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(a.console.Err, &slog.HandlerOptions{Level: level}))
}

// The forms of a log.
const (
	logText = "text"
	logJSON = "json"
)

// loggerAs is logger in a form that a person chose.
func (a *app) loggerAs(form string, level slog.Level) (*slog.Logger, error) {
	switch form {
	case logText:
		return a.logger(level), nil
	case logJSON:
		if a.verbose {
			level = slog.LevelDebug
		}
		return slog.New(slog.NewJSONHandler(a.console.Err, &slog.HandlerOptions{Level: level})), nil
	}
	return nil, control.Errorf(control.CodeUsage, "--log-format is %s or %s, not %q", logText, logJSON, form)
}

// printJSON prints v as the one document on standard output.
func (a *app) printJSON(v any) {
	enc := json.NewEncoder(a.console.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // an error is kept by the console
}

// show prints what was asked for: v with --json, else as human does.
func (a *app) show(v any, human func()) {
	if a.json {
		a.printJSON(v)
		return
	}
	human()
}

// done prints how a command that changed something ended: v with --json ({} when nil), else a line for people.
func (a *app) done(v any, format string, args ...any) {
	if v == nil {
		v = struct{}{}
	}
	a.show(v, func() { a.console.Printf(format+"\n", args...) })
}

// explain says on standard error what went wrong and what to do next.
func (a *app) explain(cmd *cobra.Command, err error) {
	if errors.Is(err, errSilent) {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") { // several errors come one a line
		a.console.Notef("shoal: %s", terminal.Printable(line))
	}
	switch control.CodeOf(err) {
	case control.CodeNotRunning:
		a.console.Notef("Start it with: shoal up")
	case control.CodeUsage:
		a.console.Notef("See: %s --help", cmd.CommandPath())
	}
}

// absolute makes a path absolute as the daemon, which has another working directory, needs it.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", control.Errorf(control.CodeFailed, "make %s absolute: %w", path, err)
	}
	return abs, nil
}

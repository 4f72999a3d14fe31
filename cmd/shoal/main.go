package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

func main() { os.Exit(run()) }

// run is main with an exit code. The first interrupt asks whatever runs to end, the second ends it.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	console := terminal.New(os.Stdin, os.Stdout, os.Stderr)
	return execute(ctx, &app{console: console, daemon: runDaemon, services: systemServices{}}, os.Args[1:])
}

// execute runs one command line, says what went wrong, and returns the exit code.
func execute(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.console.In)
	root.SetOut(a.console.Out)
	root.SetErr(a.console.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if writing := a.console.WriteError(); err == nil && writing != nil {
		err = control.Errorf(control.CodeFailed, "write output: %w", writing)
	}
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = control.Errorf(control.CodeFailed, "interrupted")
	}
	a.explain(cmd, err)
	return control.ExitCode(err)
}

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	only := flag.String("only", "", "only mutants with this in their name")
	timeout := flag.String("timeout", "3m", "of one test command")
	verbose := flag.Bool("v", false, "show what the tests say")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bad, err := run(ctx, *only, *timeout, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if bad > 0 || err != nil {
		stop()
		os.Exit(1)
	}
}

// run tries the mutants and returns how many were not caught.
func run(ctx context.Context, only, timeout string, verbose bool) (bad int, err error) {
	root, err := moduleRoot()
	if err != nil {
		return 0, err
	}
	list, err := readMutants(filepath.Join(root, "e2e", "mutants", "list"))
	if err != nil {
		return 0, err
	}
	c, err := newCopy(ctx, root, timeout)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.remove() }()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tcaught by\tseconds")
	tried, start := 0, time.Now()
	for i := range list {
		m := &list[i]
		if !strings.Contains(m.name, only) {
			continue
		}
		tried++
		began := time.Now()
		v, err := c.try(ctx, m)
		if err != nil {
			return bad, fmt.Errorf("%s: %w", m.name, err)
		}
		by := v.by
		if v.err != nil {
			bad++
			by = "NOT CAUGHT: " + strings.TrimSpace(v.err.Error()+" "+by)
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.name, by)
		if v.fail != "" && (verbose || v.err != nil) {
			fmt.Fprintln(os.Stderr, v.fail)
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f\n", m.name, by, time.Since(began).Seconds())
	}
	if err := table.Flush(); err != nil {
		return bad, err
	}
	fmt.Printf("%d mutants, %d not caught, %.0f s\n", tried, bad, time.Since(start).Seconds())
	return bad, nil
}

// moduleRoot is the folder with go.mod that the working directory is in.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = up
	}
	return "", err
}

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// config is what the command line says.
type config struct {
	peers   []string
	only    []string
	rounds  int
	tries   int
	sizeMiB int64
	files   int
	tiny    int
	dir     string
	program string
	json    bool
	smoke   bool
	timeout time.Duration
}

func parse(args []string) (config, error) {
	var c config
	var peers, only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&peers, "peers", "rsync,syncthing,restic", "what to measure beside shoal, with commas: rsync, rsync-fsync, syncthing, restic; empty: nothing")
	flags.StringVar(&only, "only", "", "workloads, with commas: "+strings.Join(workloadNames(), ", ")+"; all; empty: the first "+strconv.Itoa(coreWorkloads))
	flags.IntVar(&c.rounds, "rounds", 1, "how often each workload runs; the median counts")
	flags.IntVar(&c.tries, "tries", 20, "how many edits the latency is measured with")
	flags.Int64Var(&c.sizeMiB, "size", 1024, "size of the big file in MiB")
	flags.IntVar(&c.files, "files", 20_000, "how many small files")
	flags.IntVar(&c.tiny, "tiny", 100_000, "how many files of the tree of tiny files")
	flags.StringVar(&c.dir, "dir", "", "where to work (default: a temporary folder)")
	flags.StringVar(&c.program, "program", "", "measure this program instead of building one")
	flags.BoolVar(&c.json, "json", false, "print JSON instead of a table")
	flags.BoolVar(&c.smoke, "smoke", false, "small workloads, shoal alone; fails when bytes on the wire or records are more than they may be")
	flags.DurationVar(&c.timeout, "timeout", 10*time.Minute, "how long one measurement may take")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.peers, c.only = fields(peers), fields(only)
	for _, word := range flags.Args() {
		names := beginning(word)
		if len(names) == 0 {
			return c, fmt.Errorf("there is no workload that begins with %q", word)
		}
		c.only = append(c.only, names...)
	}
	if c.smoke {
		c.beSmall()
	}
	for _, name := range c.only {
		if name != everything && !slices.Contains(workloadNames(), name) {
			return c, fmt.Errorf("there is no workload %q", name)
		}
	}
	if c.rounds < 1 || c.tries < 1 || c.sizeMiB < 1 || c.files < 1 || c.tiny < 1 {
		return c, errors.New("counts and sizes are 1 or more")
	}
	return c, nil
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func main() {
	c, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures everything and prints it.
func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp(c.dir, "shoal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	place := place{dir: dir}
	net, err := lab.NewNetwork(1)
	switch {
	case err == nil:
		defer net.Close()
		place.space = net.Space(0)
	case errors.Is(err, lab.ErrNoNetwork):
		note("%v: bytes of other programs on this loopback are counted too", err)
	default:
		return err
	}
	report := report{Machine: describeMachine()}
	peers := choosePeers(ctx, c, dir)
	for _, p := range peers {
		report.Peers = append(report.Peers, p.version)
	}
	if err := warm(dir, 3*c.sizeMiB<<20); err != nil {
		return err
	}
	if !c.smoke {
		if report.Limits, err = measureLimits(ctx, dir); err != nil {
			return err
		}
	}
	// Interleaved, each round beginning with another peer: what the machine does meanwhile hits all of them.
	for _, w := range chooseWorkloads(c) {
		for round := range c.rounds {
			for i := range peers {
				p := peers[(i+round)%len(peers)]
				if !w.takes(p) {
					continue
				}
				note("%s: %s, round %d of %d", w.name, p.name, round+1, c.rounds)
				report.add(measure(ctx, c, place, p, w))
			}
		}
	}
	report.finish()
	if c.json {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		err = report.print(os.Stdout)
	}
	if err == nil && c.smoke {
		err = report.checkCounts()
	}
	return err
}

// warm writes and removes a file. A virtual machine gets its memory from its host on first use, and who measures first would pay for that.
func warm(dir string, size int64) error {
	path := filepath.Join(dir, "warm")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for done := int64(0); done < size && err == nil; done += int64(len(buf)) {
		_, err = f.Write(buf)
	}
	return errors.Join(err, f.Close(), os.Remove(path))
}

func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

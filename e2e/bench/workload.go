//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// workload is one thing that is measured. Each is a file of its own.
type workload struct {
	name  string
	what  func(config) string // for the table
	run   func(context.Context, *session) (outcome, error)
	alone bool // other peers have nothing like it
	many  bool // thousands of files
	keeps bool // it is for stores: depots, not ends
}

// outcome is what a workload took, and how much it was.
type outcome struct {
	cost
	bytes   int64
	files   int
	parts   []part   // rows of their own
	remarks []string // lines below the table
	stored  int64    // bytes that a store took for it: lengths of its files
	disk    int64    // and what they take of the disk
}

// part is one of several things that a workload measured on its way.
type part struct {
	what string
	outcome
}

// The first coreWorkloads run when nothing else is said: a round of all of them takes more than ten minutes.
var workloads = []workload{
	bigFile, smallFiles, goSource, editLatency, insertHead,
	photos, overwrite, appended, renameBig, copyBig, renameFolder, copyFolder, tinyTree,
	manySources, manyReceivers, farLine, vaultGo, vaultText,
}

const coreWorkloads = 5

// everything, as a name of a workload, stands for all of them.
const everything = "all"

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

func chooseWorkloads(c config) []workload {
	switch {
	case len(c.only) == 0:
		return workloads[:coreWorkloads]
	case slices.Contains(c.only, everything):
		return workloads
	}
	return slices.DeleteFunc(slices.Clone(workloads), func(w workload) bool { return !slices.Contains(c.only, w.name) })
}

// beginning returns the names of the workloads that begin with a word.
func beginning(word string) (names []string) {
	for _, name := range workloadNames() {
		if strings.HasPrefix(name, word) {
			names = append(names, name)
		}
	}
	return names
}

// takes tells whether a workload can be run on a peer.
func (w *workload) takes(p peer) bool {
	if w.keeps {
		return p.keep != nil
	}
	return p.open != nil && (!w.alone || p.name == "shoal")
}

// session is one workload on one peer: two ends that run, or a depot.
type session struct {
	config
	name  string // of the peer
	ends  ends
	depot depot
	meter meter
	dir   string // where content is prepared, on the file system of the ends
}

// measure runs one workload on one peer, in a folder of its own. What goes wrong is part of the result.
func measure(ctx context.Context, c config, in place, p peer, w workload) (rows []result, remarks []string) {
	r := result{Peer: p.name, Workload: w.name, What: w.what(c)}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err := runSession(ctx, c, in, p, w)
	if err != nil {
		note("%s: %s: %v", p.name, w.name, err)
		r.Error = err.Error()
		return []result{r}, nil
	}
	for _, part := range out.parts {
		rows = append(rows, result{Peer: p.name, Workload: w.name, What: part.what}.with(part.outcome))
	}
	return append(rows, r.with(out)), out.remarks
}

func runSession(ctx context.Context, c config, in place, p peer, w workload) (out outcome, err error) {
	dir, err := os.MkdirTemp(in.dir, p.name+"-")
	if err != nil {
		return out, err
	}
	if !w.many {
		// Of many files nothing is removed before the end: ext4 leaves the inodes of what was removed unused for minutes, and
		// looks through them for each new file, which would be counted against whoever comes next.
		defer os.RemoveAll(dir)
	}
	s := &session{config: c, name: p.name, dir: filepath.Join(dir, "prepared")}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return out, err
	}
	peers := s.open(place{dir: dir, space: in.space}, p, w)
	defer func() { err = errors.Join(err, peers.stop(context.WithoutCancel(ctx))) }()
	if err := peers.start(ctx); err != nil {
		return out, fmt.Errorf("start both ends: %w", err)
	}
	return w.run(ctx, s)
}

// runnable is what ends and depots have in common.
type runnable interface {
	processes
	start(ctx context.Context) error
	stop(ctx context.Context) error
}

// open makes what a workload needs of a peer.
func (s *session) open(in place, p peer, w workload) (r runnable) {
	if w.keeps {
		s.depot = p.keep(in)
		r = s.depot
	} else {
		s.ends = p.open(in)
		r = s.ends
	}
	s.meter.ends = r
	return r
}

// prepared returns a path where content is made ready before the clock starts.
func (s *session) prepared(name string) string { return filepath.Join(s.dir, name) }

// bring moves prepared content into the source and measures until the target has it.
func (s *session) bring(ctx context.Context, name string) (cost, error) {
	from, _ := s.ends.folders()
	c, err := s.meter.measure(ctx, func() error {
		if err := os.Rename(s.prepared(name), filepath.Join(from, name)); err != nil {
			return err
		}
		return s.settle(ctx)
	})
	if err != nil {
		return c, err
	}
	return c, s.compare()
}

// change brings prepared content, then measures a change to it at the source until the target shows that.
func (s *session) change(ctx context.Context, name string, act func(path string) error) (cost, error) {
	if _, err := s.bring(ctx, name); err != nil {
		return cost{}, err
	}
	from, _ := s.ends.folders()
	c, err := s.meter.measure(ctx, func() error {
		if err := act(filepath.Join(from, name)); err != nil {
			return err
		}
		return s.settleChange(ctx)
	})
	if err != nil {
		return c, err
	}
	return c, s.compare()
}

// settle tells the peer to look and returns when the target has everything.
func (s *session) settle(ctx context.Context) error {
	if err := s.ends.look(ctx); err != nil {
		return err
	}
	return s.ends.done(ctx)
}

// settleChange is settle for a change that leaves the totals as they are, which is all that done compares: the target must also look like the source.
func (s *session) settleChange(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	from, to := s.ends.folders()
	err := lab.Poll(ctx, donePause, func() error {
		a, err := looks(from)
		if err != nil {
			return err
		}
		b, err := looks(to)
		if err == nil && !maps.Equal(a, b) {
			err = errors.New("the target does not look like the source")
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.ends.done(ctx)
}

// look is what a listing shows of a file.
type look struct {
	size  int64
	mtime time.Time
}

func looks(root string) (map[string]look, error) {
	out := map[string]look{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it is being replaced
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".s"): // .shoal, .stfolder
			return fs.SkipDir
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return nil
			}
			name, err := filepath.Rel(root, path)
			out[name] = look{info.Size(), info.ModTime()}
			return err
		}
		return nil
	})
	return out, err
}

// compare is an error unless both folders hold the same files with the same contents, whatever the peer said.
func (s *session) compare() error {
	return compare(s.ends.folders())
}

func compare(from, to string) error {
	var sums [2]map[string]lab.Row
	for i, dir := range []string{from, to} {
		tree, err := lab.Snapshot(dir)
		if err != nil {
			return err
		}
		sums[i] = map[string]lab.Row{}
		for name, row := range tree {
			if row.Kind == "file" && !strings.HasPrefix(name, ".st") {
				sums[i][name] = lab.Row{Kind: row.Kind, Size: row.Size, Sum: row.Sum}
			}
		}
	}
	if diff := lab.Tree(sums[0]).Diff(sums[1]); len(diff) > 0 {
		return fmt.Errorf("it said that it was done, and %d files differ, such as %s", len(diff), diff[0])
	}
	return nil
}

// totals counts a prepared tree.
func (s *session) totals(name string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(s.prepared(name), func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	return files, bytes, err
}

// bringTree is bring for a tree that is counted first.
func (s *session) bringTree(ctx context.Context, name string) (outcome, error) {
	files, bytes, err := s.totals(name)
	if err != nil {
		return outcome{}, err
	}
	c, err := s.bring(ctx, name)
	return outcome{cost: c, files: files, bytes: bytes}, err
}

// editPause is how exactly a latency is seen.
const editPause = 200 * time.Microsecond

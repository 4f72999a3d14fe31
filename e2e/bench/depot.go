//go:build linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// depot is a store that one folder is given to, and that another folder gets it from when the first is gone.
type depot interface {
	processes
	// start returns when all that runs all the time runs, and the store is there and empty.
	start(ctx context.Context) error
	// upload returns when the store says that it has all of the source.
	upload(ctx context.Context) error
	// leave ends the source: nothing comes from there any more.
	leave(ctx context.Context) error
	// download returns when the target, which was empty, has all of the store.
	download(ctx context.Context) error
	// folders are the source, the target, and where the store keeps what it has.
	folders() (from, to, store string)
	// stop ends everything. It is called once, also after an error.
	stop(ctx context.Context) error
}

// scrubber is a depot that can read again and check all that it has.
type scrubber interface {
	scrub(ctx context.Context) error
}

// restarter is a depot with a program that can be ended and started again.
type restarter interface {
	halt(ctx context.Context) error
	// resume returns when it serves.
	resume(ctx context.Context) error
}

// keeping is a workload for depots: a tree goes up, and down again. fill makes the tree.
func keeping(name, what string, many bool, fill func(ctx context.Context, s *session, dir string) error) workload {
	title := func(c config) string { return strings.ReplaceAll(what, "SIZE", fmt.Sprintf("%d MiB", c.sizeMiB)) }
	return workload{
		name: name, many: many, keeps: true,
		what: func(c config) string { return title(c) + ": download" },
		run: func(ctx context.Context, s *session) (outcome, error) {
			if err := fill(ctx, s, s.prepared("tree")); err != nil {
				return outcome{}, err
			}
			k := keep{session: s, title: title(s.config)}
			err := k.upAndDown(ctx)
			return k.out, err
		},
	}
}

// keep is one such measurement.
type keep struct {
	*session
	title string
	size  outcome // of the tree
	out   outcome
}

func (k *keep) upAndDown(ctx context.Context) error {
	files, bytes, err := k.totals("tree")
	if err != nil {
		return err
	}
	k.size = outcome{files: files, bytes: bytes}
	from, to, store := k.depot.folders()
	err = k.part(ctx, "upload", k.size, func() error {
		if err := os.Rename(k.prepared("tree"), filepath.Join(from, "tree")); err != nil {
			return err
		}
		return k.depot.upload(ctx)
	})
	if err != nil {
		return err
	}
	if err := k.depot.leave(ctx); err != nil {
		return err
	}
	if err := k.restart(ctx); err != nil {
		return err
	}
	kept, err := measureStore(store)
	if err != nil {
		return err
	}
	up := &k.out.parts[0]
	up.stored, up.disk = kept.bytes, kept.disk
	if s, ok := k.depot.(scrubber); ok {
		if err := k.part(ctx, "scrub", outcome{bytes: kept.disk}, func() error { return s.scrub(ctx) }); err != nil {
			return err
		}
	}
	c, err := k.meter.measure(ctx, func() error { return k.depot.download(ctx) })
	if err != nil {
		return err
	}
	k.out.cost, k.out.files, k.out.bytes = c, files, bytes
	k.out.remarks = append(k.out.remarks, kept.remarks(k.name+", "+k.title, bytes)...)
	return compare(from, to)
}

// restart ends the store, if it is a program, and measures until it serves again.
func (k *keep) restart(ctx context.Context) error {
	r, ok := k.depot.(restarter)
	if !ok {
		return nil
	}
	if err := r.halt(ctx); err != nil {
		return err
	}
	return k.part(ctx, "restart of the store", outcome{}, func() error { return r.resume(ctx) })
}

func (k *keep) part(ctx context.Context, what string, size outcome, act func() error) error {
	c, err := k.meter.measure(ctx, act)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	size.cost = c
	k.out.parts = append(k.out.parts, part{what: k.title + ": " + what, outcome: size})
	return nil
}

// storeSize is what a store takes.
type storeSize struct {
	bytes, disk int64            // lengths of files; what they take of the disk
	parts       map[string]int64 // the latter by what is at the top; databases by themselves
}

func measureStore(root string) (storeSize, error) {
	s := storeSize{parts: map[string]int64{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if filepath.Ext(name) != ".db" {
			name, _, _ = strings.Cut(name, string(filepath.Separator))
		}
		disk := info.Sys().(*syscall.Stat_t).Blocks * 512
		s.bytes += info.Size()
		s.disk += disk
		s.parts[name] += disk
		return nil
	})
	return s, err
}

// remarks tell what the store is made of, where that is more than one thing.
func (s storeSize) remarks(title string, content int64) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.parts)) {
		if n := s.parts[name]; n >= s.disk/1000 {
			list = append(list, fmt.Sprintf("%s %.2f MiB", name, mebibytes(n)))
		}
	}
	if len(list) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %.2f MiB are kept in %.2f of the disk (%.1f %%; files of %.2f): %s",
		title, mebibytes(content), mebibytes(s.disk), 100*float64(s.disk)/float64(content), mebibytes(s.bytes), strings.Join(list, ", "))}
}

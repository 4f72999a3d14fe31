package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"github.com/shoalmesh/shoal"
)

// portable is one run of a Watcher through fsnotify, where there is nothing better. It is compiled everywhere so that it
// is tried everywhere.
//
// fsnotify keeps watches by path and loses its way when watched folders move (its Remove may panic then). So nothing is
// ever removed here: when a watched folder is moved, everything is watched anew.
type portable struct {
	w       *Watcher
	notify  *fsnotify.Watcher
	watched map[string]bool
	moved   bool // a watched folder went somewhere
	blind   int
	why     error
	wake    chan struct{} // sent by Refresh, depth 1, never closed
	lost    chan struct{} // sent by hearErrors, depth 1, never closed
	hearing sync.WaitGroup
}

// runPortable is Run by fsnotify.
func (w *Watcher) runPortable(ctx context.Context) error {
	p := &portable{w: w, wake: make(chan struct{}, 1), lost: make(chan struct{}, 1)}
	defer p.hearing.Wait()
	if err := p.begin(); err != nil {
		return err
	}
	defer func() { _ = p.notify.Close() }()
	w.serveRefresh(func() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	})
	defer w.serveRefresh(nil)
	err := p.loop(ctx)
	if ctx.Err() == nil {
		w.markAll()
	}
	return err
}

// begin sets all watches, for the first time or anew, and reports All.
func (p *portable) begin() error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", p.w.root, portableLimit(err))
	}
	if p.notify != nil {
		_ = p.notify.Close()
	}
	p.notify, p.watched, p.moved = notify, map[string]bool{}, false
	p.hearing.Go(func() { p.hearErrors(notify.Errors) })
	p.blind, p.why = 0, nil
	if err := p.add(""); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w (%w)", ErrRootGone, err)
		}
		return errors.Join(fmt.Errorf("watch %s: %w", p.w.root, err), notify.Close())
	}
	p.descend("")
	p.w.setBlind(p.blind, p.why)
	p.w.markAll()
	return nil
}

// hearErrors takes errors until the watcher is closed. fsnotify sends them with its lock held, so whoever waits in Add would never take them.
func (p *portable) hearErrors(from <-chan error) {
	for range from {
		select {
		case p.lost <- struct{}{}:
		default:
		}
	}
}

func portableLimit(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w (%w)", ErrLimit, err)
		}
	}
	return err
}

func (p *portable) loop(ctx context.Context) error {
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
			if p.w.takeStale() {
				err = p.begin()
			}
		case e, ok := <-p.notify.Events:
			if !ok {
				return errors.New("events ended")
			}
			err = p.event(e)
		case <-p.lost:
			err = p.begin() // whatever it was, events may be lost
		}
		if err == nil && p.moved {
			err = p.begin()
		}
		if err != nil {
			return err
		}
	}
}

// event takes one event. Its name is the path that was given to fsnotify, joined with a name in it.
func (p *portable) event(e fsnotify.Event) error {
	rel, err := filepath.Rel(p.w.root, e.Name)
	if err != nil {
		return p.begin()
	}
	at := filepath.ToSlash(rel)
	gone := e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)
	switch {
	case at == "." && gone:
		return fmt.Errorf("watch %s: %w", p.w.root, ErrRootGone)
	case at == ".":
		p.w.mark("", flags{})
		return nil
	case at == shoal.ReservedName:
		return nil
	case gone && p.watched[at]:
		p.moved = p.moved || e.Has(fsnotify.Rename)
		delete(p.watched, at)
	}
	come := e.Has(fsnotify.Create) && !p.w.skip(at) && p.arrived(at)
	p.w.mark(string(shoal.Path(at).Parent()), flags{})
	if p.watched[at] {
		p.w.mark(at, flags{deep: come})
	}
	return nil
}

// arrived watches at and everything in it, if it is a folder.
func (p *portable) arrived(at string) bool {
	fi, err := os.Lstat(p.w.path(at))
	if err != nil || !fi.IsDir() || p.add(at) != nil {
		p.w.setBlind(p.blind, p.why)
		return false
	}
	p.descend(at)
	p.w.setBlind(p.blind, p.why)
	return true
}

func (p *portable) descend(dir string) {
	for stack := []string{dir}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		names, err := p.w.subfolders(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.blind, p.why = p.blind+1, err
		}
		for _, name := range names {
			if child := join(at, name); !p.w.skip(child) && p.add(child) == nil {
				stack = append(stack, child)
			}
		}
	}
}

func (p *portable) add(dir string) error {
	err := portableLimit(p.notify.Add(p.w.path(dir)))
	switch {
	case err == nil:
		p.watched[dir] = true
	case !errors.Is(err, fs.ErrNotExist):
		p.blind, p.why = p.blind+1, fmt.Errorf("watch %s: %w", dir, err)
	}
	return err
}

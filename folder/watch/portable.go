package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"github.com/shoalmesh/shoal"
)

// portable is one run of a Watcher through fsnotify, where there is nothing better. It is compiled everywhere so that it
// is tried everywhere.
type portable struct {
	w       *Watcher
	notify  *fsnotify.Watcher
	watched map[string]bool
	blind   int
	why     error
	wake    chan struct{} // sent by Refresh, depth 1, never closed
}

// runPortable is run by fsnotify.
func (w *Watcher) runPortable(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.root, portableLimit(err))
	}
	defer notify.Close()
	p := &portable{w: w, notify: notify, watched: map[string]bool{}, wake: make(chan struct{}, 1)}
	if err := p.add(""); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w (%w)", ErrRootGone, err)
		}
		return fmt.Errorf("watch %s: %w", w.root, err)
	}
	p.walkAll()
	w.serveRefresh(func() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	})
	defer w.serveRefresh(nil)
	return p.loop(ctx)
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
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
			if p.w.takeStale() {
				p.walkAll()
			}
		case e, ok := <-p.notify.Events:
			if !ok {
				return errors.New("events ended")
			}
			if err := p.event(e); err != nil {
				p.w.markAll()
				return err
			}
		case _, ok := <-p.notify.Errors:
			if !ok {
				return errors.New("events ended")
			}
			p.walkAll() // whatever it was, events may be lost
		}
	}
}

// event takes one event. Its name is the path that was given to fsnotify, joined with a name in it.
func (p *portable) event(e fsnotify.Event) error {
	rel, err := filepath.Rel(p.w.root, e.Name)
	if err != nil {
		p.walkAll()
		return nil
	}
	at := filepath.ToSlash(rel)
	if at == "." {
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
			return fmt.Errorf("watch %s: %w", p.w.root, ErrRootGone)
		}
		p.w.mark("", flags{})
		return nil
	}
	if at == shoal.ReservedName {
		return nil
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		p.remove(at)
	}
	if e.Has(fsnotify.Create) && !p.w.skip(at) {
		p.arrived(at)
	}
	p.w.mark(string(shoal.Path(at).Parent()), flags{})
	if p.watched[at] {
		p.w.mark(at, flags{})
	}
	return nil
}

// arrived watches at and everything in it, if it is a folder.
func (p *portable) arrived(at string) {
	fi, err := os.Lstat(p.w.path(at))
	if err != nil || !fi.IsDir() {
		return
	}
	if p.add(at) == nil {
		p.descend(at)
		p.w.mark(at, flags{deep: true})
	}
	p.w.setBlind(p.blind, p.why)
}

// remove forgets the watches at and below a place.
func (p *portable) remove(at string) {
	if !p.watched[at] {
		return
	}
	for dir := range p.watched {
		if dir == at || shoal.Path(dir).Under(shoal.Path(at)) {
			delete(p.watched, dir)
			_ = p.notify.Remove(p.w.path(dir)) // it may have ended already
		}
	}
}

func (p *portable) walkAll() {
	p.blind, p.why = 0, nil
	p.descend("")
	p.w.setBlind(p.blind, p.why)
	p.w.markAll()
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

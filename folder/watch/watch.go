package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal"
)

var (
	// ErrLimit: the system allows no more watches, or no more watchers. On Linux fs.inotify.max_user_watches and
	// fs.inotify.max_user_instances raise the limits.
	ErrLimit = errors.New("no more watches allowed")
	// ErrRootGone: the root was removed, moved or unmounted. The watcher has ended.
	ErrRootGone = errors.New("watched root is gone")
)

// Options say how to watch. The zero value is good.
type Options struct {
	// Max is how many folders a report may name before it becomes All; 0 means 1,024.
	Max int
	// Skip tells of a folder below the root whether to leave it and all in it unwatched; its coming and going is still
	// reported. Run calls it, from one goroutine. Nil skips nothing.
	Skip func(dir string) bool
}

// Watcher watches one tree. Take, Changed, Blind and Refresh may be called at any time from any goroutine.
type Watcher struct {
	// set once
	root    string // absolute
	opts    Options
	changed chan struct{} // sent by mark, depth 1, never closed

	mu sync.Mutex
	// guarded by mu
	all     bool
	dirty   map[string]flags
	blind   int
	why     error
	refresh func() // wakes Run; nil while it does not run
	stale   bool   // Refresh was asked
}

// flags are what is known of a dirty folder.
type flags struct{ deep, settled bool }

// Dirty is what may have changed since the last Take.
type Dirty struct {
	// All means everything: walk the tree. Folders is empty then.
	All bool
	// Folders are sorted by path, each named once.
	Folders []Folder
}

// Folder is one folder that may have changed.
type Folder struct {
	// Path is relative to the root, "" is the root. It was right when the change happened.
	Path string
	// Deep means that everything below may have changed, too: the folder came into the tree.
	Deep bool
	// Settled means that no file directly in it is known to be open for writing since it was last written: what was
	// written is complete, as far as the watcher saw. Only Linux tells; elsewhere it is false.
	Settled bool
}

// New returns a watcher of the folder root. It does nothing before Run.
func New(root string, o Options) (*Watcher, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	if o.Max <= 0 {
		o.Max = 1024
	}
	if o.Skip == nil {
		o.Skip = func(string) bool { return false }
	}
	return &Watcher{root: abs, opts: o, changed: make(chan struct{}, 1), dirty: map[string]flags{}}, nil
}

// Run sets the watches, reports All, and reports changes until ctx ends or it cannot go on: ctx.Err(), ErrRootGone,
// ErrLimit if not even the root can be watched, or the system's error. Then everything is blind. Once it has returned it may be run again.
func (w *Watcher) Run(ctx context.Context) error {
	err := w.run(ctx)
	if err != nil && ctx.Err() == nil {
		w.setBlind(1, err)
	}
	return err
}

// Changed has something to receive whenever there is something to Take, or Blind has changed.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Take returns what may have changed and forgets it.
func (w *Watcher) Take() Dirty {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := Dirty{All: w.all}
	for _, p := range slices.Sorted(maps.Keys(w.dirty)) {
		f := w.dirty[p]
		d.Folders = append(d.Folders, Folder{Path: p, Deep: f.deep, Settled: f.settled})
	}
	w.all = false
	clear(w.dirty)
	return d
}

// Blind returns how many folders are known to be without a watch, and why the last of them is: 0 and nil when all is
// well. Folders below them are not counted. With ErrLimit the whole tree wants looking at now and then.
func (w *Watcher) Blind() (folders int, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.blind, w.why
}

// Refresh makes Run ask Skip anew, try again to watch what was blind, and report All.
func (w *Watcher) Refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = true
	if w.refresh != nil {
		w.refresh()
	}
}

// serveRefresh lets wake be called by Refresh until it is called with nil.
func (w *Watcher) serveRefresh(wake func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refresh = wake
	if wake != nil && w.stale {
		wake()
	}
}

// takeStale tells whether Refresh was asked since the last call.
func (w *Watcher) takeStale() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := w.stale
	w.stale = false
	return stale
}

// mark reports a folder. What is known of it joins what was: deep stays, the last word on settled counts.
func (w *Watcher) mark(p string, f flags) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.signal()
	if w.all {
		return
	}
	old, known := w.dirty[p]
	if !known && len(w.dirty) >= w.opts.Max {
		w.all = true
		clear(w.dirty)
		return
	}
	f.deep = f.deep || old.deep
	w.dirty[p] = f
}

// markAll reports everything.
func (w *Watcher) markAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = true
	clear(w.dirty)
	w.signal()
}

// setBlind says how many folders have no watch.
func (w *Watcher) setBlind(folders int, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if folders != w.blind {
		w.signal()
	}
	w.blind, w.why = folders, why
}

func (w *Watcher) signal() {
	select {
	case w.changed <- struct{}{}:
	default: // one is waiting to be received already
	}
}

// skip tells whether the folder p is not to be watched.
func (w *Watcher) skip(p string) bool { return p == shoal.ReservedName || w.opts.Skip(p) }

// subfolders lists the folders directly in p, symlinks to folders not among them.
func (w *Watcher) subfolders(p string) ([]string, error) {
	f, err := os.Open(w.path(p))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var names []string
	for {
		list, err := f.ReadDir(512)
		for _, e := range list {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return names, err
		}
	}
}

// path is where the folder p lies on disk.
func (w *Watcher) path(p string) string {
	if p == "" {
		return w.root
	}
	return w.root + string(filepath.Separator) + filepath.FromSlash(p)
}

// join is the path of name in the folder p.
func join(p, name string) string { return string(shoal.Path(p).Join(name)) }

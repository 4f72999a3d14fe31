package folder

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// reread is a file that is to be hashed again.
type reread struct {
	at     time.Time
	unread bool // it has a change that is not recorded
}

// busyWait is a path that has to wait before it is tried again.
type busyWait struct {
	since time.Time
	next  time.Time
	tries int
}

// A file that somebody has open for writing is replaced when it is closed, or after this long all the same.
const (
	busyLimit = 60 * time.Second
	busyRetry = time.Second
)

// longestWait is the longest that anything is postponed. A time further ahead comes from a clock that was set back since.
const longestWait = 60 * time.Second

// due tells whether a time has come.
func (e *Engine) due(at time.Time) bool {
	ahead := at.Sub(e.Now())
	return ahead <= 0 || ahead > longestWait
}

// busy tells whether p must wait because it is open for writing.
func (e *Engine) busy(p shoal.Path) bool {
	open, err := e.FS.Busy(string(p))
	if err != nil || !open {
		return false
	}
	w := e.waits[p]
	if w.since.IsZero() {
		w.since = e.Now()
	}
	if e.Now().Sub(w.since) >= busyLimit {
		return false
	}
	w.next = e.Now().Add(busyRetry)
	e.waits[p] = w
	return true
}

// postpone tries p again later, each time after a longer while; with an error it says so.
func (e *Engine) postpone(p shoal.Path, err error) {
	w := e.waits[p]
	if w.since.IsZero() {
		w.since = e.Now()
	}
	w.tries++
	wait := min(20*time.Millisecond<<min(w.tries, 12), longestWait)
	w.next = e.Now().Add(wait)
	e.waits[p] = w
	if err != nil && !errors.Is(err, ErrDiskFull) {
		e.report(p, "apply", fmt.Sprintf("%s can't be brought up to date here: %v. It is tried again.", p, err))
	}
}

// markDirty asks for a look at dir before its paths are planned again.
func (e *Engine) markDirty(dir shoal.Path) { e.markChanged(dir, false) }

// markChanged asks for a look at dir, and at everything below it if deep.
func (e *Engine) markChanged(dir shoal.Path, deep bool) { e.dirty[dir] = e.dirty[dir] || deep }

// Dirty tells whether there is something that Scan looks at without being told.
func (e *Engine) Dirty() bool {
	for p, r := range e.weak {
		if e.due(r.at) {
			delete(e.weak, p)
			e.markDirty(p.Parent())
		}
	}
	if end := e.DeletionsPending(); !end.IsZero() && e.due(end) {
		e.markDirty("") // any scan decides about them
	}
	return len(e.dirty) > 0
}

// unsettled tells whether something that was seen on this disk is not dealt with yet: folders to look at, files that could not be read or are due to be
// read again, deletions that are held back.
func (e *Engine) unsettled() bool {
	if e.Dirty() || len(e.deletions.held) > 0 {
		return true
	}
	for _, r := range e.weak {
		if r.unread {
			return true
		}
	}
	return false
}

// takeDirty returns what must be looked at again, and forgets it.
func (e *Engine) takeDirty() (dirs, trees []shoal.Path) {
	if !e.Dirty() {
		return nil, nil
	}
	for p, deep := range e.dirty {
		if deep {
			trees = append(trees, p)
		} else {
			dirs = append(dirs, p)
		}
	}
	clear(e.dirty)
	return dirs, trees
}

// NextDue returns when the engine has something to do again without an event from outside; the zero time for never.
func (e *Engine) NextDue() time.Time {
	var due time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for _, r := range e.weak {
		earlier(r.at)
	}
	for _, w := range e.waits {
		earlier(w.next)
	}
	if e.LateDue() {
		earlier(e.Now().Add(lateCheck))
	}
	earlier(e.DeletionsPending())
	return due
}

// lateCheck is how often files taken away lately are looked at while any is watched.
const lateCheck = 5 * time.Second

func sortNeeds(list []need) {
	slices.SortFunc(list, func(a, b need) int {
		return cmp.Or(shoal.ComparePaths(a.item.Path, b.item.Path))
	})
}

// sortNewest puts first what was modified last.
func sortNewest(jobs []*Job) {
	slices.SortStableFunc(jobs, func(a, b *Job) int { return cmp.Compare(b.want.MTime, a.want.MTime) })
}

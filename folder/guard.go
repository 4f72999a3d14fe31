package folder

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// The mass-deletion guard: so many deletions, and such a part of the folder, are not recorded before a person says that they were meant.
const (
	massDeletion   = 1000             // entries; until the burst ends no more than this are recorded
	massQuiet      = 10 * time.Second // a burst ends when no deletion came for this long
	emptiedAtLeast = 10               // an emptied root asks only when this many entries went: deleting the last few files is everyday work
)

// deletionGuard counts the deletions of one burst.
type deletionGuard struct {
	recorded int       // deletions of this burst that were recorded
	last     time.Time // when a deletion was last seen
	held     []*sight  // deletions that are neither recorded nor restored
	asked    bool      // the burst is over and a person must answer
}

// heldPaths tells whether p is held back by the guard.
func (e *Engine) heldPath(p shoal.Path) bool {
	for _, h := range e.deletions.held {
		if h.path == p || p.Under(h.path) {
			return true
		}
	}
	return false
}

// HeldDeletions returns how many deletions wait for an answer (ConfirmDeletions or RestoreDeletions).
func (e *Engine) HeldDeletions() int {
	if !e.deletions.asked {
		return 0
	}
	return len(e.deletions.held)
}

// DeletionsPending tells when the guard wants to be looked at again: zero when it holds nothing.
func (e *Engine) DeletionsPending() time.Time {
	if len(e.deletions.held) == 0 || e.deletions.asked {
		return time.Time{}
	}
	return e.deletions.last.Add(massQuiet)
}

// holdMassDeletion returns the deletions that may be recorded now and holds the others. Renames are no deletions and never come here.
func (e *Engine) holdMassDeletion(gone []*sight, full bool) []*sight {
	g := &e.deletions
	before := len(g.held)
	gone = e.mergeHeld(gone, full)
	if len(gone) == 0 {
		*g = deletionGuard{recorded: g.recorded, last: g.last}
		e.settled("", "mass-deletion")
		return nil
	}
	now := e.Now()
	quiet := len(gone) <= before && now.Sub(g.last) >= massQuiet
	if before == 0 && now.Sub(g.last) >= massQuiet {
		g.recorded = 0
	}
	if len(gone) > before {
		g.last = now
	}
	total, burst := e.entriesOnDisk(), g.recorded+len(gone)
	mass := burst > massDeletion && 2*burst > total+g.recorded
	emptied := len(gone) >= emptiedAtLeast && len(gone) >= total
	switch {
	case mass || emptied:
		g.held, g.asked = gone, true
		e.report("", "mass-deletion", fmt.Sprintf("%d of %d entries were deleted here at once. Nothing was deleted elsewhere yet: answer with `shoal folder confirm NAME --deletions` or `--restore`.", len(gone), total))
		return nil
	case burst > massDeletion && !quiet:
		g.held = gone
		return nil
	}
	g.recorded, g.held, g.asked = burst, nil, false
	e.settled("", "mass-deletion")
	return gone
}

// mergeHeld joins what is held from before with what was found gone now; a path that is back on disk is dropped.
func (e *Engine) mergeHeld(gone []*sight, full bool) []*sight {
	if full || len(e.deletions.held) == 0 {
		return gone
	}
	seen := map[shoal.Path]bool{}
	for _, s := range gone {
		seen[s.path] = true
	}
	for _, h := range e.deletions.held {
		if _, err := e.FS.Lstat(string(h.path)); !seen[h.path] && isNotExist(err) {
			gone = append(gone, h)
		}
	}
	return gone
}

// ConfirmDeletions takes the held deletions for meant and records them.
func (e *Engine) ConfirmDeletions(ctx context.Context) error {
	held := e.deletions.held
	e.deletions = deletionGuard{}
	e.settled("", "mass-deletion")
	return e.recordGone(ctx, nil, held)
}

// RestoreDeletions brings the held deletions back: their content is fetched from the others.
func (e *Engine) RestoreDeletions(ctx context.Context) error {
	held := e.deletions.held
	e.deletions = deletionGuard{}
	e.settled("", "mass-deletion")
	return e.Index.Update(ctx, func(tx *index.Tx) error {
		for _, h := range held {
			if err := tx.SetBase(h.path, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// entriesOnDisk counts what the base has on disk, deleted things included.
func (e *Engine) entriesOnDisk() int {
	n := 0
	_ = e.Index.View(func(tx *index.Tx) error {
		files, _ := tx.Totals()
		n = int(files)
		return nil
	})
	return n
}

// checkRoot tells whether the root is still the one that was added.
func (e *Engine) checkRoot() error {
	if err := e.FS.CheckRoot(); err != nil {
		e.report("", "root", "the folder's root is missing or was replaced: nothing is read as deleted. Put it back, or tell where it is with `shoal folder move NAME DIR`.")
		return fmt.Errorf("%w: %w", ErrRootGone, err)
	}
	if _, err := e.FS.Lstat(tmpDir); err != nil {
		e.report("", "root", "the folder's root has lost its .shoal folder: an empty disk may be mounted there. Nothing is read as deleted.")
		return fmt.Errorf("%w: %w", ErrRootGone, err)
	}
	e.settled("", "root")
	return nil
}

// checkSpace tells whether size more bytes may be put on the disk.
func (e *Engine) checkSpace(size int64) error {
	free, _, err := e.FS.Space()
	if err == nil && free-size < e.MinFree {
		e.report("", "disk-full", fmt.Sprintf("the disk has %d MiB left; at least %d MiB are kept free. Make room, then syncing goes on by itself.", free>>20, e.MinFree>>20))
		return ErrDiskFull
	}
	e.settled("", "disk-full")
	return nil
}

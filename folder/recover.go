package folder

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// Recover looks at what the last run left behind. It must be called before the first scan and before records from others are
// accepted: only then what stands on disk can be told from what a user did meanwhile.
func (e *Engine) Recover(ctx context.Context) error {
	list, err := e.readIntents()
	if err != nil {
		return fmt.Errorf("read the intents of the last run: %w", err)
	}
	if len(list) > 0 {
		crashpoint.Here("recover: intents read")
		err := e.Index.Update(ctx, func(tx *index.Tx) error {
			for i := range list {
				err := e.recoverOne(tx, &list[i])
				if errors.Is(err, shoal.ErrInvalid) {
					e.Log.Warn("an intent of the last run makes no sense", "path", string(list[i].Path), "err", err)
					continue // the scan finds out
				}
				if err != nil {
					return fmt.Errorf("recover %s: %w", list[i].Path, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		crashpoint.Here("recover: bases committed")
	}
	if err := e.Tidy(); err != nil {
		return err
	}
	e.untidy = true // what was kept may come to its name in another way, by a rename
	return e.clearIntents()
}

// recoverOne completes the base of an operation that was done, and leaves the base of one that was not.
func (e *Engine) recoverOne(tx *index.Tx, in *intent) error {
	now, err := tx.Base(in.Path)
	if err != nil {
		return err
	}
	if sameBase(now, in.New) || onDisk(now) && !sameDisk(now, in.Old) {
		// The base was committed, maybe others after it.
		return e.keepTakenOut(in)
	}
	if err := e.finishReplace(in); err != nil {
		return err
	}
	if back, err := e.putAway(in); err != nil || back {
		return err
	}
	st, err := e.FS.Lstat(string(in.Path))
	there := err == nil
	if err != nil && !isNotExist(err) {
		return err
	}
	switch in.Kind {
	case plan.Remove, plan.Rmdir:
		if there {
			return nil
		}
		return tx.SetBase(in.Path, in.New)
	case plan.Mkdir:
		if !there || st.Kind != in.New.Kind {
			return nil
		}
		return tx.SetBase(in.Path, e.recovered(tx, in, st))
	case plan.SetMeta:
		if !there || st.Kind != in.New.Kind {
			return nil
		}
		if metaIs(st, in.New) {
			return tx.SetBase(in.Path, e.recovered(tx, in, st))
		}
		if onDisk(now) && halfDressed(st, in.Old, in.New) {
			return tx.SetBase(in.Path, dressedAs(now, st))
		}
		return nil
	}
	if !there || !st.Same(in.NewStat) {
		return nil
	}
	b := e.recovered(tx, in, st)
	if in.Kind == plan.Move {
		v, err := e.goneVersion(tx, in.From)
		if err != nil {
			return err
		}
		if err := tx.SetBase(in.From, goneBase(v)); err != nil {
			return err
		}
		if halfDressed(st, in.OldFrom, in.New) {
			b = dressedAs(b, st)
		}
	}
	return tx.SetBase(in.Path, b)
}

func sameBase(a, b *index.Base) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Content == b.Content && a.Version.Equal(b.Version)
}

// sameDisk tells whether two bases saw the same on disk. Versions may grow without it, by records that say what is there already.
func sameDisk(a, b *index.Base) bool {
	return onDisk(a) && onDisk(b) && a.Kind == b.Kind && a.Content == b.Content && a.Stat == b.Stat
}

func metaIs(st disk.Stat, b *index.Base) bool {
	return (b.Kind == shoal.KindSymlink || st.Mode == b.Mode) && (b.Kind == shoal.KindFolder || st.MTime == b.MTime)
}

// halfDressed tells whether st is a file that was old and of which some of mode and time are what was wanted, and the rest what they were: our own
// work, not yet done.
func halfDressed(st disk.Stat, old, wanted *index.Base) bool {
	if !onDisk(old) || st.Kind != shoal.KindFile || st.Inode != old.Stat.Inode || st.Size != old.Stat.Size {
		return false
	}
	return (st.Mode == old.Stat.Mode || st.Mode == wanted.Mode) && (st.MTime == old.Stat.MTime || st.MTime == wanted.MTime)
}

// dressedAs is b with mode and time as the disk shows them, so that the rest is still owed.
func dressedAs(b *index.Base, st disk.Stat) *index.Base {
	n := *b
	n.Mode, n.MTime = st.Mode, st.MTime
	weak := b.Stat.Weak
	n.Stat = statOf(st)
	n.Stat.Weak = weak
	return &n
}

// recovered is the base of what an operation put at a path: as it is now if nobody touched it since, else as it was put, so that the
// next scan sees the difference.
func (e *Engine) recovered(tx *index.Tx, in *intent, st disk.Stat) *index.Base {
	b := *in.New
	if b.Kind == shoal.KindFolder {
		b.Mode = st.Mode
	}
	if b.Kind == shoal.KindFolder || st.Size == in.NewStat.Size && st.MTime == b.MTime {
		b.Stat = statOf(st)
	}
	if b.Kind == shoal.KindFile && b.Recipe == nil {
		b.Recipe, _, _ = tx.Recipe(b.Content)
		for _, old := range []*index.Base{in.Old, in.OldFrom} {
			if b.Recipe == nil && old != nil && old.Content == b.Content {
				b.Recipe = old.Recipe
			}
		}
	}
	return &b
}

// takenOut returns where what an operation took from its name lies now; empty: nowhere, it was not taken or is in history.
func (e *Engine) takenOut(in *intent) (string, error) {
	at := []string{in.Aside}
	if in.Kind == plan.Swap {
		at = append(at, in.Temp)
	}
	for _, p := range at {
		if p == "" || in.Old == nil {
			continue
		}
		st, err := e.FS.Lstat(p)
		if isNotExist(err) || err == nil && p == in.Temp && st.Same(in.NewStat) {
			continue
		}
		return p, err
	}
	return "", nil
}

// keepTakenOut moves what an operation took from its name, and a crash left aside, to history.
func (e *Engine) keepTakenOut(in *intent) error {
	at, err := e.takenOut(in)
	if err != nil || at == "" || !e.cameOut(at, in.Old) {
		return err
	}
	crashpoint.Here("recover: what was taken out goes to history")
	return e.toHistory(at, in.Path, in.Old)
}

// putAway deals with what an operation took from its name and a crash left aside. What the base said goes to history. Anything else is a change
// that nobody has seen yet: it goes back to its name, and the base stays, so that the next scan records it.
func (e *Engine) putAway(in *intent) (back bool, err error) {
	at, err := e.takenOut(in)
	if err != nil || at == "" {
		return false, err
	}
	if e.cameOut(at, in.Old) {
		return false, e.keepTakenOut(in)
	}
	st, err := e.FS.Lstat(string(in.Path))
	switch {
	case isNotExist(err):
		return true, e.FS.Rename(at, string(in.Path))
	case err != nil:
		return false, err
	case at == in.Temp && st.Same(in.NewStat):
		return true, e.FS.Exchange(at, string(in.Path))
	}
	return false, e.toHistory(at, in.Path, in.Old) // its name is taken by something newer
}

// finishReplace puts the new thing under a name from which the old one was taken, where nothing can be exchanged: else its absence would be taken for a
// deletion.
func (e *Engine) finishReplace(in *intent) error {
	if in.Kind != plan.Swap || in.Old == nil || !e.cameOut(in.Aside, in.Old) {
		return nil
	}
	if _, err := e.FS.Lstat(string(in.Path)); !isNotExist(err) {
		return err
	}
	if st, err := e.FS.Lstat(in.Temp); err != nil || !st.Same(in.NewStat) {
		return nil // then the old one goes back
	}
	return e.FS.Rename(in.Temp, string(in.Path))
}

package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// Many disks know less than the index: names that differ only in case, or in how a letter is composed, are one name to them; they refuse some
// names, round times, have no modes. What such a disk cannot hold is excused and reported, never recorded as a change.

// coarseClock is the step of the clock of a disk that counts in whole seconds: FAT's, the coarsest in use.
const coarseClock = 2 * time.Second

// coarse tells whether the times of st are those of a disk that counts in whole seconds.
func coarse(st disk.Stat) bool {
	return st.MTime%int64(time.Second) == 0 && st.CTime%int64(time.Second) == 0
}

// mayHide tells whether a second change could hide behind the time of the last one: at is that time on the disk which st is of.
func (e *Engine) mayHide(st disk.Stat, at int64) bool {
	step := clockGranularity
	if coarse(st) {
		step += coarseClock
	}
	age := e.Now().UnixNano() - at // negative: the clock was set back since; the next change has another time
	return age >= 0 && age < int64(step)
}

// probeNames finds out whether names that differ in case are one to this disk: then it finds our own folder under a name that no listing has. Inodes would not do,
// since file systems by FUSE may give each spelling its own.
func (e *Engine) probeNames() {
	meta, err := e.FS.Lstat(metaDir)
	if err != nil {
		return
	}
	e.metaDir = meta
	upper := strings.ToUpper(metaDir)
	if _, err := e.FS.Lstat(upper); err != nil {
		return
	}
	listed, err := e.FS.List("")
	e.foldsCase = err == nil && !slices.ContainsFunc(listed, func(l disk.Stat) bool { return l.Name == upper })
}

// isOurs tells whether p leads into our own folder on this disk although it is spelled otherwise.
func (e *Engine) isOurs(p shoal.Path) bool {
	if !e.foldsCase {
		return false
	}
	first, _, _ := strings.Cut(string(p), "/")
	if strings.EqualFold(first, metaDir) {
		return true
	}
	st, err := e.FS.Lstat(first)
	if err != nil {
		return false
	}
	return st.Same(e.metaDir) || st.Inode == 0 && strings.HasPrefix(strings.ToLower(first), metaDir[1:]+"~") // the short name that Windows makes up
}

// otherSpelling finds what the disk means by p, which a listing of its folder does not have: something in the listing that the disk finds
// under both names.
func (e *Engine) otherSpelling(p shoal.Path, listed []disk.Stat) (shoal.Path, bool) {
	st, err := e.FS.Lstat(string(p))
	if err != nil {
		return "", false
	}
	for _, l := range listed {
		alike := e.foldsCase && strings.EqualFold(l.Name, p.Name())
		hardLink := l.Links > 1 && l.Kind != shoal.KindFolder
		if l.Name == p.Name() || !alike && (hardLink || !l.Same(st)) {
			continue
		}
		other := p.Parent().Join(l.Name)
		if now, err := e.FS.Lstat(string(other)); err == nil && (alike || now.Same(st)) {
			return other, true
		}
	}
	return "", false
}

// twin returns the other name under which the disk has what it finds at p.
func (e *Engine) twin(p shoal.Path) (shoal.Path, bool) {
	listed, err := e.FS.List(string(p.Parent()))
	if err != nil || slices.ContainsFunc(listed, func(l disk.Stat) bool { return l.Name == p.Name() }) {
		return "", false
	}
	return e.otherSpelling(p, listed)
}

// standsAside deals with an operation that failed because its name is another spelling of one that is there. What else of the batch makes no sense any more is
// added to broken.
func (e *Engine) standsAside(ctx context.Context, it *workItem, err error, broken map[shoal.Path]bool) bool {
	if !isExist(err) {
		return false
	}
	twin, ok := e.twin(it.Path)
	if ok && e.makeWay(ctx, it, twin) {
		broken[twin] = true
	}
	return ok
}

// makeWay handles an operation that found its name taken by a twin. When the twin is wanted, too, this one has to wait until that goes; a folder that is
// only to be spelled otherwise is respelled, with all that is in it.
func (e *Engine) makeWay(ctx context.Context, it *workItem, twin shoal.Path) (respelled bool) {
	var want *index.State
	err := e.Index.View(func(tx *index.Tx) (err error) { want, err = tx.Desired(twin); return err })
	if err != nil {
		return false
	}
	if want != nil {
		e.excuse(it, fmt.Errorf("%q is there, which is the same name to it", string(twin)))
		return false
	}
	e.postpone(it.Path, nil)
	e.markDirty(it.Path.Parent())
	if it.Kind != plan.Mkdir || e.FS.Rename(string(twin), string(it.Path)) != nil {
		return false
	}
	if err := e.rebase(ctx, twin, it.Path); err != nil {
		e.markChanged(it.Path, true) // what is not known to be there is looked at
	}
	return true
}

// rebase says of everything at and below from that it is at to now. No record brought it there, so it has seen none.
func (e *Engine) rebase(ctx context.Context, from, to shoal.Path) error {
	for {
		var moved []shoal.Path
		err := e.Index.View(func(tx *index.Tx) error {
			return tx.Walk(from, func(r index.Row) error {
				if onDisk(r.Base) {
					moved = append(moved, r.Path)
				}
				if len(moved) >= commitSize {
					return errEnough
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errEnough) || len(moved) == 0 {
			return err
		}
		err = e.Index.Update(ctx, func(tx *index.Tx) error {
			for _, p := range moved {
				if err := e.rebaseOne(tx, p, p.Rebase(from, to)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (e *Engine) rebaseOne(tx *index.Tx, from, to shoal.Path) error {
	b, err := tx.Base(from)
	if err != nil {
		return err
	}
	v, err := e.goneVersion(tx, from)
	if err != nil {
		return err
	}
	moved := *b
	moved.Version, moved.Record, moved.ContentFrom, moved.ModeFrom, moved.Copy = nil, shoal.Dot{}, shoal.Dot{}, shoal.Dot{}, nil
	return errors.Join(tx.SetBase(to, &moved), tx.SetBase(from, goneBase(v)))
}

// excuse gives a path up on this disk and says why.
func (e *Engine) excuse(it *workItem, why error) {
	e.excused[it.Path] = "error"
	e.homeless[it.Path] = it.want
	e.report(it.Path, "name", fmt.Sprintf("this disk can't hold %q: %v. It is kept for the devices that can.", string(it.Path), why))
	e.postpone(it.Path, nil)
}

// refusesName tells whether all that a new name needs is there, so that the disk's "does not exist" can only mean the name: exFAT by FUSE says it of "a:b".
func (e *Engine) refusesName(it *workItem) bool {
	if it.want == nil {
		return false
	}
	from := it.temp
	switch it.Kind {
	case plan.Mkdir:
		from = string(it.Path.Parent())
	case plan.Move:
		from = string(it.From)
	case plan.Put:
	default:
		return false
	}
	_, err := e.FS.Lstat(from)
	parent, perr := e.FS.Lstat(string(it.Path.Parent()))
	return err == nil && perr == nil && parent.Kind == shoal.KindFolder
}

// cannotBe tells whether nothing may be done at p, because this disk has no place for it.
func (e *Engine) cannotBe(tx *index.Tx, p shoal.Path, n *need) (bool, error) {
	if n.want == nil {
		return e.keepsContent(tx, p, n)
	}
	if e.isOurs(p) {
		e.excuse(&workItem{Op: plan.Op{Path: p}, want: n.want}, fmt.Errorf("it is %s to this disk, which belongs to Shoal", metaDir))
		return true, nil
	}
	for dir := p.Parent(); dir != ""; dir = dir.Parent() {
		if e.homeless[dir] == nil {
			continue
		}
		b, err := tx.Base(dir)
		if err != nil || onDisk(b) {
			return false, err
		}
		e.excused[p], e.homeless[p] = "error", n.want // reported at the folder
		return true, nil
	}
	return false, nil
}

// keepsContent tells whether what is at p has to stay although it was renamed: this disk can't hold the new name, and may be the only one that
// has the content.
func (e *Engine) keepsContent(tx *index.Tx, p shoal.Path, n *need) (bool, error) {
	if len(e.homeless) == 0 || !onDisk(n.base) || n.base.Kind != shoal.KindFile {
		return false, nil
	}
	row, _, err := tx.Row(p)
	if err != nil {
		return false, err
	}
	for i := range row.Live {
		to := row.Live[i].Entry.MovedTo
		if to == "" || e.homeless[to] == nil {
			continue
		}
		want, err := tx.Desired(to)
		if err != nil {
			return false, err
		}
		if want != nil && want.Content == n.base.Content {
			e.excused[p] = "error"
			return true, nil
		}
	}
	return false, nil
}

// settleName looks whether something new got the name that was asked for: FAT drops dots and spaces at the end of a name without a word. If not, undo takes it
// away again.
func (e *Engine) settleName(p shoal.Path, undo func() error) error {
	if last := p[len(p)-1]; last != '.' && last != ' ' {
		return nil
	}
	listed, err := e.FS.List(string(p.Parent()))
	if err != nil {
		return errors.Join(err, undo())
	}
	if slices.ContainsFunc(listed, func(l disk.Stat) bool { return l.Name == p.Name() }) {
		return nil
	}
	if err := undo(); err != nil {
		return err
	}
	return &fs.PathError{Op: "name", Path: string(p), Err: disk.ErrName}
}

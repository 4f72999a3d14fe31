package folder

import (
	"errors"
	"io/fs"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/index"
)

// gone is the base of a path from which this item took what was there.
func (it *workItem) gone() *index.Base {
	if it.want != nil {
		return nil // something else is about to stand here
	}
	return goneBase(it.goneVersion)
}

// adopt changes nothing on disk: it shows what is wanted already, only the version moves on.
func (e *Engine) adopt(it *workItem) ([]result, error) {
	if it.want == nil {
		return []result{{it.Path, goneBase(it.goneVersion)}}, nil
	}
	b := index.BaseOf(it.want, it.base.Stat)
	if b.Recipe == nil {
		b.Recipe = it.knownRecipe()
	}
	return []result{{it.Path, b}}, nil
}

// knownRecipe is the recipe of what is wanted, if it was on this disk already under this name or the one that it is moved from.
func (it *workItem) knownRecipe() block.Recipe {
	for _, from := range []*workItem{it.from, it} {
		if from != nil && from.base != nil && from.base.Kind == it.want.Kind && from.base.Content == it.want.Content {
			return from.base.Recipe
		}
	}
	return nil
}

// shows is the result of an operation after which the path shows what is wanted. Who changed it since then changed what was put there: the base does not
// have that change.
func (e *Engine) shows(it *workItem) ([]result, error) {
	st, err := e.FS.Lstat(string(it.Path))
	gone := it.put.Kind != 0 && isNotExist(err)
	if err != nil && !gone {
		return nil, err
	}
	if gone || it.put.Kind != 0 && !isStill(st, it.put) {
		st = it.put
		e.markDirty(it.Path.Parent())
	}
	return e.showsAs(it, st, true), nil
}

// isStill tells whether st is what was before, under another name maybe.
func isStill(st, was disk.Stat) bool {
	st.Name, st.CTime, st.Links = was.Name, was.CTime, was.Links
	return st == was
}

// showsAs is shows for what was looked at. sure: nobody can have changed its content unseen.
func (e *Engine) showsAs(it *workItem, st disk.Stat, sure bool) []result {
	b := index.BaseOf(it.want, statOf(st))
	if st.Kind == shoal.KindFile && (!sure || coarse(st) && e.mayHide(st, st.MTime)) {
		b.Stat.Weak = true
		e.weak[it.Path] = reread{at: e.Now().Add(weakDelay)}
	}
	if it.job != nil {
		b.Recipe = it.job.recipe
	} else if b.Recipe == nil {
		b.Recipe = it.knownRecipe()
	}
	return []result{{it.Path, b}}
}

// swap replaces a file or symlink so that its name is never absent, then looks at what came out.
func (e *Engine) swap(it *workItem) ([]result, error) {
	err := e.writable(it.Path, func() error { return e.FS.Exchange(it.temp, string(it.Path)) })
	if errors.Is(err, errors.ErrUnsupported) {
		return e.replace(it)
	}
	if err != nil {
		return nil, err
	}
	crashpoint.Here("apply: exchanged")
	if !e.cameOut(it.temp, it.base) {
		return nil, errors.Join(errNotBase, e.FS.Exchange(it.temp, string(it.Path)))
	}
	rs, err := e.shows(it)
	if err != nil {
		return nil, err
	}
	return rs, e.toHistory(it.temp, it.Path, it.base)
}

// cameOut tells whether what was taken from a name is what the base says; a rename changes only the time of change.
func (e *Engine) cameOut(p string, b *index.Base) bool {
	st, err := e.FS.Lstat(p)
	return err == nil && isMoved(st, b)
}

func isMoved(st disk.Stat, b *index.Base) bool {
	return st.Kind == b.Kind && st.Size == b.Stat.Size && st.MTime == b.Stat.MTime && st.Inode == b.Stat.Inode
}

// replace is swap where nothing can be exchanged: the name is absent for a moment. What was there goes to history last, so that a restart in that moment
// still sees what happened.
func (e *Engine) replace(it *workItem) ([]result, error) {
	if err := e.setAside(it); err != nil {
		return nil, err
	}
	if err := e.FS.Rename(it.temp, string(it.Path)); err != nil {
		return nil, errors.Join(err, e.FS.Rename(it.aside, string(it.Path)))
	}
	rs, err := e.shows(it)
	if err != nil {
		return nil, err
	}
	return rs, e.toHistory(it.aside, it.Path, it.base)
}

// takeAway moves a file or symlink from its name into history.
func (e *Engine) takeAway(it *workItem) error {
	if err := e.setAside(it); err != nil {
		return err
	}
	return e.toHistory(it.aside, it.Path, it.base)
}

// setAside takes a file or symlink from its name, and puts it back if it is not what the base says.
func (e *Engine) setAside(it *workItem) error {
	if err := e.writable(it.Path, func() error { return e.FS.Rename(string(it.Path), it.aside) }); err != nil {
		return err
	}
	crashpoint.Here("apply: taken aside")
	if !e.cameOut(it.aside, it.base) {
		return errors.Join(errNotBase, e.FS.Rename(it.aside, string(it.Path)))
	}
	return nil
}

func (e *Engine) move(it *workItem) ([]result, error) {
	err := e.writable(it.Path, func() error {
		return e.writable(it.From, func() error { return e.FS.Rename(string(it.From), string(it.Path)) })
	})
	if err != nil {
		return nil, err
	}
	crashpoint.Here("apply: moved")
	if err := e.settleName(it.Path, func() error { return e.FS.Rename(string(it.Path), string(it.From)) }); err != nil {
		return nil, err
	}
	st, err := e.FS.Lstat(string(it.Path))
	if err != nil || !isMoved(st, it.from.base) {
		return nil, errors.Join(errNotBase, e.FS.Rename(string(it.Path), string(it.From)))
	}
	rs, err := e.dressInPlace(it, st)
	if err != nil {
		return nil, err
	}
	return append(rs, result{it.From, goneBase(it.from.goneVersion)}), nil
}

func (e *Engine) setMeta(it *workItem) ([]result, error) {
	st, err := e.FS.Lstat(string(it.Path))
	if err != nil {
		return nil, err
	}
	if it.base == nil || !isShown(st, it.base) {
		return nil, errNotBase
	}
	return e.dressInPlace(it, st)
}

// dressInPlace gives what is under its name, and was st just now, the wanted mode and time.
func (e *Engine) dressInPlace(it *workItem, st disk.Stat) ([]result, error) {
	if st.Kind != it.want.Kind {
		return nil, errNotBase
	}
	now, sure, err := st, true, error(nil)
	if st.Kind == shoal.KindFile {
		now, sure, err = e.FS.Dress(string(it.Path), st, it.want.Mode, it.want.MTime)
		crashpoint.Here("apply: mode and time set")
	} else if now, err = e.dressOther(it, st); err == nil && now.Inode != st.Inode {
		err = errNotBase
	}
	if err != nil {
		return nil, err
	}
	it.inPlace = now != st
	return e.showsAs(it, now, sure), nil
}

// dressOther is dressInPlace for a folder, which has no time, and a symlink, which has no mode.
func (e *Engine) dressOther(it *workItem, st disk.Stat) (disk.Stat, error) {
	p := string(it.Path)
	if st.Kind == shoal.KindFolder && st.Mode != it.want.Mode {
		if err := e.FS.Chmod(p, it.want.Mode); err != nil {
			return st, err
		}
		crashpoint.Here("apply: mode set")
		return e.hasMode(it.Path, it.want.Mode)
	}
	if st.Kind == shoal.KindSymlink && st.MTime != it.want.MTime {
		if err := e.FS.Chtimes(p, it.want.MTime); err != nil {
			return st, err
		}
		return e.FS.Lstat(p)
	}
	return st, nil // it is as wanted; looking again could only find what somebody did since
}

// hasMode returns what the disk reports of a folder that was just given a mode. Another one may be a user's, who was quick, or the disk's own, which can
// only be told by asking again: what a user did in that moment does not stay, or no scan would find it.
func (e *Engine) hasMode(p shoal.Path, mode uint32) (disk.Stat, error) {
	st, err := e.FS.Lstat(string(p))
	if err != nil || st.Kind != shoal.KindFolder || st.Mode == mode {
		return st, err
	}
	if err := e.FS.Chmod(string(p), mode); err != nil && ignoreUnsupported(err) != nil {
		return st, err
	}
	return e.FS.Lstat(string(p))
}

// writable does something to a name in a folder, and when the folder's mode forbids it to its owner, lifts that for the moment.
func (e *Engine) writable(p shoal.Path, do func() error) error {
	err := do()
	parent := string(p.Parent())
	if !errors.Is(err, fs.ErrPermission) || parent == "" {
		return err
	}
	st, serr := e.FS.Lstat(parent)
	if serr != nil || st.Mode&0o300 == 0o300 {
		return err
	}
	if cerr := e.FS.Chmod(parent, st.Mode|0o700); cerr != nil {
		return err
	}
	return errors.Join(do(), e.FS.Chmod(parent, st.Mode))
}

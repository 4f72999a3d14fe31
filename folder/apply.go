package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// errNotBase: the disk is not what the base says. The path is looked at again, recorded with its old base, and planned anew.
var errNotBase = errors.New("changed on disk meanwhile")

// result is what one operation left at a path; a nil base means that nothing is known to be there.
type result struct {
	path shoal.Path
	base *index.Base
}

// Apply carries the operations of w out, in four steps each of which is durable before the next begins: contents, intents and swaps, names, base.
// An operation that finds the disk changed is left undone; the folder that it is in is looked at again (Dirty). It returns how many operations were done.
func (e *Engine) Apply(ctx context.Context, w *Work) (n int, err error) {
	defer func() {
		if err != nil { // the caller will not begin them, and the next plan must find them
			for _, j := range w.Jobs {
				e.Forget(j)
			}
		}
	}()
	if err := e.checkRoot(); err != nil {
		return 0, err
	}
	items := make([]*workItem, 0, len(w.ops))
	planned := map[shoal.Path]bool{} // paths with an operation of this batch: false when one was left out
	for i := range w.ops {
		it := &w.ops[i]
		fine, again := planned[it.Path]
		it.again = again
		if planned[it.Path] = (fine || !again) && e.prepare(it); planned[it.Path] {
			items = append(items, it)
		}
	}
	if len(items) == 0 {
		return 0, nil
	}
	crashpoint.Here("apply: contents to be synced")
	if err := e.syncContents(items); err != nil {
		return 0, err
	}
	crashpoint.Here("apply: contents synced")
	if err := e.writeIntents(items); err != nil {
		if errors.Is(err, disk.ErrReadOnly) {
			for _, it := range items {
				e.failed(it, err)
			}
			return 0, nil
		}
		return 0, err
	}
	crashpoint.Here("apply: intents written")
	done, touched, broken := e.carryOutAll(ctx, items)
	crashpoint.Here("apply: names to be synced")
	err = errors.Join(e.syncNames(touched), e.syncMeta(items))
	if err == nil {
		crashpoint.Here("apply: names synced")
		err = e.commitBases(ctx, done)
	}
	if err != nil {
		e.lookAgain(items)
		return 0, err
	}
	crashpoint.Here("apply: bases committed")
	for _, it := range items {
		if it.job != nil {
			e.active.remove(it.job)
			delete(e.jobs, it.Path)
			e.holds(it.job.recipe) // only now: who looked before may have found it neither in the job nor in the index
		} else if it.Kind == plan.Move {
			e.dropJob(it.Path) // what was fetched came by a rename
		}
	}
	e.tell(items, broken)
	e.changed()
	return len(done), e.clearIntents()
}

// lookAgain is for operations that were carried out and whose bases could not be committed: what they left is found, and adopted, where it is.
func (e *Engine) lookAgain(items []*workItem) {
	for _, it := range items {
		e.markDirty(it.Path.Parent())
		if it.Kind == plan.Move {
			e.markDirty(it.From.Parent())
		}
		if it.job != nil {
			e.dropJob(it.Path) // its content has left the temporary file
		}
	}
}

// carryOutAll does the operations one after the other. It returns what those that worked left, the folders in which names changed, and the paths of
// those that did not work.
func (e *Engine) carryOutAll(ctx context.Context, items []*workItem) (done []result, touched, broken map[shoal.Path]bool) {
	touched, broken = map[shoal.Path]bool{}, map[shoal.Path]bool{}
	for _, it := range items {
		if isBroken(broken, it.Path) || isBroken(broken, it.From) {
			continue
		}
		if it.lost != nil {
			broken[it.Path] = true
			e.failed(it, it.lost)
			continue
		}
		if it.again && it.Kind == plan.SetMeta {
			it.base = latest(done, it.Path)
		}
		rs, err := e.carryOut(it)
		crashpoint.Here("apply: one operation done")
		if err != nil {
			broken[it.Path] = true
			if !e.standsAside(ctx, it, err, broken) {
				e.failed(it, err)
			}
			continue
		}
		delete(e.waits, it.Path)
		e.settled(it.Path, "apply")
		for _, r := range rs {
			touched[r.path.Parent()] = true
		}
		done = append(done, rs...)
	}
	return done, touched, broken
}

// latest returns what the operations before left at p; nil: they left nothing.
func latest(done []result, p shoal.Path) *index.Base {
	for _, r := range slices.Backward(done) {
		if r.path == p {
			return r.base
		}
	}
	return nil
}

// isBroken tells whether p, or a folder that it is in, was to be changed before and is not what was meant.
func isBroken(broken map[shoal.Path]bool, p shoal.Path) bool {
	for ; p != "" && len(broken) > 0; p = p.Parent() {
		if broken[p] {
			return true
		}
	}
	return false
}

// tell says what was applied, path by path.
func (e *Engine) tell(items []*workItem, broken map[shoal.Path]bool) {
	for _, it := range items {
		if it.Kind == plan.Adopt || it.Kind == plan.Mkdir || isBroken(broken, it.Path) || isBroken(broken, it.From) {
			continue
		}
		kind, dev := HappenedApply, shoal.DeviceID{}
		if it.want != nil {
			dev = it.want.Record.Journal.Device
			if it.want.Copy != nil {
				kind = HappenedConflict
			}
		}
		e.happened(it.Path, kind, dev)
	}
}

func (e *Engine) commitBases(ctx context.Context, done []result) error {
	return e.Index.Update(ctx, func(tx *index.Tx) error {
		for _, r := range done {
			if err := tx.SetBase(r.path, r.base); err != nil {
				return err
			}
		}
		return nil
	})
}

// prepare checks, before anything is made durable, that the disk is the base, and builds what is small: symlinks, empty files, metadata.
func (e *Engine) prepare(it *workItem) bool {
	switch it.Kind {
	case plan.Swap, plan.Remove, plan.SetMeta:
		if it.again {
			break // it follows an operation of the same batch on this path
		}
		err := e.isBase(it.Path, it.base)
		if it.Kind == plan.Remove && it.want == nil && isNotExist(err) && !e.leavesNothing(it.Path, it.base) {
			it.Kind = plan.Adopt // somebody removed it here, too
			return true
		}
		if err != nil {
			e.failed(it, err)
			return false
		}
	case plan.Move:
		err := e.isBase(it.From, it.from.base)
		if isNotExist(err) && !e.leavesNothing(it.From, it.from.base) { // it is gone from its old name already; the new one has to be fetched
			*it = workItem{Op: plan.Op{Kind: plan.Adopt, Path: it.From}, base: it.from.base, goneVersion: it.from.goneVersion}
			return true
		}
		if err != nil {
			e.failed(it, err)
			return false
		}
	}
	if it.Kind == plan.Swap || it.Kind == plan.Remove {
		if e.busy(it.Path) {
			return false
		}
		it.aside = tmpDir + "/" + asidePrefix + e.unique()
	}
	if it.Kind != plan.Put && it.Kind != plan.Swap {
		return true
	}
	if it.Kind == plan.Put && it.want.Copy != nil && !e.isKnown(it.want.Copy.Of) {
		e.failed(it, errNotBase) // who changed that has not seen the copy; beside it, the change would count as the answer to the conflict
		return false
	}
	if err := e.dressTemp(it); err != nil {
		e.failed(it, err)
		return false
	}
	return true
}

// isKnown tells whether p is on the disk what its base says, if that says that something is.
func (e *Engine) isKnown(p shoal.Path) bool {
	var b *index.Base
	err := e.Index.View(func(tx *index.Tx) (err error) { b, err = tx.Base(p); return err })
	return err == nil && (!onDisk(b) || e.isBase(p, b) == nil)
}

// isBase tells whether the disk still shows what b says, by its stat signature.
func (e *Engine) isBase(p shoal.Path, b *index.Base) error {
	st, err := e.FS.Lstat(string(p))
	if err != nil {
		return err
	}
	if !isShown(st, b) {
		return errNotBase
	}
	return nil
}

func isShown(st disk.Stat, b *index.Base) bool {
	if b.Kind == shoal.KindFolder {
		return st.Kind == shoal.KindFolder && st.Mode == b.Stat.Mode
	}
	return st.Kind == b.Kind && !b.Stat.Weak && statOf(st) == b.Stat
}

// dressTemp makes the temporary file or symlink of it look like what is wanted, so that it appears under its name complete.
func (e *Engine) dressTemp(it *workItem) error {
	if it.want.Kind == shoal.KindSymlink {
		it.temp = tmpDir + "/" + linkPrefix + e.unique()
		if err := e.FS.Symlink(it.want.Target, it.temp); err != nil {
			return err
		}
		return ignoreUnsupported(e.FS.Chtimes(it.temp, it.want.MTime))
	}
	it.temp = it.job.temp
	if it.job.dressedAs(it.want) != nil {
		return nil
	}
	if err := e.ifPossible(it.temp, func(p string) error { return e.FS.Chmod(p, it.want.Mode) }); err != nil {
		return err
	}
	return e.ifPossible(it.temp, func(p string) error { return e.FS.Chtimes(p, it.want.MTime) })
}

// ifPossible gives a file of ours a mode or a time, if this disk does such a thing at all. Whether a refusal meant that is found out with another file: otherwise one
// failure would stay for ever, since a disk that can't do it is not asked again.
func (e *Engine) ifPossible(p string, do func(p string) error) error {
	err := do(p)
	if err == nil || ignoreUnsupported(err) != nil {
		return err
	}
	probe := tmpDir + "/" + probePrefix + e.unique()
	f, perr := e.FS.Create(probe, 0, 0o600)
	if perr != nil {
		return err
	}
	if perr = errors.Join(f.Close(), do(probe)); perr == nil {
		perr = err
	} else {
		perr = ignoreUnsupported(perr)
	}
	return errors.Join(perr, e.FS.Remove(probe))
}

// ignoreUnsupported forgives a disk that can't give our own file a mode or a time. Disks without owners refuse it as if it were not ours.
func ignoreUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// carryOut does one operation and looks at what came of it.
func (e *Engine) carryOut(it *workItem) ([]result, error) {
	switch it.Kind {
	case plan.Adopt:
		return e.adopt(it)
	case plan.Mkdir:
		err := e.writable(it.Path, func() error { return e.FS.Mkdir(string(it.Path), it.want.Mode|0o700) })
		if err != nil {
			return nil, err
		}
		crashpoint.Here("apply: folder made")
		if err := e.settleName(it.Path, func() error { return e.FS.Rmdir(string(it.Path)) }); err != nil {
			return nil, err
		}
		rs, err := e.shows(it)
		if err == nil {
			rs[0].base.Mode = it.want.Mode | 0o700
		}
		return rs, err
	case plan.Put:
		if err := e.writable(it.Path, func() error { return e.FS.Rename(it.temp, string(it.Path)) }); err != nil {
			return nil, err
		}
		crashpoint.Here("apply: put in place")
		if err := e.settleName(it.Path, func() error { return e.FS.Rename(string(it.Path), it.temp) }); err != nil {
			return nil, err
		}
		return e.shows(it)
	case plan.Swap:
		return e.swap(it)
	case plan.Move:
		return e.move(it)
	case plan.Remove:
		if err := e.takeAway(it); err != nil {
			return nil, err
		}
		return []result{{it.Path, it.gone()}}, nil
	case plan.Rmdir:
		if err := e.writable(it.Path, func() error { return e.FS.Rmdir(string(it.Path)) }); err != nil && !isNotExist(err) {
			return nil, err
		}
		crashpoint.Here("apply: folder removed")
		return []result{{it.Path, it.gone()}}, nil
	case plan.SetMeta:
		return e.setMeta(it)
	}
	panic("folder: unknown operation " + it.Kind.String())
}

// failed decides what becomes of an operation that was not done: look again, wait, or give the path up on this disk.
func (e *Engine) failed(it *workItem, err error) {
	switch {
	case isNotExist(err) && e.refusesName(it):
		e.excuse(it, disk.ErrName)
	case errors.Is(err, errNotBase), errors.Is(err, disk.ErrChanged), isNotExist(err), isExist(err), errors.Is(err, disk.ErrNotFile), errors.Is(err, disk.ErrNotFolder):
		e.markDirty(it.Path.Parent())
		if it.Kind == plan.Move {
			e.markDirty(it.From.Parent())
		}
		if it.base != nil && it.base.Stat.Weak {
			e.weak[it.Path] = reread{at: e.Now()}
		}
		e.postpone(it.Path, nil)
	case errors.Is(err, disk.ErrNotEmpty):
		e.markDirty(it.Path)
		e.postpone(it.Path, nil)
		if n := e.waits[it.Path].tries; n > 2 {
			e.excused[it.Path] = "excluded"
			e.report(it.Path, "kept", fmt.Sprintf("the folder %s was deleted elsewhere; it stays here because it still holds files that are not synced.", it.Path))
		}
	case errors.Is(err, disk.ErrName), errors.Is(err, errors.ErrUnsupported):
		e.excuse(it, err)
	default:
		e.postpone(it.Path, err)
	}
}

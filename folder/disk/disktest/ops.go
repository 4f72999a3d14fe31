package disktest

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// Lstat implements disk.FS.
func (f *FS) Lstat(p string) (st disk.Stat, err error) {
	err = f.do("lstat", p, func() error {
		n, err := f.walk(p)
		if err == nil {
			st = f.statOf(shoal.Path(p).Name(), n)
		}
		return err
	})
	return st, err
}

// List implements disk.FS.
func (f *FS) List(dir string) (list []disk.Stat, err error) {
	err = f.do("list", dir, func() error {
		list, err = f.list(dir)
		return err
	})
	return list, err
}

func (f *FS) list(dir string) ([]disk.Stat, error) {
	n, err := f.walk(dir)
	if err != nil {
		return nil, err
	}
	if n.kind != shoal.KindFolder {
		return nil, disk.ErrNotFolder
	}
	need := uint32(mayRead)
	if n.entries.Len() > 0 {
		need |= mayEnter // to look at what is in it
	}
	if err := allowed(n, need); err != nil {
		return nil, err
	}
	list := make([]disk.Stat, 0, n.entries.Len())
	n.entries.Scan(func(_ string, e entry) bool {
		if dir != "" || e.name != shoal.ReservedName {
			list = append(list, f.statOf(e.name, f.get(e.ino)))
		}
		return true
	})
	if f.opts.FoldCase || f.opts.Normalize {
		sortByName(list) // the keys are folded
	}
	return list, nil
}

// Readlink implements disk.FS.
func (f *FS) Readlink(p string) (target string, err error) {
	err = f.do("readlink", p, func() error {
		n, err := f.walk(p)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindSymlink {
			return fs.ErrInvalid
		}
		target = n.target
		return nil
	})
	return target, err
}

// Mkdir implements disk.FS.
func (f *FS) Mkdir(p string, mode uint32) error {
	return f.change("mkdir", p, func() error { return f.mkdir(p, mode) })
}

func (f *FS) mkdir(p string, mode uint32) error {
	pl, err := f.findFree(p)
	if err != nil {
		return err
	}
	f.name(pl, f.newInode(shoal.KindFolder, mode, pl.dir.dev))
	return nil
}

// name gives the inode its first or another name.
func (f *FS) name(pl place, n *inode) {
	f.commit(change{dir: pl.dir.ino, new: entry{f.stored(pl.name), n.ino}})
}

// Symlink implements disk.FS.
func (f *FS) Symlink(target, p string) error {
	return f.change("symlink", p, func() error { return f.symlink(target, p) })
}

func (f *FS) symlink(target, p string) error {
	if f.opts.NoSymlinks {
		return errors.ErrUnsupported
	}
	if target == "" || strings.IndexByte(target, 0) >= 0 {
		return fs.ErrInvalid
	}
	if len(target) > 4095 {
		return disk.ErrName
	}
	pl, err := f.findFree(p)
	if err != nil {
		return err
	}
	n := f.newInode(shoal.KindSymlink, 0o777, pl.dir.dev)
	n.target = target
	f.name(pl, n)
	return nil
}

// Rename implements disk.FS.
func (f *FS) Rename(from, to string) error {
	if err := validate(to); err != nil {
		return wrap("rename", to, err)
	}
	return f.change("rename", from, func() error { return f.rename(from, to, false) })
}

// rename moves a name; with replace it does as rename(2).
func (f *FS) rename(from, to string, replace bool) error {
	if to == "" || shoal.Path(to).Under(shoal.Path(from)) || shoal.Path(from).Under(shoal.Path(to)) {
		return fs.ErrInvalid
	}
	src, dst, err := f.findBoth(from, to)
	if err != nil {
		return err
	}
	if src.node == nil {
		return fs.ErrNotExist
	}
	respelt := src.dir == dst.dir && src.name != dst.name && f.key(src.name) == f.key(dst.name)
	switch {
	case dst.node != nil && !respelt && !replace:
		return fs.ErrExist
	case src.dir.dev != dst.dir.dev || src.node.dev != src.dir.dev:
		return disk.ErrCrossDevice
	case strings.ContainsAny(dst.name, f.opts.BadChars):
		return disk.ErrName
	case replace && dst.node == src.node && !respelt:
		return nil
	}
	if err := errors.Join(allowed(src.dir, mayWrite), allowed(dst.dir, mayWrite)); err != nil {
		return err
	}
	if replace && dst.node != nil && !respelt {
		if err := replaceable(src.node, dst.node); err != nil {
			return err
		}
		f.commit(
			change{dir: dst.dir.ino, old: f.entryAt(dst), new: entry{f.stored(dst.name), src.node.ino}},
			change{dir: src.dir.ino, old: f.entryAt(src)},
		)
		return nil
	}
	f.commit(
		change{dir: src.dir.ino, old: f.entryAt(src)},
		change{dir: dst.dir.ino, new: entry{f.stored(dst.name), src.node.ino}},
	)
	return nil
}

// replaceable tells whether rename(2) puts src in the place of dst.
func replaceable(src, dst *inode) error {
	switch {
	case src.kind == shoal.KindFolder && dst.kind != shoal.KindFolder:
		return disk.ErrNotFolder
	case src.kind != shoal.KindFolder && dst.kind == shoal.KindFolder:
		return disk.ErrNotFile
	case dst.kind == shoal.KindFolder && dst.entries.Len() > 0:
		return disk.ErrNotEmpty
	}
	return nil
}

// Exchange implements disk.FS.
func (f *FS) Exchange(a, b string) error {
	if err := validate(b); err != nil {
		return wrap("exchange", b, err)
	}
	return f.change("exchange", a, func() error { return f.exchange(a, b) })
}

func (f *FS) exchange(a, b string) error {
	if f.opts.NoExchange {
		return errors.ErrUnsupported
	}
	if b == "" || shoal.Path(a).Under(shoal.Path(b)) || shoal.Path(b).Under(shoal.Path(a)) {
		return fs.ErrInvalid
	}
	x, y, err := f.findBoth(a, b)
	if err != nil {
		return err
	}
	if x.node == nil || y.node == nil {
		return fs.ErrNotExist
	}
	if x.node == y.node {
		return nil
	}
	if x.dir.dev != y.dir.dev || x.node.dev != x.dir.dev || y.node.dev != y.dir.dev {
		return disk.ErrCrossDevice
	}
	if err := errors.Join(allowed(x.dir, mayWrite), allowed(y.dir, mayWrite)); err != nil {
		return err
	}
	ex, ey := f.entryAt(x), f.entryAt(y)
	f.commit(
		change{dir: x.dir.ino, old: ex, new: entry{ex.name, ey.ino}},
		change{dir: y.dir.ino, old: ey, new: entry{ey.name, ex.ino}},
	)
	return nil
}

// Remove implements disk.FS.
func (f *FS) Remove(p string) error {
	return f.change("remove", p, func() error { return f.remove(p) })
}

// Rmdir implements disk.FS.
func (f *FS) Rmdir(p string) error {
	return f.change("rmdir", p, func() error {
		if pl, err := f.findThere(p); err == nil && pl.node.kind != shoal.KindFolder {
			return disk.ErrNotFolder
		}
		return f.remove(p)
	})
}

func (f *FS) remove(p string) error {
	pl, err := f.findThere(p)
	if err != nil {
		return err
	}
	if err := allowed(pl.dir, mayWrite); err != nil {
		return err
	}
	if pl.node.kind == shoal.KindFolder && pl.node.entries.Len() > 0 {
		return disk.ErrNotEmpty
	}
	if pl.node.dev != pl.dir.dev {
		return disk.ErrInUse // a mount point
	}
	f.commit(change{dir: pl.dir.ino, old: f.entryAt(pl)})
	return nil
}

// Chmod implements disk.FS.
func (f *FS) Chmod(p string, mode uint32) error {
	return f.change("chmod", p, func() error { return f.chmod(p, mode) })
}

func (f *FS) chmod(p string, mode uint32) error {
	n, err := f.walk(p)
	if err != nil {
		return err
	}
	if n.kind == shoal.KindSymlink {
		return errors.ErrUnsupported
	}
	n = f.editUnsynced(n.ino)
	n.mode = f.modeFor(mode)
	n.ctime = f.round(f.now)
	return nil
}

// Chtimes implements disk.FS.
func (f *FS) Chtimes(p string, mtime int64) error {
	return f.change("chtimes", p, func() error { return f.chtimes(p, mtime) })
}

func (f *FS) chtimes(p string, mtime int64) error {
	n, err := f.walk(p)
	if err != nil {
		return err
	}
	n = f.editUnsynced(n.ino)
	n.mtime = f.round(mtime)
	n.ctime = f.round(f.now)
	return nil
}

// Dress implements disk.FS.
func (f *FS) Dress(p string, was disk.Stat, mode uint32, mtime int64) (now disk.Stat, sure bool, err error) {
	err = f.change("dress", p, func() error {
		n, err := f.walk(p)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindFile {
			return disk.ErrNotFile
		}
		name := p[strings.LastIndexByte(p, 0x2f)+1:]
		now = f.statOf(name, n)
		if was.Name, was.Links = now.Name, now.Links; was != now {
			return disk.ErrChanged
		}
		if now.Mode != f.modeFor(mode) {
			if err := f.chmod(p, mode); err != nil {
				return err
			}
		}
		if now.MTime != f.round(mtime) {
			if err := f.chtimes(p, mtime); err != nil {
				return err
			}
		}
		n, err = f.walk(p)
		if err == nil {
			now, sure = f.statOf(name, n), f.writers[n.ino] == 0
		}
		return err
	})
	return now, sure, err
}

// Space implements disk.FS.
func (f *FS) Space() (free, total int64, err error) {
	err = f.do("space", "", func() error {
		free, total = max(f.opts.Capacity-f.used, 0), f.opts.Capacity
		return nil
	})
	return free, total, err
}

// SetCapacity makes the disk bigger or smaller, down to less than what is on it.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opts.Capacity = bytes
}

// Busy implements disk.FS.
func (f *FS) Busy(p string) (busy bool, err error) {
	err = f.do("busy", p, func() error {
		n, err := f.walk(p)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindFile {
			return disk.ErrNotFile
		}
		busy = f.writers[n.ino] > 0
		return nil
	})
	return busy, err
}

// CheckRoot implements disk.FS.
func (f *FS) CheckRoot() error {
	return f.do("checkroot", "", func() error {
		if f.rootGone {
			return disk.ErrRootGone
		}
		return nil
	})
}

// SetRootGone says whether the path of the root still names this tree: see CheckRoot.
func (f *FS) SetRootGone(gone bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rootGone = gone
}

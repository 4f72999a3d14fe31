package disktest

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	"golang.org/x/text/unicode/norm"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// rootIno is the inode number of the root; 0 is none.
const rootIno = 1

// inode is a file, folder, symlink or special file. It is changed only by the FS whose id is owner; others make a copy.
type inode struct {
	owner        uint64
	ino, dev     uint64
	kind         shoal.Kind // 0: special
	mode         uint32
	mtime, ctime int64
	links        uint64 // names; for folders 1 while it has a place

	content content                   // files
	target  string                    // symlinks
	entries *btree.Map[string, entry] // folders, by FS.key

	durable *durable // what is on the platter, if it differs; never changed in place
}

// entry is a name in a folder. The zero value means: nothing there.
type entry struct {
	name string
	ino  uint64
}

// durable is what an inode was when it was last synced. Entries of folders are in FS.log instead.
type durable struct {
	mode    uint32
	mtime   int64
	content content
}

// change is one name's part in an operation.
type change struct {
	dir      uint64
	old, new entry
}

// nameOp is an operation on names that is not durable yet. touches are the inodes that it must stay in order about.
type nameOp struct {
	changes []change
	touches []uint64
}

// movesOfFolders stands in touches of every move of a folder to another folder: these stay in order, or two of them could
// make a circle (Linux keeps them in order too: s_vfs_rename_mutex).
const movesOfFolders = 0

// key is the name as this disk compares it.
func (f *FS) key(name string) string {
	name = f.stored(name)
	if f.opts.Normalize {
		name = norm.NFC.String(name)
	}
	if f.opts.FoldCase {
		name = strings.ToLower(name)
	}
	return name
}

// stored is the name that a thing gets when it is asked to have this one.
func (f *FS) stored(name string) string {
	if f.opts.StripDots {
		return strings.TrimRight(name, ".")
	}
	return name
}

func (f *FS) get(ino uint64) *inode {
	n, _ := f.inodes.Get(ino)
	return n
}

// edit returns the inode to be changed in place.
func (f *FS) edit(ino uint64) *inode {
	n := f.get(ino)
	if n.owner == f.id {
		return n
	}
	c := *n
	f.family.Lock() // copying a tree marks the original as shared
	if n.entries != nil {
		c.entries = n.entries.Copy()
	}
	if n.content.pages != nil {
		c.content = n.content.copy()
	}
	f.family.Unlock()
	c.owner = f.id
	f.inodes.Set(ino, &c)
	return &c
}

// editUnsynced is edit for changes of content, mode or time: it keeps what is on the platter.
func (f *FS) editUnsynced(ino uint64) *inode {
	n := f.edit(ino)
	if n.durable == nil {
		d := &durable{mode: n.mode, mtime: n.mtime}
		if n.content.pages != nil {
			d.content = n.content.copy()
		}
		n.durable = d
		f.dirty.Set(ino, struct{}{})
	}
	return n
}

// touch sets the times of a changed inode.
func (f *FS) touch(n *inode) {
	n.mtime = f.round(f.now)
	n.ctime = n.mtime
}

func (f *FS) round(ns int64) int64 {
	if g := f.opts.Granularity; g > 1 {
		r := ns % g
		if r < 0 {
			r += g
		}
		return ns - r
	}
	return ns
}

// newInode makes an inode without a name.
func (f *FS) newInode(kind shoal.Kind, mode uint32, dev uint64) *inode {
	f.lastIno++
	n := &inode{owner: f.id, ino: f.lastIno, dev: dev, kind: kind, mode: f.modeFor(mode)}
	f.touch(n)
	n.durable = &durable{mode: n.mode, mtime: n.mtime}
	switch kind {
	case shoal.KindFile:
		n.content, n.durable.content = newContent(), newContent()
	case shoal.KindFolder:
		n.entries = new(btree.Map[string, entry])
	}
	f.inodes.Set(n.ino, n)
	f.dirty.Set(n.ino, struct{}{})
	return n
}

func (f *FS) modeFor(mode uint32) uint32 {
	if f.opts.NoModes {
		return 0o755
	}
	return mode & 0o7777
}

// Permission bits of the owner, as folders and files use them.
const (
	mayRead  = 0o400
	mayWrite = 0o200
	mayEnter = 0o100
)

func allowed(n *inode, bits uint32) error {
	if n.mode&bits != bits {
		return fs.ErrPermission
	}
	return nil
}

// walk follows p to an inode.
func (f *FS) walk(p string) (*inode, error) {
	n := f.get(rootIno)
	for rest, more := p, p != ""; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if n.kind != shoal.KindFolder {
			return nil, disk.ErrNotFolder
		}
		if err := allowed(n, mayEnter); err != nil {
			return nil, err
		}
		e, ok := n.entries.Get(f.key(name))
		if !ok {
			return nil, fs.ErrNotExist
		}
		n = f.get(e.ino)
	}
	return n, nil
}

// place is a name in a folder, and what it leads to.
type place struct {
	dir  *inode
	name string
	node *inode // nil: nothing there
}

// find follows p to its place.
func (f *FS) find(p string) (place, error) {
	parent, name := shoal.Path(p).Parent(), shoal.Path(p).Name()
	dir, err := f.walk(string(parent))
	if err != nil {
		return place{}, err
	}
	if dir.kind != shoal.KindFolder {
		return place{}, disk.ErrNotFolder
	}
	if err := allowed(dir, mayEnter); err != nil {
		return place{}, err
	}
	pl := place{dir: dir, name: name}
	if e, ok := dir.entries.Get(f.key(name)); ok {
		pl.node = f.get(e.ino)
	}
	return pl, nil
}

// findThere is find for a name that must exist.
func (f *FS) findThere(p string) (place, error) {
	pl, err := f.find(p)
	if err == nil && pl.node == nil {
		err = fs.ErrNotExist
	}
	return pl, err
}

// findBoth is find for two names: first the folders, then what is in them, as the system does.
func (f *FS) findBoth(p, q string) (a, b place, err error) {
	if a, err = f.find(p); err == nil {
		b, err = f.find(q)
	}
	return a, b, err
}

// findFree is find for a name that must not exist and that this disk can hold.
func (f *FS) findFree(p string) (place, error) {
	pl, err := f.find(p)
	switch {
	case err != nil:
		return pl, err
	case pl.node != nil:
		return pl, fs.ErrExist
	case strings.ContainsAny(pl.name, f.opts.BadChars) || f.stored(pl.name) == "":
		return pl, disk.ErrName
	}
	return pl, allowed(pl.dir, mayWrite|mayEnter)
}

// entryAt is the entry that the place has now.
func (f *FS) entryAt(pl place) entry {
	e, _ := f.get(pl.dir.ino).entries.Get(f.key(pl.name))
	return e
}

// commit carries changes of names out, as one operation, and logs it.
func (f *FS) commit(changes ...change) {
	op := nameOp{changes: changes}
	for _, c := range changes {
		op.touches = append(op.touches, c.dir)
		for _, e := range []entry{c.old, c.new} {
			if e.ino != 0 {
				op.touches = append(op.touches, e.ino)
			}
		}
		f.setEntry(c.dir, c.old, c.new)
		f.touch(f.editUnsynced(c.dir))
	}
	if len(changes) == 2 && changes[0].dir != changes[1].dir && f.movesFolder(changes) {
		op.touches = append(op.touches, movesOfFolders)
	}
	f.log = append(f.log, op)
	for _, c := range changes {
		f.release(c.old.ino)
	}
}

// movesFolder tells whether one of the changes takes a folder away or brings one.
func (f *FS) movesFolder(changes []change) bool {
	return slices.ContainsFunc(changes, func(c change) bool {
		return slices.ContainsFunc([]entry{c.old, c.new}, func(e entry) bool {
			return e.ino != 0 && f.get(e.ino).kind == shoal.KindFolder
		})
	})
}

// setEntry replaces an entry of dir and counts the names of what it led and leads to.
func (f *FS) setEntry(dir uint64, old, new entry) {
	entries := f.edit(dir).entries
	if old.ino != 0 {
		entries.Delete(f.key(old.name))
		n := f.edit(old.ino)
		n.links--
		n.ctime = f.round(f.now)
		if n.links == 0 {
			f.dirty.Set(n.ino, struct{}{}) // so that settle forgets it
		}
	}
	if new.ino != 0 {
		entries.Set(f.key(new.name), new)
		n := f.edit(new.ino)
		n.links++
		n.ctime = f.round(f.now)
	}
}

// release gives back the space of an inode without names and users. The inode itself stays for as long as a power cut may
// bring it back.
func (f *FS) release(ino uint64) {
	if ino == 0 {
		return
	}
	n := f.get(ino)
	if n.links > 0 || f.open[ino] > 0 || n.kind != shoal.KindFile {
		return
	}
	f.used -= int64(n.content.pages.Len()) * pageSize
}

func (f *FS) statOf(name string, n *inode) disk.Stat {
	st := disk.Stat{
		Name: name, Kind: n.kind, Mode: n.mode, MTime: n.mtime, CTime: n.ctime,
		Inode: n.ino, Device: n.dev, Links: max(n.links, 1),
	}
	switch n.kind {
	case shoal.KindFile:
		st.Size = n.content.size
	case shoal.KindSymlink:
		st.Size = int64(len(n.target))
	}
	return st
}

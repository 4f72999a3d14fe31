package disktest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/tidwall/btree"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// SyncDir implements disk.FS: the operations on dir's own names become durable, and those before them that they build on.
func (f *FS) SyncDir(dir string) error {
	return f.do("syncdir", dir, func() error {
		n, err := f.walk(dir)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindFolder {
			return disk.ErrNotFolder
		}
		if err := allowed(n, mayRead); err != nil {
			return err
		}
		f.syncNames(n.ino)
		f.edit(n.ino).durable = nil
		f.dirty.Delete(n.ino)
		return nil
	})
}

func (f *FS) syncNames(dir uint64) {
	needed := map[uint64]bool{}
	var rest []nameOp
	for _, op := range slices.Backward(f.log) {
		wanted := slices.ContainsFunc(op.changes, func(c change) bool { return c.dir == dir }) ||
			slices.ContainsFunc(op.touches, func(ino uint64) bool { return needed[ino] })
		if !wanted {
			rest = append(rest, op)
			continue
		}
		for _, ino := range op.touches {
			needed[ino] = true
		}
	}
	slices.Reverse(rest)
	f.log = rest
}

// SyncAll implements disk.FS.
func (f *FS) SyncAll() error {
	return f.do("syncall", "", func() error {
		f.settle()
		return nil
	})
}

// settle makes everything durable and forgets inodes that nothing leads to any more.
func (f *FS) settle() {
	f.dirty.Scan(func(ino uint64, _ struct{}) bool {
		n := f.edit(ino)
		n.durable = nil
		if n.links == 0 && f.open[ino] == 0 {
			f.inodes.Delete(ino)
		}
		return true
	})
	f.dirty = new(btree.Map[uint64, struct{}])
	f.log = nil
}

// Crash returns the disk as a power cut now may leave it, by chance from seed: see the package comment. The disk itself
// stays as it is, so that one moment can be tried with many seeds. The clock goes on.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clone()
	rng := rand.New(rand.NewPCG(seed, 0))
	c.loseNames(rng)
	c.dirty.Scan(func(ino uint64, _ struct{}) bool {
		c.tear(c.edit(ino), rng)
		return true
	})
	c.settle()
	c.dropUnreachable()
	c.dead = false
	return c
}

// loseNames takes back some operations on names. After one that is lost, all are lost that touch what it touched: they
// were to happen after it.
func (f *FS) loseNames(rng *rand.Rand) {
	// How likely each operation has reached the disk: nothing, everything, or something between.
	chance := []float64{0, 1, 0.5, 0.9, 0.98}[rng.IntN(5)]
	lost := map[uint64]bool{}
	var undo []nameOp
	for _, op := range f.log {
		late := slices.ContainsFunc(op.touches, func(ino uint64) bool { return lost[ino] })
		if !late && rng.Float64() < chance {
			continue
		}
		undo = append(undo, op)
		for _, ino := range op.touches {
			lost[ino] = true
		}
	}
	for _, op := range slices.Backward(undo) {
		for _, c := range slices.Backward(op.changes) {
			f.setEntry(c.dir, c.new, c.old)
		}
	}
}

// tear leaves of an unsynced inode what a power cut may leave.
func (f *FS) tear(n *inode, rng *rand.Rand) {
	d := n.durable
	if d == nil {
		return
	}
	if rng.IntN(2) == 0 {
		n.mode = d.mode
	}
	if rng.IntN(2) == 0 {
		n.mtime = d.mtime
	}
	if n.kind == shoal.KindFile {
		n.content = n.content.torn(d.content, rng)
	}
}

// dropUnreachable forgets what has no place in the tree and counts the space anew.
func (f *FS) dropUnreachable() {
	reached := map[uint64]bool{}
	f.used = 0
	f.reach(rootIno, reached)
	var lost []uint64
	f.inodes.Scan(func(ino uint64, _ *inode) bool {
		if !reached[ino] {
			lost = append(lost, ino)
		}
		return true
	})
	for _, ino := range lost {
		f.inodes.Delete(ino)
	}
}

func (f *FS) reach(ino uint64, reached map[uint64]bool) {
	if reached[ino] {
		return
	}
	reached[ino] = true
	n := f.get(ino)
	if n.kind == shoal.KindFile {
		f.used += int64(n.content.pages.Len()) * pageSize
	}
	if n.kind == shoal.KindFolder {
		n.entries.Scan(func(_ string, e entry) bool {
			f.reach(e.ino, reached)
			return true
		})
	}
}

// Check tells whether the disk's own books are in order: every name leads to something, numbers of names and used bytes
// are right, no folder has two places. Tests of this package call it.
func (f *FS) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := map[uint64]uint64{rootIno: 1}
	var bad error
	f.inodes.Scan(func(dir uint64, n *inode) bool {
		if n.kind != shoal.KindFolder || n.links == 0 {
			return true
		}
		n.entries.Scan(func(_ string, e entry) bool {
			names[e.ino]++
			if f.get(e.ino) == nil {
				bad = fmt.Errorf("name %q in folder %d leads to nothing", e.name, dir)
			}
			return true
		})
		return true
	})
	var used int64
	f.inodes.Scan(func(ino uint64, n *inode) bool {
		if n.links != names[ino] {
			bad = fmt.Errorf("inode %d: %d names counted, has %d", ino, n.links, names[ino])
		}
		if n.kind == shoal.KindFile && (n.links > 0 || f.open[ino] > 0) {
			used += int64(n.content.pages.Len()) * pageSize
		}
		return true
	})
	if used != f.used && bad == nil {
		bad = fmt.Errorf("%d bytes counted as used, %d are", f.used, used)
	}
	return bad
}

func sortByName(list []disk.Stat) {
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
}

func sortEntries(list []entry) {
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
}

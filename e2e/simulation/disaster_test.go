package simulation

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
)

// image is a copy of a device's disk from earlier.
type image struct {
	fs *disktest.FS
	db *index.DB
}

// injected marks failures that the schedule made; the device must live with them.
type injected struct{ error }

func (e injected) Unwrap() error { return e.error }

// failDisk lets one operation on the disk fail soon.
func (d *device) failDisk(in int, err error) { d.failAt, d.failErr = in, err }

// takeImage copies the disk, as a backup of the machine would.
func (d *device) takeImage() {
	d.w.trace("%s: an image is taken", d.name)
	d.image = &image{fs: d.fs.Clone(), db: d.db.Clone(d.indexOptions())}
}

// putImageBack makes the device what it was. What only it had since is gone, and that is nobody's fault.
func (d *device) putImageBack() error {
	if d.image == nil {
		return nil
	}
	d.w.trace("%s: an old image is put back", d.name)
	before := d.contents()
	d.cutLinks()
	d.crashAt, d.meddle, d.failAt = 0, 0, 0
	d.fs, d.db = d.image.fs.Clone(), d.image.db.Clone(d.indexOptions())
	d.fs.SetNow(d.w.now.Add(d.skew).UnixNano())
	d.w.oracle.crashed(d, before)
	return d.start()
}

// loseDatabase makes the device join anew with the files that it has.
func (d *device) loseDatabase() error {
	d.w.trace("%s: the database is lost", d.name)
	d.cutLinks()
	d.crashAt, d.meddle, d.failAt = 0, 0, 0
	d.db = index.OpenMemory(d.indexOptions())
	d.joining = true
	return d.start()
}

// mayRecord is what the node's rule comes to: somebody connected, who does not join himself, has nothing more than this device.
func (d *device) mayRecord() bool {
	allJoin, met := true, false
	for _, l := range d.w.links {
		o := l.other(d)
		if o == nil || !l.up {
			continue
		}
		met = true
		if !o.joining && covers(d.idx, o.idx) {
			return true
		}
		allJoin = allJoin && o.joining && d.i < o.i
	}
	return met && allJoin
}

// covers tells whether a has every record that b has.
func covers(a, b *index.Folder) bool {
	var mine, theirs map[shoal.JournalID]index.JournalPos
	_ = a.View(func(tx *index.Tx) error { mine = tx.Frontier(); return nil })
	_ = b.View(func(tx *index.Tx) error { theirs = tx.Frontier(); return nil })
	for j, at := range theirs {
		if mine[j].Seq < at.Seq {
			return false
		}
	}
	return true
}

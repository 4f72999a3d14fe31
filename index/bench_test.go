package index

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal"
)

// onDisk gives the device a database file.
func (d *device) onDisk(b testing.TB) {
	b.Helper()
	db, err := Open(filepath.Join(b.TempDir(), "db"), Options{Clock: d.world.clock, Rand: d.world.chance, NoSync: noSync})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	d.open(db)
}

func drafts(d *device, dir shoal.Path, n int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		out[i] = d.file(dir.Join(fmt.Sprintf("file-%06d.txt", i)), fmt.Sprint(dir, i))
	}
	return out
}

func BenchmarkAppend1000NewFiles(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		list := drafts(d, shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i)), 1000)
		b.StartTimer()
		d.write(list...)
	}
}

func BenchmarkAppendOneEdit(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	for i := range 20 {
		d.write(drafts(d, shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i)), 5000)...)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i%20)).Join(fmt.Sprintf("file-%06d.txt", i*37%5000))
		d.update(func(tx *Tx) error {
			base, err := tx.Desired(p)
			if err != nil {
				return err
			}
			e := d.file(p, fmt.Sprint("edit", i))
			e.Version, e.Replaced = base.Version, base.Content
			if _, err = tx.Append([]Entry{e}); err != nil {
				return err
			}
			return d.applyOne(tx, p)
		})
	}
}

func BenchmarkSetBase1000(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		list := drafts(d, shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i)), 1000)
		d.write(list...)
		b.StartTimer()
		d.update(func(tx *Tx) error {
			for j := range list {
				if err := d.applyOne(tx, list[j].Path); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func BenchmarkAccept1000Records(b *testing.B) {
	w := newWorld(b, "a", "b")
	from, to := w.devices[0], w.devices[1]
	from.onDisk(b)
	to.onDisk(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		dots := from.write(drafts(from, shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i)), 1000)...)
		batch := from.batch(dots[0].Journal, dots[0].Seq-1)
		b.StartTimer()
		must(b, to.f.Update(context.Background(), func(tx *Tx) error {
			_, err := tx.Accept(batch)
			return err
		}))
	}
}

func BenchmarkReadAfter1000Records(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	dots := d.write(drafts(d, "documents/2026", 1000)...)
	b.ReportAllocs()
	for b.Loop() {
		d.batch(dots[0].Journal, 0)
	}
}

// noSync leaves the disk out of the figures.
const noSync = true

func BenchmarkListBasesOf1000Files(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	d.write(drafts(d, "documents/2026", 1000)...)
	d.apply()
	b.ReportAllocs()
	for b.Loop() {
		d.view(func(tx *Tx) error {
			for range tx.BasesIn("documents/2026") {
			}
			return nil
		})
	}
}

func BenchmarkDesiredOf1000Files(b *testing.B) {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	list := drafts(d, "documents/2026", 1000)
	d.write(list...)
	b.ReportAllocs()
	for b.Loop() {
		d.view(func(tx *Tx) error {
			for i := range list {
				if _, err := tx.Desired(list[i].Path); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

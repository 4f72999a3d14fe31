package folder

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/index"
)

// Limits of a deep check.
const (
	deepPage = 256  // files looked up in the index at once
	maxFound = 1000 // findings of one kind that are told one by one
)

// DeepReport is what a deep check found. Each list has at most 1,000 entries.
type DeepReport struct {
	Files, Bytes int64 // read to the end
	Edited       int64 // changed by somebody since they were recorded; a scan records them, or has by now
	// Damaged files have other content than was recorded, though nobody changed them as far as the disk tells.
	Damaged []DeepFinding
	// Missing files are not there any more, and were not when looked at again; a scan takes that for a deletion.
	Missing    []DeepFinding
	Unreadable []DeepFinding
	Omitted    int64 // findings beyond what the lists hold
}

// DeepFinding is one file that is not as it should be.
type DeepFinding struct {
	Path   shoal.Path
	Record shoal.Dot // the record that the file should show; zero: none
	Err    error     // why it can't be read
}

// DeepCheck reads every file that is on this disk again, from the disk itself where the system can, and holds it against what the index has of it. It changes nothing,
// neither on disk nor in the index. Unlike the other methods it may be called at any time, from any goroutine, beside the engine: see Service.Beside. tell is called
// with what was read so far, after each file.
func (e *Engine) DeepCheck(ctx context.Context, tell func(files, bytes int64)) (DeepReport, error) {
	d := &deepCheck{e: e}
	after := shoal.Path("")
	for {
		page, next, err := d.page(after)
		if err != nil {
			return d.report, err
		}
		for _, f := range page {
			if err := d.look(ctx, f); err != nil {
				return d.report, err
			}
			tell(d.report.Files, d.report.Bytes)
		}
		if next == "" {
			break
		}
		after = next
	}
	if err := e.rootThere(); err != nil { // else everything is missing
		return d.report, err
	}
	return d.report, d.lookForMissing(ctx)
}

// rootThere tells whether the root is still the one that was added.
func (e *Engine) rootThere() error {
	if err := e.FS.CheckRoot(); err != nil {
		return fmt.Errorf("%w: %w", ErrRootGone, err)
	}
	if _, err := e.FS.Lstat(tmpDir); err != nil {
		return fmt.Errorf("%w: %w", ErrRootGone, err)
	}
	return nil
}

type deepCheck struct {
	e       *Engine
	report  DeepReport
	missing []shoal.Path // were not there once
}

// deepFile is a file as the index has it.
type deepFile struct {
	path shoal.Path
	base *index.Base
}

// page returns the next files, and after which path they go on; "" for not at all. The index is looked at only for the moment: a reading transaction that lasts
// as long as the check would make the database grow.
func (d *deepCheck) page(after shoal.Path) (files []deepFile, next shoal.Path, err error) {
	err = d.e.Index.View(func(tx *index.Tx) error {
		seen := 0
		for p, b := range tx.BasesAfter(after) {
			if b.Kind == shoal.KindFile {
				b.Recipe = nil
				files = append(files, deepFile{p, b})
			}
			if seen++; seen == deepPage {
				next = p
				return nil
			}
		}
		return nil
	})
	return files, next, err
}

// look compares one file. What is not as it should be is looked at again as the index has it by then, because the engine and users go on meanwhile.
func (d *deepCheck) look(ctx context.Context, f deepFile) error {
	got, _ := d.compare(ctx, f, true)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case got == deepFine:
		return nil
	case got == deepMissing && len(d.missing) < maxFound:
		d.missing = append(d.missing, f.path)
		return nil
	case got == deepMissing:
		d.report.Omitted++
		return nil
	}
	return d.lookAgain(ctx, f.path)
}

func (d *deepCheck) lookForMissing(ctx context.Context) error {
	for _, p := range d.missing {
		if err := d.lookAgain(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain compares a file with what the index has of it now, and reports what comes out.
func (d *deepCheck) lookAgain(ctx context.Context, p shoal.Path) error {
	f := deepFile{path: p}
	err := d.e.Index.View(func(tx *index.Tx) (err error) {
		f.base, err = tx.Base(p)
		return err
	})
	if err != nil || f.base == nil || f.base.Kind != shoal.KindFile {
		return err
	}
	got, why := d.compare(ctx, f, false)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	finding := DeepFinding{Path: p, Record: f.base.Record, Err: why}
	switch got {
	case deepEdited:
		d.report.Edited++
	case deepDamaged:
		d.add(&d.report.Damaged, finding)
	case deepMissing:
		d.add(&d.report.Missing, finding)
	case deepUnreadable:
		d.add(&d.report.Unreadable, finding)
	}
	return nil
}

func (d *deepCheck) add(list *[]DeepFinding, f DeepFinding) {
	if len(*list) == maxFound {
		d.report.Omitted++
		return
	}
	*list = append(*list, f)
}

// verdict is what a file turns out to be.
type verdict uint8

const (
	deepFine verdict = iota
	deepEdited
	deepDamaged
	deepMissing
	deepUnreadable
)

// compare holds the disk against the base of one file. Only a file that nobody touched, by its stat signature before and after it was read, can be damaged.
func (d *deepCheck) compare(ctx context.Context, f deepFile, count bool) (verdict, error) {
	st, err := d.e.FS.Lstat(string(f.path))
	if err != nil {
		return unread(err)
	}
	recorded := withoutWeak(f.base.Stat)
	if st.Kind != shoal.KindFile || statOf(st) != recorded {
		return deepEdited, nil
	}
	content, before, after, err := d.read(ctx, f.path)
	switch {
	case err != nil:
		return unread(err)
	case before != recorded || after != recorded:
		return deepEdited, nil
	}
	if count {
		d.report.Files++
		d.report.Bytes += after.Size
	}
	switch {
	case content == f.base.Content:
		return deepFine, nil
	case f.base.Stat.Weak:
		return deepEdited, nil // a change could hide behind the same times
	}
	return deepDamaged, nil
}

func unread(err error) (verdict, error) {
	switch {
	case isNotExist(err):
		return deepMissing, nil
	case errors.Is(err, disk.ErrNotFile):
		return deepEdited, nil
	}
	return deepUnreadable, err
}

// uncacher is a file that can be read from the disk itself though the system has it in memory.
type uncacher interface{ Uncache() error }

func (d *deepCheck) read(ctx context.Context, p shoal.Path) (content block.ContentID, before, after index.DiskStat, err error) {
	f, err := d.e.FS.Open(string(p))
	if err != nil {
		return content, before, after, err
	}
	defer f.Close()
	if u, ok := f.(uncacher); ok {
		_ = u.Uncache()   // else the memory's copy is read, which is what other programs see
		defer u.Uncache() // this one is of no use to anybody
	}
	st, err := f.Stat()
	if err != nil {
		return content, before, after, err
	}
	before = statOf(st)
	recipe, err := hashFile(ctx, d.e.Keys, f, 0, 1)
	if err != nil {
		return content, before, after, err
	}
	if st, err = f.Stat(); err != nil {
		return content, before, after, err
	}
	return d.e.Keys.ContentID(recipe), before, statOf(st), nil
}

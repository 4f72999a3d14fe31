package folder

import (
	"context"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/index"
)

// commitBytes is how much content, in bytes, is hashed before what was found is recorded, so that others can begin to fetch.
const commitBytes = 256 << 20

// record turns what a scan found into records: new content first, then renames with their tombstones, then deletions.
func (e *Engine) record(ctx context.Context, news, gone []*sight, full bool) error {
	if e.joining {
		return nil
	}
	matchRenames(gone, news)
	var plain, moved []*sight
	sources := map[shoal.Path]bool{}
	for _, n := range news {
		if n.from != "" {
			moved = append(moved, n)
			sources[n.from] = true
		} else {
			plain = append(plain, n)
		}
	}
	var left, deleted []*sight
	for _, g := range gone {
		if sources[g.path] {
			left = append(left, g)
		} else {
			deleted = append(deleted, g)
		}
	}
	gone = append(left, e.holdMassDeletion(deleted, full)...)
	e.leaving = map[shoal.Path]bool{}
	defer func() { e.leaving = nil }()
	for _, g := range gone {
		e.leaving[g.path] = g.base.Copy != nil
	}
	if err := e.recordNews(ctx, plain); err != nil {
		return err
	}
	moved, err := e.readAll(ctx, moved)
	if err != nil {
		return err
	}
	return e.recordGone(ctx, moved, gone)
}

// recordNews reads and records what is new or changed.
func (e *Engine) recordNews(ctx context.Context, news []*sight) error {
	r := recorder{e: e}
	defer r.stop()
	if err := r.take(ctx, news); err != nil {
		return err
	}
	return r.finish(ctx)
}

// recorder reads and records what is new or changed, in commits of bounded size. While one group is recorded, which is the work of one
// goroutine, the next is read by others.
type recorder struct {
	e    *Engine
	next *reading // the group to be recorded next; nil: none
}

// take records news, but for its last group, which may only be on its way to be read. Who calls it calls stop at last.
func (r *recorder) take(ctx context.Context, news []*sight) error {
	for len(news) > 0 {
		n, size := 0, int64(0)
		for n < len(news) && n < commitSize && size < commitBytes {
			size += news[n].stat.Size
			n++
		}
		group := r.e.startReading(ctx, news[:n])
		err := r.finish(ctx)
		r.next = group
		if err == nil && r.e.Workers <= 1 {
			err = r.finish(ctx) // nothing reads beside: one thing after the other, as a seed repeats it
		}
		if err != nil {
			return err
		}
		news = news[n:]
	}
	return nil
}

// finish records what was taken.
func (r *recorder) finish(ctx context.Context) error {
	if r.next == nil {
		return nil
	}
	group := r.next
	r.next = nil
	read, err := group.wait(ctx)
	if err != nil {
		return err
	}
	return r.e.commit(ctx, read)
}

// stop waits for what is still being read, and records nothing of it.
func (r *recorder) stop() {
	if r.next != nil {
		r.next.workers.Wait()
	}
}

// recordGone records renames and deletions; both ends of a rename are always in one commit.
func (e *Engine) recordGone(ctx context.Context, moved, gone []*sight) error {
	target := make(map[shoal.Path]*sight, len(moved))
	for _, m := range moved {
		target[m.from] = m
	}
	// Bottom up, so that a folder's tombstone never precedes those of what was in it.
	sortSights(gone)
	slices.Reverse(gone)
	var group []*sight
	for _, g := range gone {
		if m := target[g.path]; m != nil {
			group = append(group, m)
		}
		group = append(group, g)
		if len(group) >= commitSize {
			if err := e.commit(ctx, group); err != nil {
				return err
			}
			group = nil
		}
	}
	return e.commit(ctx, group)
}

// commit records one group of sights in one transaction.
func (e *Engine) commit(ctx context.Context, group []*sight) error {
	if len(group) == 0 {
		return nil
	}
	switch e.access() {
	case AccessRead:
		return e.refuse(ctx, group)
	case AccessNone:
		return nil // its files stay as they are, and nothing is said of them
	}
	var d *drafts
	crashpoint.Here("record: to be written")
	err := e.Index.Update(ctx, func(tx *index.Tx) error {
		d = &drafts{e: e, tx: tx, moved: map[shoal.Path]shoal.Path{}, sights: make(map[shoal.Path]*sight, len(group))}
		for _, s := range group {
			d.sights[s.path] = s
			if s.from != "" {
				d.moved[s.from] = s.path
			}
		}
		for _, s := range group {
			if err := d.add(s); err != nil {
				return fmt.Errorf("record %s: %w", s.path, err)
			}
		}
		_, err := d.write()
		return err
	})
	crashpoint.Here("record: written")
	if err == nil {
		for _, list := range [][]draft{d.keeps, d.hides} {
			for i := range list {
				e.happened(list[i].entry.Path, HappenedChange, e.Self)
			}
		}
		e.changed()
	}
	return err
}

package folder

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// planWindow is how many needs are planned at once.
const planWindow = 2000

// Work is what a plan found to do. Ops can be carried out at once (Apply); Jobs are new contents to assemble first.
type Work struct {
	ops  []workItem
	Jobs []*Job
	More shoal.Path // set: the needs go on after this path
}

// Ready tells whether there is anything to apply.
func (w *Work) Ready() bool { return len(w.ops) > 0 }

// workItem is an operation with what its path has and shall have.
type workItem struct {
	plan.Op
	base *index.Base
	want *index.State
	from *workItem // Move: the item of the old name
	job  *Job
	temp string // Put, Swap: where the new thing is

	put  disk.Stat // Put, Swap, Move: the new thing, before it was put in its place
	lost error     // the new thing could not be looked at any more when its intent was to be written

	inPlace bool // its mode or time was changed under its name

	aside string // Remove, Swap: where what is taken away goes on its way to history

	again bool // an operation of the same batch on this path comes before it

	// goneVersion is what an empty place here shows: set when nothing is wanted.
	goneVersion conflict.Version
}

// need is one path where the base differs from what is desired.
type need struct {
	item plan.Item
	base *index.Base
	want *index.State
	gone conflict.Version // what an empty place shows; set when nothing is wanted
}

// Plan compares base and desired tree for the needs after a path and returns what to do about them. Contents being assembled for something that
// is no longer wanted are let go. It reads the index and changes nothing on disk.
func (e *Engine) Plan(ctx context.Context, after shoal.Path) (*Work, error) {
	w := &Work{}
	if e.overtaken {
		e.overtaken = false
		e.DropUnwanted()
	}
	err := e.Index.View(func(tx *index.Tx) error {
		if after == "" {
			if err := e.tidy(tx); err != nil {
				return err
			}
		}
		needs, more, err := e.needs(tx, after)
		if err != nil {
			return err
		}
		w.More = more
		items := make([]plan.Item, len(needs))
		byPath := make(map[shoal.Path]*need, len(needs))
		for i := range needs {
			items[i] = needs[i].item
			byPath[needs[i].item.Path] = &needs[i]
		}
		ops := plan.Plan(items, baseTree{tx})
		planned := map[shoal.Path]bool{}
		for _, op := range ops {
			n := byPath[op.Path]
			it := workItem{Op: op, base: n.base, want: n.want, goneVersion: n.gone}
			if n.want != nil && n.want.Kind == shoal.KindFile && (op.Kind == plan.Put || op.Kind == plan.Swap) {
				it.job = e.jobs[op.Path]
			}
			if op.Kind == plan.Move {
				planned[op.From] = true
				src := byPath[op.From]
				it.from = &workItem{base: src.base, goneVersion: src.gone}
			}
			planned[op.Path] = true
			w.ops = append(w.ops, it)
		}
		err = e.findJobs(w, needs, planned)
		if e.NewestFirst {
			sortNewest(w.Jobs)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return w, nil
}

// baseTree answers the planner from the database.
type baseTree struct{ tx *index.Tx }

func (t baseTree) Base(p shoal.Path) *plan.Node {
	b, err := t.tx.Base(p)
	if err != nil {
		return nil
	}
	return baseNode(b)
}

func baseNode(b *index.Base) *plan.Node {
	if !onDisk(b) {
		return nil
	}
	return &plan.Node{Kind: b.Kind, Content: b.Content, Mode: b.Mode, MTime: b.MTime}
}

func stateNode(s *index.State) *plan.Node {
	if s == nil {
		return nil
	}
	return &plan.Node{Kind: s.Kind, Content: s.Content, Mode: s.Mode, MTime: s.MTime}
}

// needs gathers up to planWindow needs that may be worked on, and the other ends of renames wherever they are in the tree.
func (e *Engine) needs(tx *index.Tx, after shoal.Path) (out []need, more shoal.Path, err error) {
	paths, err := tx.Needs(after, planWindow)
	if err != nil {
		return nil, "", err
	}
	if len(paths) == planWindow {
		more = paths[len(paths)-1]
	}
	have := make(map[shoal.Path]bool, len(paths))
	for _, p := range paths {
		have[p] = true
	}
	for i := 0; i < len(paths); i++ {
		p := paths[i]
		n, ok, err := e.need(tx, p)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			continue
		}
		out = append(out, n)
		other, err := e.otherEnd(tx, &n)
		if err != nil {
			return nil, "", err
		}
		for other != "" && !have[other] {
			have[other] = true
			paths = append(paths, other)
			if other = other.Parent(); n.item.Want != nil {
				break // only a target needs the folders that it is in
			}
		}
	}
	sortNeeds(out)
	return out, more, nil
}

// need looks at one path; ok is false when nothing may be done there.
func (e *Engine) need(tx *index.Tx, p shoal.Path) (n need, ok bool, err error) {
	if j := e.jobs[p]; j != nil && !j.done {
		return n, false, nil // its content is on the way; dropUnwanted lets go of it when the wish changes
	}
	if n.base, err = tx.Base(p); err != nil {
		return n, false, err
	}
	if n.want, err = tx.Desired(p); err != nil {
		return n, false, err
	}
	if e.joining && !onDisk(n.base) {
		if _, err := e.FS.Lstat(string(p)); err == nil {
			return n, false, nil // what stands here is looked at when the first frontier is complete; it may well be the same
		}
	}
	isDir := n.want != nil && n.want.Kind == shoal.KindFolder
	if e.heldPath(p) {
		return n, false, nil
	}
	if no, err := e.cannotBe(tx, p, &n); no || err != nil {
		return n, false, err
	}
	if isCopy := n.want != nil && n.want.Copy != nil; !isCopy && e.isIgnored(p, isDir) {
		e.excused[p] = "excluded"
		return n, false, nil
	}
	if n.want != nil && e.excused[p] == "excluded" {
		delete(e.excused, p) // the rule has gone
	}
	if w, busy := e.waits[p]; busy && !e.due(w.next) {
		return n, false, nil
	}
	if n.want == nil {
		if n.gone, err = e.goneVersion(tx, p); err != nil {
			return n, false, err
		}
	}
	n.item = plan.Item{Path: p, Base: baseNode(n.base), Want: stateNode(n.want)}
	if n.item.After, err = copiesOfDisk(tx, p, n.base); err != nil {
		return n, false, err
	}
	n.item.Ready = e.contentReady(p, n.want)
	return n, true, nil
}

// hasContent tells whether the disk shows the content that is wanted.
func hasContent(b *index.Base, want *index.State) bool {
	return want != nil && onDisk(b) && b.Kind == want.Kind && b.Content == want.Content
}

// copiesOfDisk returns the conflict copies that hold what this disk shows at the path now: they must stand before it is replaced. Copies of
// other contents need no waiting for, and one whose content nobody has any more must not stop the winner.
func copiesOfDisk(tx *index.Tx, p shoal.Path, b *index.Base) (out []shoal.Path, err error) {
	if !onDisk(b) {
		return nil, nil
	}
	copies, err := tx.Copies(p)
	if err != nil {
		return nil, err
	}
	for _, c := range copies {
		want, err := tx.Desired(c)
		if err != nil {
			return nil, err
		}
		if hasContent(b, want) {
			out = append(out, c)
		}
	}
	return out, nil
}

// contentReady tells whether what is wanted at p can be put there at once.
func (e *Engine) contentReady(p shoal.Path, want *index.State) bool {
	if want == nil || want.Kind != shoal.KindFile {
		return want != nil
	}
	job := e.jobs[p]
	if job != nil && job.want.Content != want.Content {
		e.dropJob(p)
		job = nil
	}
	return job != nil && job.done
}

// findJobs starts the assembly of what is wanted and was not planned for want of content.
func (e *Engine) findJobs(w *Work, needs []need, planned map[shoal.Path]bool) error {
	for i := range needs {
		n := &needs[i]
		p := n.item.Path
		if planned[p] {
			continue
		}
		if n.want == nil || n.want.Kind != shoal.KindFile || n.item.Ready || e.jobs[p] != nil {
			continue
		}
		if hasContent(n.base, n.want) {
			continue // only metadata differs
		}
		e.settled(p, "apply") // what was wrong the last time is tried again now
		job := e.newJob(p, n.want)
		e.jobs[p], e.writing[job.temp] = job, job
		e.active.add(job)
		w.Jobs = append(w.Jobs, job)
	}
	return nil
}

func (e *Engine) dropJob(p shoal.Path) {
	if job := e.jobs[p]; job != nil {
		job.abandoned.Store(true)
		e.untidy = true
		e.active.remove(job)
		delete(e.jobs, p)
	}
}

// DropUnwanted lets go of contents that are not wanted any more, or that came by another way: by a rename, or from the user. Call it when the index changed,
// and when nothing is needed any more.
func (e *Engine) DropUnwanted() { _ = e.dropUnwanted() }

func (e *Engine) dropUnwanted() error {
	if len(e.jobs) == 0 {
		return nil
	}
	return e.Index.View(func(tx *index.Tx) error {
		for p, j := range e.jobs {
			want, err := tx.Desired(p)
			if err != nil {
				return err
			}
			base, err := tx.Base(p)
			if err != nil {
				return err
			}
			if want == nil || want.Content != j.want.Content || hasContent(base, want) {
				e.dropJob(p)
			}
		}
		return nil
	})
}

// tidy forgets what was said of paths of which nothing is wanted any more: they were brought up to date, or the wish has changed.
func (e *Engine) tidy(tx *index.Tx) error {
	stale := map[shoal.Path]bool{}
	for k := range e.problems {
		if k.kind == "apply" || k.kind == "name" || k.kind == "kept" {
			stale[k.path] = true
		}
	}
	for p := range e.waits {
		stale[p] = true
	}
	for p := range e.excused {
		stale[p] = true
	}
	for p := range stale {
		base, err := tx.Base(p)
		if err != nil {
			return err
		}
		want, err := tx.Desired(p)
		if err != nil {
			return err
		}
		if base.Differs(want) {
			continue
		}
		for _, kind := range []string{"apply", "name", "kept"} {
			e.settled(p, kind)
		}
		delete(e.waits, p)
		delete(e.excused, p)
		delete(e.homeless, p)
	}
	return nil
}

// Want is one block that a folder lacks, with a hint where another device finds it: block Index of the recipe of record Record, or of its
// recipe's own blocks when Part.
type Want struct {
	Block  block.ID
	Size   uint32
	Epoch  shoal.EpochID
	Record shoal.Dot
	Index  uint32
	Part   bool
}

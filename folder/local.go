package folder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
)

// ErrAbsent: this device does not have the block, or the file that held it has changed.
var ErrAbsent = errors.New("block is not here")

// maxPlaces is how many files are tried for one block.
const maxPlaces = 8

// localBlock reads a block from any file of this folder's disk, or from what came along with records. buf has room for it; the
// result may share that. Safe for concurrent use.
func (e *Engine) localBlock(ref block.Ref, buf []byte) ([]byte, bool) {
	if e.Cached != nil {
		if data, ok := e.Cached(ref.ID); ok && (len(data) == int(ref.Size) || ref.Size == 0 && len(data) <= len(buf)) {
			return data, true
		}
	}
	var places []index.Place
	if err := e.Index.View(func(tx *index.Tx) (err error) {
		places, err = tx.FindBlock(ref.ID, maxPlaces)
		return err
	}); err != nil {
		return nil, false
	}
	if p, ok := e.recent.find(ref.ID); ok {
		places = append(places, p)
	}
	for _, p := range places {
		if p.Size != ref.Size && (ref.Size != 0 || int(p.Size) > len(buf)) {
			continue
		}
		if data, ok := e.readPlace(p, ref.ID, buf); ok {
			return data, true
		}
	}
	return nil, false
}

func (e *Engine) readPlace(p index.Place, id block.ID, buf []byte) ([]byte, bool) {
	f, err := e.FS.Open(string(p.Path))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	b := buf[:p.Size]
	if n, _ := f.ReadAt(b, p.Offset); n != len(b) || e.Keys.ID(b) != id {
		return nil, false
	}
	return b, true
}

// Block serves a block to another device: from a file on this disk, from a half-assembled one, or from the recipe that a record names.
// The result may share buf, which has w.Size bytes, or room for any block when w.Size is 0: a vault does not know it. ErrAbsent when it is not here (any more). Safe for concurrent use.
func (e *Engine) Block(ctx context.Context, w Want, buf []byte) ([]byte, error) {
	ref := block.Ref{ID: w.Block, Size: w.Size} // the size is the asker's word
	if int(w.Size) > len(buf) {
		return nil, ErrAbsent
	}
	if w.Part {
		return e.recipePart(w)
	}
	if data, ok := e.localBlock(ref, buf); ok {
		return data, nil
	}
	for _, j := range e.active.jobs() {
		if data, ok := j.Block(ref, buf); ok {
			return data, nil
		}
	}
	if w.Size == 0 && !w.Record.IsZero() {
		return e.recipePart(w)
	}
	return nil, ErrAbsent
}

// holds tells of blocks that can be read here from now on. Safe for concurrent use.
func (e *Engine) holds(refs []block.Ref) {
	if e.Holds == nil || len(refs) == 0 {
		return
	}
	ids := make([]block.ID, len(refs))
	for i, r := range refs {
		ids[i] = r.ID
	}
	e.Holds(ids)
}

func (e *Engine) recipePart(w Want) ([]byte, error) {
	var r block.Recipe
	err := e.Index.View(func(tx *index.Tx) error {
		rec, ok, err := tx.Record(w.Record)
		if err != nil || !ok {
			return err
		}
		r = rec.Entry.Recipe
		if r == nil {
			r, _, err = tx.Recipe(rec.Entry.Content)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(r) <= block.InlineRecipe {
		return nil, ErrAbsent
	}
	parts, refs := e.Keys.SplitRecipe(r)
	if w.Size == 0 { // who asks knows nothing but the ID
		w.Index = uint32(max(0, slices.IndexFunc(refs, func(r block.Ref) bool { return r.ID == w.Block })))
	}
	if int(w.Index) >= len(parts) || refs[w.Index].ID != w.Block {
		return nil, ErrAbsent
	}
	return parts[w.Index], nil
}

// recentContent remembers where in history the blocks of files taken away lately are: a rename that is seen as a deletion and a new
// file moves no content over the network all the same. Safe for concurrent use.
type recentContent struct {
	mu     sync.Mutex
	limit  int
	places map[block.ID]index.Place // guarded by mu
}

func newRecentContent(limit int) *recentContent {
	return &recentContent{limit: limit, places: map[block.ID]index.Place{}}
}

// add notes that the file at p holds recipe. When there is no room everything older is forgotten.
func (r *recentContent) add(p string, recipe block.Recipe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places)+len(recipe) > r.limit {
		clear(r.places)
	}
	if len(recipe) > r.limit {
		return
	}
	var off int64
	for _, ref := range recipe {
		r.places[ref.ID] = index.Place{Path: shoal.Path(p), Offset: off, Size: ref.Size}
		off += int64(ref.Size)
	}
}

func (r *recentContent) find(id block.ID) (index.Place, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.places[id]
	return p, ok
}

// activeJobs is the set of jobs that are being assembled, for Block. Safe for concurrent use.
type activeJobs struct {
	mu  sync.Mutex
	set map[*Job]bool // guarded by mu
}

func (a *activeJobs) add(j *Job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.set == nil {
		a.set = map[*Job]bool{}
	}
	a.set[j] = true
}

func (a *activeJobs) remove(j *Job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.set, j)
}

func (a *activeJobs) all() []*Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.set))
}

// jobs are those whose file may hold a part of what others ask for.
func (a *activeJobs) jobs() []*Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*Job, 0, len(a.set))
	for j := range a.set {
		if len(j.want.Recipe) != 1 { // a file of one block is there or not
			out = append(out, j)
		}
	}
	return out
}

package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// Job assembles the content that one path wants, in a temporary file of the folder: blocks on this disk first, the rest comes by Deliver.
// A half-assembled file is found again after a restart. Its methods may be called from any goroutine, one at a time; Block at any time.
type Job struct {
	Path shoal.Path
	want *index.State
	temp string
	e    *Engine // only what is fixed at New: FS, Keys, Index, Cached, recent

	done      bool        // set by the engine's owner (Finish)
	abandoned atomic.Bool // nobody wants it any more

	mu      sync.Mutex
	recipe  block.Recipe        // guarded by mu; nil until known
	parts   map[block.ID][]byte // guarded by mu; the blocks of a long recipe that came
	missing map[block.ID][]int  // guarded by mu; block → its places in recipe, not there yet
	offsets []int64             // guarded by mu
	file    disk.WFile          // guarded by mu; open while blocks are missing
	dressed *disk.Stat          // guarded by mu; set: the complete file has the mode and time of want, and is this
}

func (e *Engine) newJob(p shoal.Path, want *index.State) *Job {
	own := e.tempOf(p, want)
	temp := own
	for n := 1; e.writing[temp] != nil; n++ { // by a job that was dropped and has not ended
		temp = fmt.Sprintf("%s-%d", own, n)
	}
	return &Job{Path: p, want: want, e: e, recipe: want.Recipe, temp: temp}
}

// tempOf is the name under which a content is assembled. It follows from path and content, so that a restart finds what is there already. A conflict
// copy's is that of the path in conflict: what is half there must not be lost when another content wins.
func (e *Engine) tempOf(p shoal.Path, want *index.State) string {
	if want.Copy != nil {
		p = want.Copy.Of
	}
	id := e.Keys.Digest("temporary name", []byte(p), want.Content[:])
	return fmt.Sprintf("%s/%x", tmpDir, id[:16])
}

// Size returns the size of the file, in bytes.
func (j *Job) Size() int64 { return j.want.Size }

// Abandoned tells whether the content is no longer wanted.
func (j *Job) Abandoned() bool { return j.abandoned.Load() }

// Begin assembles what this disk has and returns what is missing: the blocks of the recipe when the recipe is not known yet, else blocks of
// the file. When it returns no wants the content is complete. Call it again when all wants were delivered.
func (j *Job) Begin(ctx context.Context) ([]Want, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.recipe == nil && len(j.want.RecipeParts) > 0 {
		if wants, err := j.findRecipe(ctx); err != nil || len(wants) > 0 {
			return wants, err
		}
	}
	if j.missing == nil {
		if err := j.open(ctx); err != nil {
			return nil, fmt.Errorf("assemble %s: %w", j.Path, err)
		}
	}
	if len(j.missing) > 0 {
		return j.wants(), nil
	}
	j.dress()
	return nil, j.close()
}

// dress gives the complete file its mode and time while it is open. What does not work here is done again by name, and reported then.
func (j *Job) dress() {
	if j.file == nil || j.file.SetMeta(j.want.Mode, j.want.MTime) != nil {
		return
	}
	if st, err := j.file.Stat(); err == nil {
		j.dressed = &st
	}
}

// dressedAs returns the complete file if it has the mode and the time of s already, else nil.
func (j *Job) dressedAs(s *index.State) *disk.Stat {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.want.Mode != s.Mode || j.want.MTime != s.MTime {
		return nil
	}
	return j.dressed
}

// findRecipe completes the recipe of a long file from its parts, or says which are missing.
func (j *Job) findRecipe(ctx context.Context) ([]Want, error) {
	parts := make([][]byte, 0, len(j.want.RecipeParts))
	var wants []Want
	for i, ref := range j.want.RecipeParts {
		if p, ok := j.parts[ref.ID]; ok {
			parts = append(parts, p)
			continue
		}
		wants = append(wants, Want{Block: ref.ID, Size: ref.Size, Epoch: j.epoch(i + j.blocks()), Record: j.want.Record, Index: uint32(i), Part: true})
	}
	if len(wants) > 0 {
		if j.parts == nil {
			j.parts = map[block.ID][]byte{}
		}
		return wants, nil
	}
	r, err := block.JoinRecipe(parts)
	if err != nil {
		return nil, fmt.Errorf("recipe of %s: %w", j.Path, err)
	}
	if j.e.Keys.ContentID(r) != j.want.Content {
		return nil, fmt.Errorf("recipe of %s is not the one that its record names", j.Path)
	}
	if err := j.e.Index.Update(ctx, func(tx *index.Tx) error { return tx.PutRecipe(j.want.Content, r) }); err != nil {
		return nil, err
	}
	j.recipe, j.parts = r, nil
	j.e.holds(j.want.RecipeParts)
	return nil, nil
}

// blocks is how many blocks the epochs of the record count before those of the recipe's own parts.
func (j *Job) blocks() int {
	n := 0
	for _, r := range j.want.Epochs {
		n += int(r.Count)
	}
	return max(0, n-len(j.want.RecipeParts))
}

func (j *Job) epoch(i int) shoal.EpochID { return index.BlockEpoch(j.want.Epochs, j.want.Epoch, i) }

// open begins or resumes the temporary file and fills in what this disk has.
func (j *Job) open(ctx context.Context) error {
	size := j.recipe.Size()
	if size != j.want.Size {
		return fmt.Errorf("the record says %d bytes, its recipe %d", j.want.Size, size)
	}
	resumed, err := j.openTemp(size)
	if err != nil {
		return err
	}
	missing := map[block.ID][]int{}
	j.offsets = make([]int64, len(j.recipe))
	var off int64
	for i, ref := range j.recipe {
		j.offsets[i] = off
		off += int64(ref.Size)
		missing[ref.ID] = append(missing[ref.ID], i)
	}
	j.missing = missing
	if resumed {
		j.keepWhatIsRight()
	}
	return j.fillFromDisk(ctx)
}

func (j *Job) openTemp(size int64) (resumed bool, err error) {
	fsys := j.e.FS
	j.file, err = fsys.Create(j.temp, size, 0o600)
	if isExist(err) { // of an earlier run
		st, serr := fsys.Lstat(j.temp)
		if serr == nil && st.Kind == shoal.KindFile && st.Size == size {
			if j.file, err = fsys.Reopen(j.temp); err == nil {
				return true, nil
			}
		}
		if err := fsys.Remove(j.temp); err != nil {
			return false, err
		}
		j.file, err = fsys.Create(j.temp, size, 0o600)
	}
	crashpoint.Here("assemble: temporary file made")
	return false, err
}

// keepWhatIsRight finds the blocks that an earlier run already put into the temporary file.
func (j *Job) keepWhatIsRight() {
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	for i, ref := range j.recipe {
		b := (*buf)[:ref.Size]
		if n, _ := j.file.ReadAt(b, j.offsets[i]); n == len(b) && j.e.Keys.ID(b) == ref.ID {
			j.took(ref.ID, i)
		}
	}
}

// took strikes place i of block id off the missing ones.
func (j *Job) took(id block.ID, i int) {
	left := slices.DeleteFunc(j.missing[id], func(k int) bool { return k == i })
	if len(left) == 0 {
		delete(j.missing, id)
		return
	}
	j.missing[id] = left
}

// lacking returns the first place of each missing block, in the order of the file.
func (j *Job) lacking() []int {
	out := make([]int, 0, len(j.missing))
	for i, ref := range j.recipe {
		if at := j.missing[ref.ID]; len(at) > 0 && at[0] == i {
			out = append(out, i)
		}
	}
	return out
}

func (j *Job) wants() []Want {
	out := make([]Want, 0, len(j.missing))
	for _, i := range j.lacking() {
		out = append(out, Want{Block: j.recipe[i].ID, Size: j.recipe[i].Size, Epoch: j.epoch(i), Record: j.want.Record, Index: uint32(i)})
	}
	return out
}

// Deliver takes one wanted block; data was checked to be the block and is not kept.
func (j *Job) Deliver(w Want, data []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if w.Part {
		if j.parts != nil {
			j.parts[w.Block] = bytes.Clone(data)
		}
		return nil
	}
	if err := j.put(w.Block, data); err != nil {
		return fmt.Errorf("write a block of %s: %w", j.Path, err)
	}
	return nil
}

// put writes data to every place that lacks it. Runs of zeros stay holes, so that sparse files stay sparse.
func (j *Job) put(id block.ID, data []byte) error {
	for _, i := range j.missing[id] {
		if int(j.recipe[i].Size) != len(data) {
			return fmt.Errorf("block of %d bytes where %d belong", len(data), j.recipe[i].Size)
		}
		if err := writeSparse(j.file, data, j.offsets[i]); err != nil {
			return err
		}
	}
	delete(j.missing, id)
	crashpoint.Here("assemble: block written")
	return nil
}

// Block reads a block out of the half-assembled file, or of the whole one that the index does not know yet, so that others can have it already.
// buf has room for it.
func (j *Job) Block(ref block.Ref, buf []byte) ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.missing == nil || j.missing[ref.ID] != nil {
		return nil, false
	}
	i := slices.IndexFunc(j.recipe, func(r block.Ref) bool { return r == ref || ref.Size == 0 && r.ID == ref.ID })
	if i < 0 || int(j.recipe[i].Size) > len(buf) {
		return nil, false
	}
	ref = j.recipe[i]
	if j.file == nil { // being made durable, or in its place already
		place := index.Place{Path: shoal.Path(j.temp), Offset: j.offsets[i], Size: ref.Size}
		if data, ok := j.e.readPlace(place, ref.ID, buf); ok {
			return data, true
		}
		place.Path = j.Path
		return j.e.readPlace(place, ref.ID, buf)
	}
	b := buf[:ref.Size]
	n, _ := j.file.ReadAt(b, j.offsets[i])
	return b, n == len(b) && j.e.Keys.ID(b) == ref.ID
}

// close ends the assembly. The file is made durable later, together with others.
func (j *Job) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	crashpoint.Here("assemble: closed")
	return err
}

// Release closes the temporary file of a job that ended without its content; what it holds is kept for the next try.
func (j *Job) Release() {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.close()
	j.missing = nil
}

// sparsePage is the unit in which holes are kept: the block size of common file systems.
const sparsePage = 4096

var zeroPage [sparsePage]byte

// writeSparse writes data at off, leaving out whole pages of zeros. The file was made as one hole.
func writeSparse(f disk.WFile, data []byte, off int64) error {
	start := 0
	flush := func(end int) error {
		if start >= end {
			return nil
		}
		_, err := f.WriteAt(data[start:end], off+int64(start))
		return err
	}
	for at := 0; at < len(data); at += sparsePage {
		end := min(at+sparsePage, len(data))
		if bytes.Equal(data[at:end], zeroPage[:end-at]) {
			if err := flush(at); err != nil {
				return err
			}
			start = end
		}
	}
	return flush(len(data))
}

// Finish tells the engine how a job ended; only then its content is planned with.
func (e *Engine) Finish(j *Job, err error) {
	e.ended(j)
	if e.jobs[j.Path] != j {
		return
	}
	if err != nil {
		e.Forget(j)
		if errors.Is(err, disk.ErrTooBig) {
			e.excuse(&workItem{Op: plan.Op{Path: j.Path}, want: j.want}, err)
		} else {
			e.postpone(j.Path, err)
		}
		return
	}
	j.done = true
}

// Forget drops a job that could not be completed now, through no fault of its own: the next plan finds it again, and what it holds already is kept.
func (e *Engine) Forget(j *Job) {
	e.ended(j)
	if e.jobs[j.Path] == j {
		j.Release()
		e.active.remove(j)
		delete(e.jobs, j.Path)
	}
}

// ended tells that j does not write any more.
func (e *Engine) ended(j *Job) {
	if e.writing[j.temp] == j {
		delete(e.writing, j.temp)
	}
}

package folder

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal/block"
)

// Limits of what is assembled at once.
const (
	maxBatches    = 8   // that get on; each is one goroutine and one fetch
	maxWaiting    = 256 // those included for which nothing comes
	maxJobs       = maxBatches * batchJobs
	batchJobs     = 256      // small files fetched together
	batchBytes    = 32 << 20 // their content, in bytes
	inlineJobs    = 32       // so few small files are tried at once, without a goroutine: their content mostly came along with the records
	inlineJobSize = block.MaxSize
)

// How long nothing comes for a batch before others may begin beside it, before it may be ended for others, and how long its jobs rest then. On a slow
// line something comes now and then.
const (
	stuckAfter = 10 * time.Second
	endAfter   = time.Minute
	stuckRest  = 30 * time.Second
)

// batch is some jobs whose blocks are fetched together.
type batch struct {
	jobs   []*Job
	open   map[*Job]bool // owned by Run: the jobs that have not ended
	cancel context.CancelFunc
	moved  atomic.Int64 // when a block came last, or it began; nanoseconds since 1970
	ending bool         // owned by Run: it was cancelled, and its last result is on the way
}

// quiet is how long nothing has come. After a while it is likely that nobody who is there has what the batch waits for.
func (b *batch) quiet(now time.Time) time.Duration { return now.Sub(time.Unix(0, b.moved.Load())) }

// jobResult tells Run that a job ended, or, with job nil, that a batch did.
type jobResult struct {
	batch *batch
	job   *Job
	err   error
}

// start begins the assembly of jobs, as far as there is room; the rest waits in s.queue, so that it is not planned again meanwhile. It tells whether some are
// complete already, because all their blocks were at hand.
func (s *Service) start(ctx context.Context, jobs []*Job) (complete bool) {
	var rest []*Job
	now := time.Now()
	jobs = s.rested(jobs, now)
	for i, j := range jobs {
		if i >= inlineJobs || j.Size() > inlineJobSize {
			rest = append(rest, j)
			continue
		}
		if err := s.Engine.checkSpace(j.Size()); err != nil {
			s.Engine.Finish(j, err)
			continue
		}
		wants, err := j.Begin(ctx)
		if err == nil && len(wants) > 0 {
			rest = append(rest, j)
			continue
		}
		s.Engine.Finish(j, err)
		complete = true
	}
	s.queue = append(s.queue, rest...)
	s.startQueued(ctx, now)
	return complete
}

// startQueued begins as many batches of what waits for room as there is room for.
func (s *Service) startQueued(ctx context.Context, now time.Time) {
	s.leaveUnwanted()
	for len(s.queue) > 0 {
		n, size := 0, int64(0)
		for n < len(s.queue) && n < batchJobs && (n == 0 || size+s.queue[n].Size() <= batchBytes) {
			size += s.queue[n].Size()
			n++
		}
		if !s.makeRoom(n, now) {
			s.crowded = true
			return
		}
		s.run(ctx, slices.Clone(s.queue[:n]), size)
		s.queue = slices.Delete(s.queue, 0, n)
	}
}

// leaveUnwanted takes what is wanted no more out of the queue.
func (s *Service) leaveUnwanted() {
	s.queue = slices.DeleteFunc(s.queue, func(j *Job) bool {
		unwanted := j.Abandoned()
		if unwanted {
			s.Engine.Forget(j)
		}
		return unwanted
	})
}

// busy counts the batches that get on.
func (s *Service) busy(now time.Time) (n int) {
	for b := range s.running {
		if !b.ending && b.quiet(now) < stuckAfter {
			n++
		}
	}
	return n
}

// makeRoom tells whether a batch of some jobs may begin. What nobody has must not keep back what somebody has: a batch for which nothing comes
// goes on waiting, but holds no place; and when there are too many of those, the one that has waited longest is ended.
func (s *Service) makeRoom(jobs int, now time.Time) bool {
	if s.busy(now) >= maxBatches {
		return false
	}
	for {
		var oldest *batch
		batches := 0
		total := jobs
		for b := range s.running {
			if b.ending {
				continue
			}
			batches, total = batches+1, total+len(b.jobs)
			if quiet := b.quiet(now); quiet >= endAfter && (oldest == nil || quiet > oldest.quiet(now)) {
				oldest = b
			}
		}
		if batches < maxWaiting && total <= maxJobs {
			return true
		}
		if oldest == nil {
			return false
		}
		oldest.ending = true
		oldest.cancel()
		for _, j := range oldest.jobs {
			s.resting[j.Path] = now.Add(stuckRest)
		}
	}
}

// rested returns the jobs that may begin now, and forgets the others for a while.
func (s *Service) rested(jobs []*Job, now time.Time) []*Job {
	for p, until := range s.resting {
		if !now.Before(until) {
			delete(s.resting, p)
		}
	}
	return slices.DeleteFunc(jobs, func(j *Job) bool {
		_, rests := s.resting[j.Path]
		if rests {
			s.Engine.Forget(j)
		}
		return rests
	})
}

// roomDue tells how long it takes until there may be room for what found none.
func (s *Service) roomDue(now time.Time) time.Duration {
	due := stuckRest
	if s.busy(now) < maxBatches {
		due = time.Second // one has just become quiet, or there is too much that waits
	}
	for b := range s.running {
		if quiet := b.quiet(now); quiet < stuckAfter {
			due = min(due, stuckAfter-quiet)
		}
	}
	return due
}

func (s *Service) run(outer context.Context, jobs []*Job, size int64) {
	ctx, cancel := context.WithCancel(outer)
	b := &batch{jobs: jobs, open: make(map[*Job]bool, len(jobs)), cancel: cancel}
	for _, j := range jobs {
		b.open[j] = true
	}
	b.moved.Store(time.Now().UnixNano())
	if err := s.Engine.checkSpace(size); err != nil {
		cancel()
		for _, j := range jobs {
			s.Engine.Finish(j, err)
		}
		return
	}
	s.running[b] = true
	s.batches.Go(func() {
		defer cancel()
		tell := func(r jobResult) {
			select {
			case s.results <- r:
			case <-outer.Done():
			}
		}
		b.assemble(ctx, s.Fetch, func(j *Job, err error) { tell(jobResult{batch: b, job: j, err: err}) })
		tell(jobResult{batch: b})
	})
}

// assemble completes the jobs of b, telling ended of each as soon as it is.
func (b *batch) assemble(ctx context.Context, fetch fetcher, ended func(*Job, error)) {
	for pending := b.jobs; len(pending) > 0; {
		r := round{batch: b, ended: ended, byBlock: map[block.ID][]*Job{}, open: map[*Job]int{}}
		wants := r.begin(ctx, pending)
		if len(wants) == 0 {
			return
		}
		err := fetch(ctx, wants, func(w Want, data []byte) error {
			r.deliver(ctx, w, data)
			return nil
		})
		if err != nil {
			r.giveUp(err)
			return
		}
		pending = r.again
	}
}

// round is one fetch for several jobs. Those that then turn out to need more go on in the next.
type round struct {
	batch   *batch
	ended   func(*Job, error)
	byBlock map[block.ID][]*Job // set once

	mu    sync.Mutex
	open  map[*Job]int // guarded by mu: how many blocks each still needs
	again []*Job       // guarded by mu
}

// begin begins jobs and returns what is to be fetched, each block once.
func (r *round) begin(ctx context.Context, jobs []*Job) (wants []Want) {
	for _, j := range jobs {
		ws, err := j.Begin(ctx)
		if err != nil || len(ws) == 0 {
			if err != nil {
				j.Release()
			}
			r.ended(j, err)
			continue
		}
		r.open[j] = len(ws)
		for _, w := range ws {
			if r.byBlock[w.Block] == nil {
				wants = append(wants, w)
			}
			r.byBlock[w.Block] = append(r.byBlock[w.Block], j)
		}
	}
	return wants
}

// deliver hands a block to the jobs that need it.
func (r *round) deliver(ctx context.Context, w Want, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch.moved.Store(time.Now().UnixNano())
	for _, j := range r.byBlock[w.Block] {
		if _, ok := r.open[j]; !ok {
			continue
		}
		if err := j.Deliver(w, data); err != nil {
			delete(r.open, j)
			j.Release()
			r.ended(j, err)
			continue
		}
		if r.open[j]--; r.open[j] > 0 {
			continue
		}
		delete(r.open, j)
		if more, err := j.Begin(ctx); err == nil && len(more) > 0 {
			r.again = append(r.again, j)
		} else {
			r.ended(j, err)
		}
	}
}

// giveUp ends what is left after a fetch that failed.
func (r *round) giveUp(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for j := range r.open {
		j.Release()
		r.ended(j, err)
	}
	for _, j := range r.again {
		j.Release()
		r.ended(j, err)
	}
}

// take notes what came of a job, and of all others that ended meanwhile. While many are on the way it gathers some before they are applied
// together: each application costs a few syncs of the disk, whatever its size.
func (s *Service) take(ctx context.Context, r jobResult) {
	gather := time.NewTimer(gatherFor)
	defer gather.Stop()
	for n := 1; ; n++ {
		delete(r.batch.open, r.job)
		switch {
		case r.job == nil:
			delete(s.running, r.batch)
		case r.err != nil && (errors.Is(r.err, context.Canceled) || r.job.Abandoned()):
			s.Engine.Forget(r.job)
		default:
			s.Engine.Finish(r.job, r.err)
		}
		if len(s.running) == 0 || n >= gatherMost {
			return
		}
		select {
		case r = <-s.results:
		case <-gather.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// How long, and how many, complete contents are gathered before they are applied.
const (
	gatherFor  = 60 * time.Millisecond
	gatherMost = 1024
)

// endUnwanted ends batches of which nothing is wanted any more: all their jobs have ended or are abandoned. What they still ask for, an older content maybe, nobody
// may have.
func (s *Service) endUnwanted() {
	s.leaveUnwanted()
	for b := range s.running {
		wanted := false
		for j := range b.open {
			if wanted = !j.Abandoned(); wanted {
				break
			}
		}
		if !wanted {
			b.cancel()
			delete(s.running, b)
		}
	}
}

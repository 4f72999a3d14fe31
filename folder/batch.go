package folder

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shoalmesh/shoal/block"
)

// Limits of what is assembled at once.
const (
	maxBatches    = 16       // each is one goroutine and one fetch
	batchJobs     = 256      // small files fetched together
	batchBytes    = 32 << 20 // their content, in bytes
	inlineJobs    = 32       // so few small files are tried at once, without a goroutine: their content mostly came along with the records
	inlineJobSize = block.MaxSize
)

// batch is some jobs whose blocks are fetched together.
type batch struct {
	jobs   []*Job
	cancel context.CancelFunc
}

// jobResult tells Run that a job ended, or, with job nil, that a batch did.
type jobResult struct {
	batch *batch
	job   *Job
	err   error
}

// start begins the assembly of jobs. It tells whether some are complete already, because all their blocks were at hand.
func (s *Service) start(ctx context.Context, jobs []*Job) (complete bool) {
	var rest []*Job
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
	for len(rest) > 0 {
		if len(s.running) >= maxBatches {
			for _, j := range rest {
				s.Engine.Forget(j)
			}
			return complete
		}
		n, size := 0, int64(0)
		for n < len(rest) && n < batchJobs && (n == 0 || size+rest[n].Size() <= batchBytes) {
			size += rest[n].Size()
			n++
		}
		s.run(ctx, rest[:n], size)
		rest = rest[n:]
	}
	return complete
}

func (s *Service) run(ctx context.Context, jobs []*Job, size int64) {
	ctx, cancel := context.WithCancel(ctx)
	b := &batch{jobs: jobs, cancel: cancel}
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
		b.assemble(ctx, s.Fetch, func(j *Job, err error) {
			select {
			case s.results <- jobResult{batch: b, job: j, err: err}:
			case <-ctx.Done():
			}
		})
		select {
		case s.results <- jobResult{batch: b}:
		case <-ctx.Done():
		}
	})
}

// assemble completes the jobs of b, telling ended of each as soon as it is.
func (b *batch) assemble(ctx context.Context, fetch fetcher, ended func(*Job, error)) {
	pending := b.jobs
	for len(pending) > 0 {
		byBlock := map[block.ID][]*Job{}
		var mu sync.Mutex
		open := map[*Job]int{}
		var wants []Want
		for _, j := range pending {
			ws, err := j.Begin(ctx)
			if err != nil || len(ws) == 0 {
				if err != nil {
					j.Release()
				}
				ended(j, err)
				continue
			}
			open[j] = len(ws)
			for _, w := range ws {
				if byBlock[w.Block] == nil {
					wants = append(wants, w)
				}
				byBlock[w.Block] = append(byBlock[w.Block], j)
			}
		}
		if len(wants) == 0 {
			return
		}
		var again []*Job
		err := fetch(ctx, wants, func(w Want, data []byte) error {
			mu.Lock()
			defer mu.Unlock()
			for _, j := range byBlock[w.Block] {
				if _, ok := open[j]; !ok {
					continue
				}
				if err := j.Deliver(w, data); err != nil {
					delete(open, j)
					j.Release()
					ended(j, err)
					continue
				}
				if open[j]--; open[j] > 0 {
					continue
				}
				delete(open, j)
				if more, err := j.Begin(ctx); err == nil && len(more) > 0 {
					again = append(again, j)
				} else {
					ended(j, err)
				}
			}
			return nil
		})
		if err != nil {
			for j := range open {
				j.Release()
				ended(j, err)
			}
			for _, j := range again {
				j.Release()
				ended(j, err)
			}
			return
		}
		pending = again
	}
}

// take notes what came of a job, and of all others that ended meanwhile. While many are on the way it gathers some before they are applied
// together: each application costs a few syncs of the disk, whatever its size.
func (s *Service) take(ctx context.Context, r jobResult) {
	gather := time.NewTimer(gatherFor)
	defer gather.Stop()
	for n := 1; ; n++ {
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

// dropAbandoned ends batches of which nothing is wanted any more.
func (s *Service) dropAbandoned() {
	s.Engine.DropUnwanted()
	for b := range s.running {
		wanted := false
		for _, j := range b.jobs {
			wanted = wanted || !j.Abandoned()
		}
		if !wanted {
			b.cancel()
			delete(s.running, b)
		}
	}
}

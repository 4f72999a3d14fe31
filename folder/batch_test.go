package folder

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// waiting adds batches of jobs for which nothing has come for a while.
func waiting(s *Service, batches, jobs int, quiet time.Duration, now time.Time) (added []*batch) {
	for range batches {
		b := &batch{cancel: func() {}}
		for i := range jobs {
			b.jobs = append(b.jobs, &Job{Path: shoal.Path(fmt.Sprintf("%d/%d", len(s.running), i))})
		}
		b.moved.Store(now.Add(-quiet).UnixNano())
		s.running[b] = true
		added = append(added, b)
	}
	return added
}

func TestWhatNobodyHasKeepsNothingElseBack(t *testing.T) {
	now := time.Now()
	s := NewService(ServiceConfig{})
	waiting(s, maxBatches, 1, time.Second, now)
	if s.makeRoom(1, now) {
		t.Errorf("%d batches get on, and there is room for one more", s.busy(now))
	}
	if due := s.roomDue(now); due != stuckAfter-time.Second {
		t.Errorf("there may be room in %s", due)
	}
	if due := s.roomDue(now.Add(stuckAfter)); due > time.Second {
		t.Errorf("there is room now, and nobody looks for %s", due)
	}
	if later := now.Add(stuckAfter); !s.makeRoom(1, later) {
		t.Error("nothing comes for any batch, and there is no room for another")
	}
}

// What found no room is tried again when there may be some, also when nothing else happens.
func TestWhatFoundNoRoomIsTriedAgain(t *testing.T) {
	w := newWorld(t, "a")
	others := waiting(w.svc, maxBatches, 1, 0, time.Now())
	for _, b := range others {
		b.open = map[*Job]bool{b.jobs[0]: true}
	}
	w.lose("a")
	if st := w.step(); st != StateSyncing || len(w.svc.running) != maxBatches {
		t.Fatalf("%s, with %d batches", st, len(w.svc.running))
	}
	if wait := w.svc.pause(); wait > stuckAfter {
		t.Errorf("the next look is in %s", wait)
	}
	for _, b := range others {
		b.moved.Store(time.Now().Add(-stuckAfter).UnixNano())
	}
	w.step()
	if len(w.svc.running) != maxBatches+1 {
		t.Errorf("%d batches run, want one more than %d that get on no more", len(w.svc.running), maxBatches)
	}
}

// What found no room is planned once, not again in each pass, and leaves when nobody wants it any more.
func TestWhatFoundNoRoomWaitsInAQueue(t *testing.T) {
	w := newWorld(t, "a", "b")
	others := waiting(w.svc, maxBatches, 1, 0, time.Now())
	for _, b := range others {
		b.open = map[*Job]bool{b.jobs[0]: true}
	}
	w.lose("a")
	w.step()
	if len(w.svc.queue) != 1 {
		t.Fatalf("%d jobs wait for room", len(w.svc.queue))
	}
	job := w.svc.queue[0]
	w.step()
	if len(w.svc.queue) != 1 || w.svc.queue[0] != job {
		t.Errorf("what waits for room was planned again: %v, then %v", job, w.svc.queue)
	}
	w.must(w.fs.User().WriteFile("a", "content of a"))
	w.fs.Advance(time.Second)
	w.eng.markDirty("")
	for range 3 {
		w.step()
	}
	if len(w.svc.queue) != 0 || len(w.eng.writing) != 0 {
		t.Errorf("%d jobs wait for room and %d would write, when the user has written what they were for", len(w.svc.queue), len(w.eng.writing))
	}
}

func TestTheLongestWaitEndsWhenTooMuchWaits(t *testing.T) {
	for name, size := range map[string]struct{ batches, jobs int }{"batches": {maxWaiting - 1, 1}, "jobs": {maxBatches - 1, batchJobs}} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			s := NewService(ServiceConfig{Engine: &Engine{jobs: map[shoal.Path]*Job{}}})
			waiting(s, size.batches, size.jobs, stuckAfter, now)
			ctx, cancel := context.WithCancel(context.Background())
			oldest := waiting(s, 1, size.jobs, endAfter, now)[0]
			oldest.cancel = cancel
			if !s.makeRoom(size.jobs, now) {
				t.Fatal("there is no room")
			}
			if ctx.Err() == nil || !oldest.ending {
				t.Error("the longest wait was not ended")
			}
			if left := s.rested(append([]*Job{}, oldest.jobs...), now); len(left) > 0 {
				t.Errorf("%d jobs begin anew at once", len(left))
			}
			if left := s.rested(append([]*Job{}, oldest.jobs...), now.Add(stuckRest)); len(left) != size.jobs {
				t.Errorf("%d of %d jobs begin anew later", len(left), size.jobs)
			}
			waiting(s, 1, size.jobs, 0, now)
			if s.makeRoom(size.jobs, now) {
				t.Error("a wait is ended before its time")
			}
		})
	}
}

// One job of a batch is done, another asks for an older content that nobody has any more: nothing may wait for that.
func TestABatchEndsWhenNothingOfItIsWantedAnyMore(t *testing.T) {
	s := NewService(ServiceConfig{})
	ended := 0
	done, old := &Job{}, &Job{}
	b := &batch{jobs: []*Job{done, old}, open: map[*Job]bool{old: true}, cancel: func() { ended++ }}
	s.running[b] = true
	s.endUnwanted()
	if ended != 0 || !s.running[b] {
		t.Error("a batch ended of which something is wanted")
	}
	old.abandoned.Store(true)
	s.endUnwanted()
	if ended != 1 || len(s.running) != 0 {
		t.Errorf("ended %d times, %d run", ended, len(s.running))
	}
}

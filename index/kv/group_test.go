package kv

import (
	"errors"
	"runtime"
	"sync"
	"testing"
)

// countingBackend commits to nothing and counts.
type countingBackend struct {
	commits, rollbacks int
	fail               error
}

func (b *countingBackend) begin() (batch, error) { return b, nil }
func (b *countingBackend) bucket(string) reader  { return emptyReader{} }
func (b *countingBackend) flush(*overlay) error  { return nil }
func (b *countingBackend) commit() error         { b.commits++; return b.fail }
func (b *countingBackend) rollback()             { b.rollbacks++ }

// together runs updates of which the first waits until all others wait behind it.
func together(c *committer, be backend, n int, fn func(i int) error) []error {
	errs := make([]error, n)
	entered := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		errs[0] = c.update(be, func(Tx) error {
			close(entered)
			for c.waiting.Load() < int64(n-1) {
				runtime.Gosched()
			}
			return fn(0)
		})
	})
	<-entered
	for i := 1; i < n; i++ {
		wg.Go(func() { errs[i] = c.update(be, func(Tx) error { return fn(i) }) })
	}
	wg.Wait()
	return errs
}

func TestUpdatesThatWaitShareOneCommit(t *testing.T) {
	be, odd := new(countingBackend), errors.New("odd")
	errs := together(new(committer), be, 10, func(i int) error {
		if i%2 == 1 {
			return odd
		}
		return nil
	})
	for i, err := range errs {
		if (i%2 == 1) != errors.Is(err, odd) || (i%2 == 0 && err != nil) {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if be.commits != 1 || be.rollbacks != 0 {
		t.Errorf("%d commits, %d rollbacks", be.commits, be.rollbacks)
	}
}

func TestFailedCommitFailsAllThatShareIt(t *testing.T) {
	be := &countingBackend{fail: errors.New("disk full")}
	for i, err := range together(new(committer), be, 5, func(int) error { return nil }) {
		if !errors.Is(err, be.fail) {
			t.Errorf("update %d: %v", i, err)
		}
	}
}

func TestGroupIsBounded(t *testing.T) {
	be := new(countingBackend)
	together(new(committer), be, maxGroup+10, func(int) error { return nil })
	if be.commits != 2 {
		t.Errorf("%d commits", be.commits)
	}
}

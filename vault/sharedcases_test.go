package vault

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// forgotten makes a world in which the first two vaults know of a block that nothing needs any more, and may let go of it.
func forgotten(t *testing.T) (w *bucketWorld, a *author, v1, v2 *process) {
	t.Helper()
	w = newBucketWorld(t, 1, 3)
	a, v1, v2 = w.devices[0], w.procs[0], w.procs[1]
	w.write(a, "x", 1, 1)
	w.takeIn(v1)
	w.takeIn(v2)
	w.write(a, "x", 0, 0)
	w.takeIn(v1)
	w.takeIn(v2)
	w.now = w.now.Add(50 * time.Hour)     // longer than retention and pins
	must(t, v1.replica.Sync(t.Context())) // so that it looks for nothing only because it slept
	return w, a, v1, v2
}

// takeIn lets a vault have what the first device has, tell of it, and say so.
func (w *bucketWorld) takeIn(p *process) {
	w.t.Helper()
	w.deliver(w.devices[0].f, p.folder(), false)
	must(w.t, p.pull())
	must(w.t, p.replica.Sync(w.t.Context()))
	p.say()
}

// has tells whether the block that forgotten is about is in the bucket.
func (w *bucketWorld) has(p *process) bool {
	w.t.Helper()
	must(w.t, p.store.Refresh(w.t.Context()))
	for _, d := range w.devices {
		for _, wr := range d.written {
			for _, ref := range wr.blocks {
				has, err := p.store.Has(w.t.Context(), block.Key{Folder: w.people.folder, Epoch: ref.Epoch, ID: ref.ID})
				must(w.t, err)
				return has
			}
		}
	}
	return false
}

func TestABlockThatNobodyNeedsGoesFromABucket(t *testing.T) {
	t.Parallel()
	w, _, v1, v2 := forgotten(t)
	must(t, v2.tenant.Tend(t.Context()))
	if w.has(v1) {
		t.Error("a block that nobody needs is still there")
	}
	must(t, v1.tenant.Tend(t.Context())) // which knows nothing of that yet
	must(t, v1.db.Check(t.Context()))
}

func TestABlockThatAnotherDeletedIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w, a, v1, v2 := forgotten(t)
	must(t, v2.tenant.Tend(t.Context()))
	w.write(a, "y", 1, 1) // the very block
	w.deliver(a.f, v1.folder(), false)
	must(t, v1.replica.Sync(t.Context()))
	v1.say()
	w.holds("before it was fetched")
	must(t, v1.pull())
	must(t, v1.replica.Sync(t.Context()))
	v1.say()
	if !w.has(v1) {
		t.Error("the block was not put there again")
	}
	w.holds("after it was fetched")
}

func TestADeletionKnowsWhatOthersTold(t *testing.T) {
	t.Parallel()
	w, a, v1, v2 := forgotten(t)
	w.write(a, "y", 1, 1)
	w.takeIn(v1)
	w.now = w.now.Add(50 * time.Hour) // the pin is over, and v2 has heard of nothing
	must(t, v2.tenant.Tend(t.Context()))
	w.holds("after the other looked what may go")
}

// step is how many moments are left out: with -long none.
func step() int {
	if *long {
		return 1
	}
	return 9
}

// atEach runs a case again and again, each time with something happening at another request, until there are no more requests; with -long at each one.
func atEach(t *testing.T, one func(t *testing.T, at int) (requests int)) {
	t.Helper()
	for at := 1; ; at += step() {
		if requests := one(t, at); t.Failed() || at >= requests {
			t.Logf("%d requests", requests)
			return
		}
	}
}

// during runs do, and other before its request number at. It returns how many requests do made.
func (w *bucketWorld) during(at int, do, other func() error) int {
	w.t.Helper()
	var requests atomic.Int64
	var busy atomic.Bool
	w.faults(func(int) s3test.Fault {
		if busy.Load() || requests.Add(1) != int64(at) {
			return s3test.Fault{}
		}
		busy.Store(true)
		return s3test.Fault{Before: func() {
			if err := other(); err != nil {
				w.t.Errorf("in between: %v", err)
			}
			busy.Store(false)
		}}
	})
	must(w.t, do())
	w.faults(nil)
	return int(requests.Load())
}

func TestADeletionMeetsANewNeedAtAnyMoment(t *testing.T) {
	t.Parallel()
	atEach(t, func(t *testing.T, at int) int {
		w, a, v1, v2 := forgotten(t)
		w.write(a, "y", 1, 1)
		w.deliver(a.f, v1.folder(), false)
		n := w.during(at, func() error { return v2.tenant.Tend(t.Context()) }, func() error {
			defer v1.say()
			return errors.Join(v1.pull(), v1.replica.Sync(t.Context()))
		})
		w.holds("at once")
		w.now = w.now.Add(50 * time.Hour)
		must(t, v2.tenant.Tend(t.Context()))
		w.holds("two days later")
		return n
	})
}

func TestANewNeedMeetsADeletionAtAnyMoment(t *testing.T) {
	t.Parallel()
	atEach(t, func(t *testing.T, at int) int {
		w, a, v1, v2 := forgotten(t)
		w.write(a, "y", 1, 1)
		n := w.during(at, func() error {
			w.deliver(a.f, v1.folder(), false)
			return errors.Join(v1.pull(), v1.replica.Sync(t.Context()))
		}, func() error { return v2.tenant.Tend(t.Context()) })
		v1.say()
		w.holds("at once")
		must(t, v1.pull())
		must(t, v1.replica.Sync(t.Context()))
		v1.say()
		w.holds("when all was told")
		return n
	})
}

func TestWhatCouldNotBeToldForDaysIsLookedForAgain(t *testing.T) {
	t.Parallel()
	w, a, v1, v2 := forgotten(t)
	w.write(a, "y", 1, 1)
	w.deliver(a.f, v1.folder(), false)
	must(t, v1.pull()) // counts on the block, and pins it
	w.now = w.now.Add(50 * time.Hour)
	must(t, v2.tenant.Tend(t.Context())) // the pin is over
	if w.has(v2) {
		t.Fatal("the block is still there: this test shows nothing")
	}
	must(t, v1.replica.Sync(t.Context()))
	v1.say()
	w.holds("after it was told at last")
}

func TestAProcessThatDiesAtAnyMomentLosesNothingItSaid(t *testing.T) {
	t.Parallel()
	atEach(t, func(t *testing.T, at int) int {
		w := newBucketWorld(t, 1, 1)
		a, v := w.devices[0], w.procs[0]
		w.write(a, "x", 1, 80)
		w.takeIn(v)
		w.write(a, "y", 1, 70)
		w.write(a, "x", 200, 2)
		w.deliver(a.f, v.folder(), false)
		var requests atomic.Int64
		w.faults(func(n int) s3test.Fault {
			requests.Store(int64(n))
			if n >= at {
				return s3test.Fault{Status: 500}
			}
			return s3test.Fault{}
		})
		isDead := func() bool { return requests.Load() >= int64(at) }
		for _, do := range []func() error{v.pull, func() error { return v.replica.Sync(t.Context()) }, func() error { return v.replica.Checkpoint(t.Context()) }} {
			if err := do(); err != nil && !isDead() {
				t.Fatal(err)
			}
			if !isDead() {
				v.say()
			}
		}
		v.kill()
		dead := isDead()
		w.holds("after it died")
		w.revive(v) // and with its own directory it goes on
		w.takeIn(v)
		must(t, v.db.Check(t.Context()))
		w.holds("after it went on")
		if !dead {
			return at // it went through
		}
		return at + step() + 1 // it goes on
	})
}

func TestWhatOneVaultAcknowledgedTheOthersKeepForTheRetention(t *testing.T) {
	t.Parallel()
	w := newBucketWorld(t, 1, 3)
	a, v1, v2 := w.devices[0], w.procs[0], w.procs[1]
	w.write(a, "x", 1, 1)
	w.takeIn(v1)
	v1.kill()
	w.write(a, "x", 0, 0)
	w.deliver(a.f, v2.folder(), false) // which never saw the first record
	must(t, v2.replica.Sync(t.Context()))
	retained := func(p *process) (n int64) {
		must(t, p.folder().View(func(tx *index.Tx) error { k, err := tx.Kept(); n = k.Retained; return err }))
		return n
	}
	if n := retained(v2); n != 1 {
		t.Errorf("%d superseded records are kept, want 1", n)
	}
	must(t, v2.replica.Checkpoint(t.Context()))
	w.now = w.now.Add(time.Hour)
	must(t, v2.tenant.Tend(t.Context()))
	w.holds("before the retention has passed")
	v3 := w.procs[2]
	v3.kill()
	v3.dir, v3.saved = t.TempDir(), nil
	w.revive(v3)
	if n := retained(v3); n != 1 {
		t.Errorf("%d superseded records are kept after a checkpoint, want 1", n)
	}
}

func TestAProcessThatSleptThroughACheckpointBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newBucketWorld(t, 1, 2)
	a, v1, v2 := w.devices[0], w.procs[0], w.procs[1]
	for i := range 80 {
		w.write(a, "x", i, 1)
		w.deliver(a.f, v1.folder(), false)
		must(t, v1.replica.Sync(t.Context()))
	}
	w.takeIn(v1)
	must(t, v1.replica.Checkpoint(t.Context()))
	if err := v2.replica.Sync(t.Context()); !errors.Is(err, ledger.ErrBehind) {
		t.Fatalf("%v, want that it is behind", err)
	}
	v2.kill()
	v2.dir, v2.saved = t.TempDir(), nil
	w.revive(v2)
	w.holds("from the checkpoint")
	v2.say()
	w.write(a, "y", 500, 2)
	w.takeIn(v2)
	must(t, v1.replica.Sync(t.Context()))
	var seq shoal.Seq
	must(t, v1.folder().View(func(tx *index.Tx) error {
		for _, p := range tx.Frontier() {
			seq = max(seq, p.Seq)
		}
		return nil
	}))
	if seq != 81 {
		t.Errorf("the first process is at %d, want 81", seq)
	}
}

func TestLongJournalsTravelInParts(t *testing.T) {
	t.Parallel()
	w := newBucketWorld(t, 1, 0)
	w.inline = 4000
	for i := range 2 {
		p := &process{w: w, id: w.people.ids[2+i], dir: t.TempDir()}
		w.procs = append(w.procs, p)
		must(t, p.start())
	}
	a, v1, v2 := w.devices[0], w.procs[0], w.procs[1]
	add := func(from, to int) {
		for i := from; i < to; i++ {
			w.write(a, shoal.Path([]string{"a", "b", "c", "d"}[i%4]+string(rune('a'+i/4%26))+string(rune('a'+i/104))), i, 1)
		}
	}
	add(0, 100)
	w.takeIn(v1) // from the start
	add(100, 150)
	w.takeIn(v1) // from where it was
	must(t, v2.replica.Sync(t.Context()))
	must(t, v2.pull())
	must(t, v2.replica.Sync(t.Context()))
	v2.say()
	must(t, v2.db.Check(t.Context()))
	for _, wr := range a.written {
		if wr.superseded.IsZero() && !wr.promised {
			t.Fatal("a record is not acknowledged")
		}
	}
	w.holds("in parts")
}

func TestSettingsAreThoseOfAllProcesses(t *testing.T) {
	t.Parallel()
	w := newBucketWorld(t, 1, 2)
	v1, v2 := w.procs[0], w.procs[1]
	must(t, v1.replica.Sync(t.Context()))
	must(t, v2.replica.Sync(t.Context()))
	must(t, v1.tenant.SetRetention(t.Context(), 77*time.Hour))
	must(t, v1.tenant.SetQuota(t.Context(), 1234))
	must(t, v2.replica.Refresh(t.Context()))
	if s := v2.tenant.cfg.Settings.Get(); s.Policy.Retention != 77*time.Hour || s.Quota != 1234 {
		t.Errorf("the other process has %+v", s)
	}
	must(t, v2.tenant.SetQuota(t.Context(), 99))
	must(t, v1.replica.Sync(t.Context()))
	if s := v1.tenant.cfg.Settings.Get(); s.Quota != 99 || s.Policy.Retention != 77*time.Hour {
		t.Errorf("the first process has %+v", s)
	}
}

func TestADamagedBlockIsLackingForAllProcesses(t *testing.T) {
	t.Parallel()
	w := newBucketWorld(t, 1, 2)
	a, v1, v2 := w.devices[0], w.procs[0], w.procs[1]
	w.write(a, "x", 1, 1)
	w.takeIn(v1)
	must(t, v2.replica.Sync(t.Context()))
	must(t, v2.pull())
	w.now = w.now.Add(50 * time.Hour) // no pin is left
	damagePacks(t, w)
	must(t, v1.tenant.Scrub(t.Context()))
	must(t, v2.replica.Sync(t.Context()))
	for _, p := range []*process{v1, v2} {
		must(t, p.folder().View(func(tx *index.Tx) error {
			if k, err := tx.Kept(); err != nil || k.Lacking != 1 {
				t.Errorf("%d blocks lack, %v", k.Lacking, err)
			}
			return nil
		}))
	}
	must(t, v2.pull())
	v2.say()
	w.holds("after it was fetched again")
}

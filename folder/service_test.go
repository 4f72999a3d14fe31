package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// Each of these owes something, so none may say that it is idle.

func TestNotIdleWhileContentIsAwaited(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.lose("a")
	for i := range 3 { // the first step starts the fetch, the others find it on its way
		if st := w.step(); st != StateSyncing {
			t.Errorf("step %d: %s with a file on its way", i, st)
		}
	}
	if len(w.svc.running) != 1 {
		t.Errorf("%d batches run", len(w.svc.running))
	}
}

func TestNotIdleWhileABatchRuns(t *testing.T) {
	w := newWorld(t, "a")
	b := &batch{open: map[*Job]bool{{}: true}, cancel: func() {}}
	w.svc.running[b] = true
	if st := w.step(); st != StateSyncing {
		t.Errorf("%s with a batch", st)
	}
	delete(w.svc.running, b)
	if st := w.step(); st != StateIdle {
		t.Errorf("%s after it", st)
	}
}

func TestIdleWithAnExcusedNeed(t *testing.T) {
	w := newWorld(t, "a", "b", "d/x")
	w.must(w.fs.User().WriteFile(IgnoreFile, "a\n"))
	w.svc.fullScan = true
	w.fs.Advance(time.Second)
	w.step()
	w.lose("a")
	if st := w.step(); st != StateIdle {
		t.Errorf("%s with nothing lacking but what is excluded", st)
	}
	w.lose("b")
	if st := w.step(); st != StateSyncing {
		t.Errorf("%s with one need that is excused and one that is not", st)
	}
}

// What was excluded once is owed again when the rule goes.
func TestNotIdleWhenARuleNoLongerExcludes(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.must(w.fs.User().WriteFile(IgnoreFile, "a\n"))
	w.svc.fullScan = true
	w.fs.Advance(time.Second)
	w.step()
	w.lose("a")
	w.step()
	w.edit(IgnoreFile, "# nothing\n")
	w.fs.Advance(time.Second)
	w.step()
	if st := w.step(); st != StateSyncing {
		t.Errorf("%s though a file is awaited that is not excluded any more", st)
	}
	if why := w.svc.Snapshot().Excused["a"]; why != "" {
		t.Errorf("a is still %s", why)
	}
}

// An old excuse must not stand for a new need.
func TestAnExcuseCountsForItsOwnPathOnly(t *testing.T) {
	excused := map[shoal.Path]string{"gone": "excluded", "bad:name": "error"}
	w := newWorld(t, "a", "bad:name/x")
	w.lose("a")
	w.lose("bad:name/x")
	owes := func() (yes bool) {
		w.must(w.dev.Folder.View(func(tx *index.Tx) (err error) {
			yes, err = Owes(tx, excused)
			return err
		}))
		return yes
	}
	if !owes() {
		t.Error("the need of a is excused by another path")
	}
	excused["a"] = "error"
	if owes() {
		t.Error("what is in a folder that this disk can't hold is owed")
	}
}

func TestNotIdleWhileTheJournalIsNotSettled(t *testing.T) {
	w := openWorld(t)
	w.must(w.fs.User().WriteFile("a", "one"))
	w.fs.Advance(time.Second)
	for range 2 {
		if st := w.step(); st != StateSyncing {
			t.Errorf("%s with a change that waits for the journal", st)
		}
	}
	w.eng.AllowRecording()
	if st := w.step(); st != StateIdle {
		t.Errorf("%s after it was recorded", st)
	}
	w.svc.waiting = true // as an edit that is to follow a rename does
	w.svc.publish()
	if st := w.svc.Snapshot().State; st != StateSyncing {
		t.Errorf("%s with something that waits for the journal", st)
	}
}

func TestNotIdleWhileDeletionsAreHeld(t *testing.T) {
	var files []string
	for i := range 2600 {
		files = append(files, fmt.Sprintf("d/%04d", i))
	}
	w := newWorld(t, files...)
	for _, p := range files[:massDeletion+100] { // many, but not half: recorded when the burst is over
		w.must(w.fs.User().Remove(p))
	}
	w.eng.markDirty("d")
	if st := w.step(); st != StateSyncing {
		t.Fatalf("%s while a burst of deletions is held", st)
	}
	w.fs.Advance(massQuiet / 2)
	if st := w.step(); st != StateSyncing {
		t.Errorf("%s while a burst of deletions is held", st)
	}
	w.fs.Advance(massQuiet)
	if st := w.step(); st != StateIdle || !w.eng.DeletionsPending().IsZero() {
		t.Errorf("%s after the burst; the deletions wait until %v", st, w.eng.DeletionsPending())
	}
	if b := w.base(shoal.Path(files[0])); onDisk(b) {
		t.Error("the deletions were not recorded")
	}
	for _, p := range files[massDeletion+100:] {
		w.must(w.fs.User().Remove(p))
	}
	w.eng.markDirty("d")
	if st := w.step(); st != StateSyncing || w.svc.Snapshot().Held == 0 {
		t.Errorf("%s with %d deletions that wait for an answer", st, w.svc.Snapshot().Held)
	}
}

func TestNotIdleWhileAFolderIsToBeLookedAt(t *testing.T) {
	w := newWorld(t, "a")
	w.eng.markDirty("")
	w.svc.publish()
	if st := w.svc.Snapshot().State; st != StateSyncing {
		t.Errorf("%s with a folder to look at", st)
	}
	if wait := w.svc.pause(); wait > time.Second {
		t.Errorf("it is looked at in %s", wait)
	}
}

func TestNotIdleWhileAFileIsDue(t *testing.T) {
	w := newWorld(t, "a")
	w.edit("a", "two") // just now: a second change could hide behind the same time
	if st := w.step(); st != StateIdle {
		t.Fatalf("%s, but what was seen is recorded", st)
	}
	w.fs.Advance(weakDelay)
	w.svc.publish()
	if st := w.svc.Snapshot().State; st != StateSyncing {
		t.Errorf("%s with a file that is due to be read again", st)
	}
	if st := w.step(); st != StateIdle {
		t.Errorf("%s after it was read again", st)
	}
}

func TestNotIdleWhileAFileChangesFasterThanItIsRead(t *testing.T) {
	w := newWorld(t, "a")
	writing := true
	w.fs.Fail = func(op, p string) error {
		if op == "read" && p == "a" && writing {
			writing = false
			return w.fs.User().Append("a", "more")
		}
		return nil
	}
	w.edit("a", "two")
	if st := w.step(); st != StateSyncing {
		t.Errorf("%s with a change that could not be read", st)
	}
	w.fs.Advance(changingDelay)
	if st := w.step(); st != StateIdle {
		t.Errorf("%s after it was read", st)
	}
}

func TestNotIdleWhileAChangeIsRead(t *testing.T) {
	w := newWorld(t, "a")
	var during State
	w.fs.Fail = func(op, p string) error {
		if op == "read" && p == "a" {
			during = w.svc.Snapshot().State
		}
		return nil
	}
	w.edit("a", "two")
	w.step()
	if during == StateIdle || during == "" {
		t.Errorf("%q while a changed file was read", during)
	}
}

func TestAnErrorIsShownUntilItIsOver(t *testing.T) {
	w := newWorld(t, "a")
	w.fs.SetRootGone(true)
	w.eng.markDirty("")
	if st := w.step(); st != StateError || !errors.Is(w.svc.Snapshot().Err, ErrRootGone) {
		t.Errorf("%s, %v without a root", st, w.svc.Snapshot().Err)
	}
	w.fs.SetRootGone(false)
	if st := w.step(); st != StateIdle || w.svc.Snapshot().Err != nil {
		t.Errorf("%s, %v with the root back", st, w.svc.Snapshot().Err)
	}
}

// What waits for somebody must not keep the processor busy meanwhile.
func TestWaitingIsQuiet(t *testing.T) {
	w := openWorld(t)
	w.must(w.fs.User().WriteFile("a", "one"))
	w.step()
	if wait := w.svc.pause(); wait < retryAfter {
		t.Errorf("waiting for the journal: the next look is in %s", wait)
	}
	w.svc.SetPaused(true)
	if st, wait := w.step(), w.svc.pause(); st != StatePaused || wait < time.Minute {
		t.Errorf("%s: the next look is in %s", st, wait)
	}
	w.svc.SetPaused(false)
	w.fs.Fail = func(op, _ string) error {
		if op == "checkroot" {
			return fs.ErrPermission
		}
		return nil
	}
	if st, wait := w.step(), w.svc.pause(); st != StateError || wait < retryAfter {
		t.Errorf("%s: the next look is in %s", st, wait)
	}
}

func TestDutiesTellHowTheyEnded(t *testing.T) {
	w := newWorld(t, "a")
	ended := map[Duty]error{}
	w.svc.Duty = func(d Duty, err error) { ended[d] = err }
	w.must(w.svc.look(t.Context()))
	if len(ended) != 0 {
		t.Errorf("nothing was due, but %v ended", ended)
	}
	w.svc.fullScan = true
	w.must(w.svc.look(t.Context()))
	if err, ok := ended[DutyRescan]; !ok || err != nil {
		t.Errorf("full scan: told %v, %v", ok, err)
	}
	w.svc.fullScan = true
	w.fs.SetRootGone(true)
	_ = w.svc.look(t.Context())
	if !errors.Is(ended[DutyRescan], ErrRootGone) {
		t.Errorf("full scan without a root: %v", ended[DutyRescan])
	}
	w.fs.SetRootGone(false)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	ended = map[Duty]error{}
	w.fs.Fail = func(string, string) error { return fs.ErrPermission }
	_ = w.svc.look(stopped)
	if len(ended) != 0 {
		t.Errorf("a scan that was stopped counts as %v", ended)
	}
}

// What is fetched may come by another way, too: nobody has the content, but the user writes it.
func TestIdleWhenWhatIsFetchedCameByAnotherWay(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.lose("a")
	if st := w.step(); st != StateSyncing || len(w.svc.running) != 1 {
		t.Fatalf("%s with %d batches while a file is on its way", st, len(w.svc.running))
	}
	w.must(w.fs.User().WriteFile("a", "content of a"))
	w.fs.Advance(time.Second)
	w.eng.markDirty("")
	for range 3 {
		w.step()
	}
	if st := w.step(); st != StateIdle || len(w.svc.running) > 0 {
		t.Errorf("%s with %d batches when the user has written what was to be fetched", st, len(w.svc.running))
	}
}

func TestIdleWhenWhatIsFetchedIsThereAlready(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.base("a")
	w.lose("a")
	w.step()
	w.must(w.fs.User().WriteFile("a", "content of a")) // a rename put it there, say: the base says so, and nothing else is needed
	w.must(w.fs.User().Chtimes("a", a.MTime))
	disk, err := w.fs.Lstat("a")
	w.must(err)
	b := *a
	b.Stat = statOf(disk)
	w.must(w.dev.Folder.Update(t.Context(), func(tx *index.Tx) error { return tx.SetBase("a", &b) }))
	for range 2 {
		w.step()
	}
	if st := w.step(); st != StateIdle || len(w.svc.running) > 0 {
		t.Errorf("%s with %d batches when nothing is needed", st, len(w.svc.running))
	}
}

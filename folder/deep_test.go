package folder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deep runs a deep check that must work.
func (w *world) deep() DeepReport {
	w.t.Helper()
	r, err := w.eng.DeepCheck(w.t.Context(), func(int64, int64) {})
	w.must(err)
	return r
}

func paths(list []DeepFinding) string {
	var out []string
	for _, f := range list {
		out = append(out, string(f.Path))
	}
	return strings.Join(out, " ")
}

func TestDeepCheckOfAGoodFolder(t *testing.T) {
	var files []string
	for i := range 3*deepPage + 7 { // more than one page
		files = append(files, fmt.Sprintf("d%d/%d", i%5, i))
	}
	w := newWorld(t, files...)
	before := w.fs.User().Dump()
	var told int64
	r, err := w.eng.DeepCheck(t.Context(), func(files, _ int64) { told = files })
	w.must(err)
	if r.Files != int64(len(files)) || told != r.Files || r.Bytes == 0 || r.Edited+r.Omitted != 0 || len(r.Damaged)+len(r.Missing)+len(r.Unreadable) != 0 {
		t.Errorf("%d files, told %d: %+v", len(files), told, r)
	}
	if w.fs.User().Dump() != before {
		t.Error("the disk was changed")
	}
}

// Rot is damage, and neither the check nor a scan takes it for an edit.
func TestDeepCheckTellsRotFromEdits(t *testing.T) {
	w := newWorld(t, "d/edited", "d/fine", "d/rotten", "d/touched")
	w.must(w.fs.Rot("d/rotten", 3))
	w.must(w.fs.User().WriteFile("d/edited", "by a user"))
	w.must(w.fs.User().Chtimes("d/touched", 5e9))
	want := w.base("d/rotten")
	r := w.deep()
	if paths(r.Damaged) != "d/rotten" || r.Edited != 2 || len(r.Unreadable)+len(r.Missing) != 0 {
		t.Fatalf("%+v", r)
	}
	if r.Damaged[0].Record != want.Record || want.Record.IsZero() {
		t.Errorf("record %v, want %v", r.Damaged[0].Record, want.Record)
	}
	w.svc.fullScan = true
	w.fs.Advance(time.Second)
	w.step()
	if b := w.base("d/rotten"); b.Content != want.Content || b.Record != want.Record {
		t.Error("the damage was recorded")
	}
	if r = w.deep(); paths(r.Damaged) != "d/rotten" || r.Edited != 0 {
		t.Errorf("after a scan: %+v", r)
	}
}

// A file that was changed within the clock's granularity may have been changed again behind the same time: no proof of damage.
func TestDeepCheckOfAFileJustWritten(t *testing.T) {
	w := newWorld(t, "a")
	w.edit("a", "two")
	w.step()
	if !w.base("a").Stat.Weak {
		t.Fatal("the base is not weak")
	}
	w.must(w.fs.Rot("a", 0))
	if r := w.deep(); len(r.Damaged) != 0 || r.Edited != 1 {
		t.Errorf("%+v", r)
	}
}

func TestDeepCheckOfWhatCanNotBeRead(t *testing.T) {
	w := newWorld(t, "bad", "good", "gone")
	w.must(w.fs.User().Remove("gone"))
	w.fs.Fail = func(op, p string) error {
		if op == "read" && p == "bad" {
			return syscall.EIO
		}
		return nil
	}
	r := w.deep()
	if paths(r.Unreadable) != "bad" || !errors.Is(r.Unreadable[0].Err, syscall.EIO) || paths(r.Missing) != "gone" || r.Files != 1 {
		t.Errorf("%+v", r)
	}
}

// What is put back, or recorded, while the check runs is nothing to tell.
func TestDeepCheckLooksTwice(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d")
	w.must(w.fs.User().Remove("a"))
	w.must(w.fs.User().Remove("b"))
	w.must(w.fs.User().WriteFile("c", "edited"))
	w.eng.markDirty("")
	w.must(w.fs.Rot("d", 0))
	w.fs.Advance(time.Second)
	looked := map[string]bool{}
	w.fs.Fail = func(op, p string) error {
		if op != "fstat" && op != "lstat" || looked[p] {
			return nil
		}
		looked[p] = true
		switch {
		case p == "b": // the engine records that a and b are gone, and the edit, before b is looked at
			return w.eng.Scan(t.Context())
		case p == "d":
			return w.fs.User().WriteFile("b", "back")
		}
		return nil
	}
	r := w.deep()
	if len(r.Missing) != 0 || r.Edited != 0 || paths(r.Damaged) != "d" {
		t.Errorf("%+v", r)
	}
}

// Without the root everything would be missing.
func TestDeepCheckWithoutTheRoot(t *testing.T) {
	w := newWorld(t, "a")
	w.fs.SetRootGone(true)
	if _, err := w.eng.DeepCheck(t.Context(), func(int64, int64) {}); !errors.Is(err, ErrRootGone) {
		t.Errorf("got %v", err)
	}
}

func TestDeepCheckCanBeStopped(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r, err := w.eng.DeepCheck(ctx, func(files, _ int64) { n++; cancel() })
	if !errors.Is(err, context.Canceled) || n != 1 || len(r.Unreadable) != 0 {
		t.Errorf("%v after %d files: %+v", err, n, r)
	}
}

func TestDeepCheckBoundsWhatItTells(t *testing.T) {
	var files []string
	for i := range maxFound + 5 {
		files = append(files, fmt.Sprintf("%d", i))
	}
	w := newWorld(t, files...)
	for _, p := range files {
		w.must(w.fs.Rot(p, 0))
	}
	if r := w.deep(); len(r.Damaged) != maxFound || r.Omitted != 5 {
		t.Errorf("%d told, %d not", len(r.Damaged), r.Omitted)
	}
}

// Run returns only when who works beside the engine has ended, since its disk is closed then.
func TestRunWaitsForWhatWorksBesideIt(t *testing.T) {
	w := newWorld(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.svc.Run(ctx) }()
	var over bool
	err := w.svc.Beside(t.Context(), func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		select {
		case err := <-ended:
			over = true
			ended <- err
		case <-time.After(10 * time.Millisecond): // that nothing happens can only be watched for a while
		}
		return ctx.Err()
	})
	if over || !errors.Is(err, ErrStopped) {
		t.Errorf("Run returned first: %v; %v", over, err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := w.svc.Beside(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, ErrStopped) {
		t.Errorf("afterwards: %v", err)
	}
}

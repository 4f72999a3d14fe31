package folder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// watchedFS tells who opens a file.
type watchedFS struct {
	disk.FS
	open func(path string) (done func())
}

func (f watchedFS) Open(path string) (disk.File, error) {
	defer f.open(path)()
	return f.FS.Open(path)
}

// manyFiles makes a folder of n new files, which four goroutines read.
func manyFiles(t *testing.T, n int) *world {
	w := openWorld(t)
	for i := range n {
		w.must(w.fs.User().WriteFile(fmt.Sprintf("%06d", i), fmt.Sprint(i)))
	}
	w.fs.Advance(time.Second)
	w.eng.Workers = 4
	return w
}

func (w *world) mustHave(n int) {
	w.t.Helper()
	for i := range n {
		if b := w.base(shoal.Path(fmt.Sprintf("%06d", i))); b == nil || b.Record.IsZero() {
			w.t.Fatalf("file %d of %d was not recorded", i, n)
		}
	}
}

func TestTheNextGroupIsReadWhileOneIsRecorded(t *testing.T) {
	w := manyFiles(t, 2*commitSize+1)
	w.eng.AllowRecording()
	second := fmt.Sprintf("%06d", commitSize) // the first file of the second group
	begun := make(chan struct{})
	w.eng.FS = watchedFS{w.fs, func(path string) func() {
		if path == second {
			close(begun)
		}
		return func() {}
	}}
	var first sync.Once
	w.eng.Access = func() Access { // asked whenever a group is about to be recorded
		first.Do(func() {
			select {
			case <-begun:
			case <-time.After(time.Minute):
				t.Error("the second group is read only after the first was recorded")
			}
		})
		return AccessWrite
	}
	w.must(w.eng.ScanAll(t.Context()))
	w.mustHave(2*commitSize + 1)
}

// What a scan reads ends with it, also when it fails; the next one records what it left.
func TestAScanThatFailsLeavesNobodyReading(t *testing.T) {
	for what, fail := range map[string]struct {
		scan func(*world) error
		want error
	}{
		"the journal is not settled": {func(w *world) error { return w.eng.ScanAll(t.Context()) }, ErrWaitJournal},
		"told to stop": {func(w *world) error {
			w.eng.AllowRecording()
			ctx, stop := context.WithCancel(t.Context())
			w.eng.Access = func() Access { stop(); return AccessWrite }
			return w.eng.ScanAll(ctx)
		}, context.Canceled},
	} {
		t.Run(what, func(t *testing.T) {
			w := manyFiles(t, 5*commitSize)
			var reading, ended atomic.Int64
			w.eng.FS = watchedFS{w.fs, func(string) func() {
				if ended.Load() != 0 {
					t.Error("a file is opened after the scan has ended")
				}
				reading.Add(1)
				return func() { reading.Add(-1) }
			}}
			err := fail.scan(w)
			if n := reading.Load(); n != 0 || !errors.Is(err, fail.want) {
				t.Fatalf("%v, and %d files are being opened", err, n)
			}
			ended.Store(1)
			w.eng.FS, w.eng.Access = w.fs, nil
			w.eng.AllowRecording()
			w.must(w.eng.ScanAll(t.Context()))
			w.mustHave(5 * commitSize)
		})
	}
}

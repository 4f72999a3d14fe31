package folder

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/index/indextest"
)

// world is one folder on a disk in memory, whose clock moves only when a test says so.
type world struct {
	t   *testing.T
	fs  *disktest.FS
	dev *indextest.Device
	eng *Engine
	svc *Service
}

// openWorld makes an empty folder of which nothing may be recorded yet. Its service is stepped by hand: Run is not called.
func openWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, fs: disktest.New(disktest.Options{Step: time.Microsecond})}
	w.dev = indextest.New(t, w.clock)
	var err error
	w.eng, err = New(Config{Index: w.dev.Folder, FS: w.fs, Keys: w.dev.Keys, Self: w.dev.Self, Now: w.clock, MinFree: 1})
	w.must(err)
	w.must(w.eng.Recover(t.Context()))
	w.svc = NewService(ServiceConfig{Engine: w.eng, Log: slog.New(slog.DiscardHandler), Fetch: nobodyHasIt})
	t.Cleanup(w.stop)
	return w
}

// newWorld makes a folder with these files, recorded.
func newWorld(t *testing.T, files ...string) *world {
	t.Helper()
	w := openWorld(t)
	w.eng.AllowRecording()
	for _, p := range files {
		w.must(w.fs.User().MkdirAll(string(shoal.Path(p).Parent())))
		w.must(w.fs.User().WriteFile(p, "content of "+p))
	}
	w.fs.Advance(time.Second) // the files are older than the clock's granularity
	w.step()
	if st := w.svc.Snapshot().State; st != StateIdle {
		t.Fatalf("a folder that was just recorded is %s", st)
	}
	return w
}

// nobodyHasIt is a fetch that waits for devices that never come.
func nobodyHasIt(ctx context.Context, _ []Want, _ func(Want, []byte) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) stop() {
	for b := range w.svc.running {
		b.cancel()
	}
	w.svc.batches.Wait()
}

func (w *world) clock() time.Time { return time.Unix(0, w.fs.Now()) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// step does what Run does between two events.
func (w *world) step() State {
	w.t.Helper()
	w.svc.step(w.t.Context())
	w.svc.publish()
	return w.svc.Snapshot().State
}

// edit changes a file and says that its folder was seen to change.
func (w *world) edit(p, content string) {
	w.t.Helper()
	w.must(w.fs.User().WriteFile(p, content))
	w.eng.markDirty(shoal.Path(p).Parent())
}

// lose takes a file from the disk and from what is known of it, as if another device's file had not come yet.
func (w *world) lose(p shoal.Path) {
	w.t.Helper()
	w.must(w.fs.User().Remove(string(p)))
	w.must(w.dev.Folder.Update(w.t.Context(), func(tx *index.Tx) error { return tx.SetBase(p, nil) }))
}

func (w *world) base(p shoal.Path) (b *index.Base) {
	w.t.Helper()
	w.must(w.dev.Folder.View(func(tx *index.Tx) (err error) {
		b, err = tx.Base(p)
		return err
	}))
	return b
}

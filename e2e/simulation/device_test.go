package simulation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
)

// device is one simulated device: the real parts on a simulated disk.
type device struct {
	w    *world
	i    int
	name string
	id   *mesh.Identity
	skew time.Duration // of its clock

	fs   *disktest.FS
	db   *index.DB
	idx  *index.Folder
	eng  *folder.Engine
	core *indexexchange.Core

	started time.Time
	crashAt int  // the power goes before this many more operations on the disk; 0: never
	meddle  int  // a user does something before this many more operations on the disk; 0: never
	inside  bool // a user's hand is at work: no hooks
	acting  bool // a user acts in the middle of an operation
	failAt  int  // this many more operations on the disk from now one fails with failErr; 0: never
	failErr error
	joining bool // nothing is recorded until one complete frontier is here
	image   *image
	keeper  *keeper // this is no device but the vault's end of its links
}

func newDevice(w *world, i int) (*device, error) {
	d := &device{w: w, i: i, name: fmt.Sprintf("dev%d", i), id: w.fam.ids[i]}
	d.fs = disktest.New(disktest.Options{Now: w.now.UnixNano(), Step: time.Microsecond})
	d.db = index.OpenMemory(d.indexOptions())
	return d, d.start()
}

func (d *device) indexOptions() index.Options {
	return index.Options{Clock: d.clock, Rand: rand.NewChaCha8([32]byte{byte(d.i), byte(d.w.r.Uint32()), byte(d.w.r.Uint32())})}
}

func (d *device) clock() time.Time { return time.Unix(0, d.fs.Now()) }

// start builds what a fresh process has.
func (d *device) start() error {
	d.started = d.w.now
	d.fs.Fail = d.beforeDisk
	keys, bk, err := d.w.fam.keys(d.i)
	if err != nil {
		return err
	}
	d.idx, err = d.db.Folder(d.w.fam.folder, index.FolderConfig{
		Mesh: d.w.fam.roster.Mesh(), Identity: d.id,
		Keys: func() *mesh.FolderKeys { return keys }, Roster: d.w.fam.roster.State,
	})
	if err != nil {
		return err
	}
	d.eng, err = folder.New(folder.Config{
		Index: d.idx, FS: d.fs, Keys: &bk, Self: d.id.Device(), Now: d.clock, MinFree: 1,
		Changed: func() { d.recorded() },
	})
	if err != nil {
		return err
	}
	if err := d.eng.Recover(d.w.ctx); err != nil {
		return err
	}
	d.eng.SetJoining(d.joining)
	d.core = indexexchange.NewCore(indexexchange.Config{
		Device: d.id.Device(), Folders: oneFolder{d}, Roster: fixedRoster{d.w.fam.roster}, Clock: func() time.Time { return d.w.now },
		Effects: indexexchange.Effects{Proof: func(_ shoal.FolderID, _ shoal.DeviceID, same bool) {
			if same {
				d.w.trace("%s: a peer has our journal", d.name)
				_ = d.eng.JournalProved(d.w.ctx)
			}
		}, Rival: func(_ shoal.FolderID, _ shoal.DeviceID, head []byte) {
			d.w.trace("%s: a peer has another history of our journal", d.name)
			if err := d.eng.LeaveHistory(d.w.ctx, head); err != nil {
				panic(err)
			}
		}},
	})
	shared := false
	if err := d.idx.View(func(tx *index.Tx) error { shared = tx.JournalShared(); return nil }); err != nil {
		return err
	}
	if !shared {
		if err := d.eng.JournalProved(d.w.ctx); err != nil {
			d.eng.AllowRecording()
		}
	}
	return d.core.Refresh(d.w.fam.folder)
}

func (d *device) recorded() {
	if err := d.core.Refresh(d.w.fam.folder); err != nil {
		panic(err)
	}
}

// firstNosy is the first seed in which users also act right before the engine looks at something, not only before it changes something.
const firstNosy = 1_000_000

// beforeDisk is asked before every operation of the engine on its disk.
func (d *device) beforeDisk(op, p string) error {
	if d.inside {
		return nil
	}
	if d.failAt > 0 {
		if d.failAt--; d.failAt == 0 {
			d.w.trace("%s: %s %q fails: %v", d.name, op, p, d.failErr)
			return injected{&fs.PathError{Op: op, Path: p, Err: d.failErr}}
		}
	}
	reads := false
	switch op {
	case "lstat", "list", "open", "read", "fstat", "space", "busy", "checkroot", "readlink", "nextdata":
		if reads = true; d.w.seed < firstNosy {
			return nil
		}
	}
	if d.meddle > 0 {
		if d.meddle--; d.meddle == 0 {
			d.w.trace("%s: a user acts before %s %q", d.name, op, p)
			d.acting = true
			d.w.userActs(d)
			d.acting = false
		}
	}
	if d.crashAt > 0 && !reads {
		if d.crashAt--; d.crashAt == 0 {
			d.w.trace("%s: power off before %s %q", d.name, op, p)
			panic(disktest.Crashed)
		}
	}
	return nil
}

// guarded runs something that the power may go in.
func (d *device) guarded(do func() error) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if e, ok := r.(error); !ok || !errors.Is(e, disktest.Crashed) {
			panic(fmt.Sprintf("%v\n%s", r, debug.Stack()))
		}
		err = d.restart()
	}()
	err = do()
	var bad injected
	if errors.Is(err, folder.ErrWaitJournal) || errors.As(err, &bad) {
		return nil
	}
	return err
}

// crash turns the power off, now or at some operation soon.
func (d *device) crash(later bool) error {
	if later {
		d.crashAt = 1 + d.w.r.IntN(20)
		return nil
	}
	d.w.trace("%s: power off", d.name)
	return d.restart()
}

func (d *device) restart() error {
	d.crashAt, d.meddle, d.failAt = 0, 0, 0
	d.cutLinks()
	before := d.contents()
	d.fs = d.fs.Crash(d.w.r.Uint64())
	d.db = d.db.Crash()
	d.w.oracle.crashed(d, before)
	return d.start()
}

func (d *device) cutLinks() {
	for _, l := range d.w.links {
		if l.a == d || l.b == d {
			l.cut()
		}
	}
}

// scan looks at the disk: at everything, or at what the engine asks for and one more folder.
func (d *device) scan(all bool) error {
	d.settleJournal()
	d.armMeddler()
	defer d.disarm()
	return d.guarded(func() error {
		d.w.trace("%s: scan all=%v joining=%v", d.name, all, d.joining)
		if d.joining && d.mayRecord() {
			d.eng.SetJoining(false)
			err := d.eng.ScanAll(d.w.ctx)
			d.joining = err != nil
			d.eng.SetJoining(d.joining)
			return err
		}
		if all {
			return d.eng.ScanAll(d.w.ctx)
		}
		return d.eng.Scan(d.w.ctx, dirs[d.w.r.IntN(len(dirs))])
	})
}

// settleJournal lets the device begin a new journal when nobody has shown it the old one for long enough.
func (d *device) settleJournal() {
	if d.w.now.Sub(d.started) > 5*time.Second {
		d.eng.AllowRecording()
	}
}

func (d *device) armMeddler() {
	if d.w.oracle.closed {
		return
	}
	if d.w.r.IntN(3) == 0 {
		d.meddle = 1 + d.w.r.IntN(12)
	}
}

func (d *device) disarm() { d.meddle = 0 }

func (d *device) follow() error {
	d.settleJournal()
	return d.guarded(func() error { return d.eng.Follow(d.w.ctx) })
}

// work plans, fetches what a peer has, and applies.
func (d *device) work() error {
	d.armMeddler()
	defer d.disarm()
	return d.guarded(func() error {
		if err := d.eng.CheckLate(d.w.ctx); err != nil && !errors.Is(err, folder.ErrWaitJournal) {
			return err
		}
		d.eng.DropUnwanted()
		for range 4 {
			plan, err := d.eng.Plan(d.w.ctx, "")
			if err != nil {
				return err
			}
			n, err := d.eng.Apply(d.w.ctx, plan)
			if err != nil {
				return err
			}
			if n > 0 {
				d.w.trace("%s: applied %d", d.name, n)
				if err := d.core.Refresh(d.w.fam.folder); err != nil {
					return err
				}
			}
			if len(plan.Jobs) == 0 && n == 0 {
				return nil
			}
			for _, j := range plan.Jobs {
				if err := d.assemble(j); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// assemble completes a content from this disk and from whoever is connected.
func (d *device) assemble(j *folder.Job) error {
	for {
		wants, err := j.Begin(d.w.ctx)
		if err != nil {
			d.eng.Finish(j, err)
			return nil
		}
		if len(wants) == 0 {
			d.eng.Finish(j, nil)
			return nil
		}
		for _, want := range wants {
			data, ok := d.ask(want)
			if !ok {
				d.eng.Forget(j)
				return nil
			}
			if err := j.Deliver(want, data); err != nil {
				d.eng.Finish(j, err)
				return nil
			}
		}
	}
}

func (d *device) ask(want folder.Want) ([]byte, bool) {
	buf := make([]byte, want.Size)
	for _, l := range d.w.links {
		other := l.other(d)
		if other == nil || !l.up || l.stuck != [2]bool{} {
			continue
		}
		if other.keeper != nil {
			if data, ok := other.keeper.give(d, want); ok {
				return data, true
			}
			continue
		}
		if data, err := other.eng.Block(d.w.ctx, want, buf); err == nil {
			return data, true
		}
	}
	return nil, false
}

// oneFolder and fixedRoster are the exchange's view of a device.
type oneFolder struct{ d *device }

func (o oneFolder) IDs() []shoal.FolderID { return []shoal.FolderID{o.d.w.fam.folder} }

func (o oneFolder) Folder(shoal.FolderID) (indexexchange.Folder, bool) { return o.d.idx, true }

type fixedRoster struct{ r *mesh.Roster }

func (f fixedRoster) Heads() []mesh.Hash                  { return f.r.Heads() }
func (f fixedRoster) Has(h mesh.Hash) bool                { return f.r.Has(h) }
func (f fixedRoster) Since(heads []mesh.Hash) [][]byte    { return f.r.Since(heads) }
func (f fixedRoster) Add(context.Context, [][]byte) error { return nil }

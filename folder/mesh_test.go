package folder_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// world is some devices of one mesh, each with the real engine and index on a disk in memory, that meet when a test says so.
type world struct {
	t       testing.TB
	now     time.Time
	folder  shoal.FolderID
	roster  *mesh.Roster
	devices []*device
}

// device is one of them. Its first is the owner.
type device struct {
	w    *world
	id   *mesh.Identity
	fs   *disktest.FS
	db   *index.DB
	idx  *index.Folder
	keys block.Keys
	eng  *folder.Engine
	// holds is told what the engine says it holds; nil for nobody.
	holds   func([]block.ID)
	access  folder.Access
	workers int // of its engine, from the next start on
}

func newWorld(t testing.TB, disks ...disktest.Options) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 6, 1, 12, 0, 0, 123456789, time.UTC)}
	chance := rand.NewChaCha8([32]byte{1})
	words, err := mesh.NewPhrase(make([]byte, 32))
	w.must(err)
	root, err := mesh.RootFromPhrase(words)
	w.must(err)
	for i := range disks {
		id, err := mesh.NewIdentity(chance)
		w.must(err)
		d := &device{w: w, id: id}
		disks[i].Now, disks[i].Step = w.now.UnixNano(), time.Microsecond
		d.fs = disktest.New(disks[i])
		d.db = index.OpenMemory(index.Options{Clock: d.clock, Rand: rand.NewChaCha8([32]byte{2, byte(i)})})
		w.devices = append(w.devices, d)
	}
	owner := w.devices[0].id
	w.roster, err = mesh.Create(root, owner, "dev0", chance, w.now)
	w.must(err)
	w.folder, err = w.roster.AddFolder(owner, "stuff", w.now, chance)
	w.must(err)
	for i, d := range w.devices[1:] {
		w.must(w.roster.Admit(owner, d.id.Device(), d.id.HPKEPublic(), fmt.Sprintf("dev%d", i+1), mesh.RoleMember, w.now))
	}
	for _, d := range w.devices {
		d.start()
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (d *device) clock() time.Time { return time.Unix(0, d.fs.Now()) }

// start builds what a fresh process has.
func (d *device) start() {
	d.w.t.Helper()
	keys, err := d.w.roster.FolderKeys(d.id, d.w.folder)
	d.w.must(err)
	d.keys = block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}
	d.idx, err = d.db.Folder(d.w.folder, index.FolderConfig{
		Mesh: d.w.roster.Mesh(), Identity: d.id, Keys: func() *mesh.FolderKeys { return keys }, Roster: d.w.roster.State,
	})
	d.w.must(err)
	d.eng, err = folder.New(folder.Config{
		Index: d.idx, FS: d.fs, Keys: &d.keys, Self: d.id.Device(), Now: d.clock, MinFree: 1, Workers: d.workers,
		Access: func() folder.Access { return d.access },
		Holds: func(ids []block.ID) {
			if d.holds != nil {
				d.holds(ids)
			}
		},
	})
	d.w.must(err)
	d.w.must(d.eng.Recover(d.w.t.Context()))
	if err := d.eng.JournalProved(d.w.t.Context()); err != nil {
		d.eng.AllowRecording()
	}
}

// tick moves every clock on.
func (w *world) tick(by time.Duration) {
	w.now = w.now.Add(by)
	for _, d := range w.devices {
		d.fs.SetNow(w.now.UnixNano())
	}
}

// meet lets all devices look, exchange and apply until nothing changes any more. It fails the test when that takes too long: then devices answer
// each other for ever.
func (w *world) meet() {
	w.t.Helper()
	before := ""
	for round := range 20 {
		w.tick(70 * time.Second) // longer than anything is postponed
		for _, d := range w.devices {
			d.look()
		}
		w.exchange()
		for _, d := range w.devices {
			d.work()
		}
		after := w.journals()
		if after == before && round > 4 {
			return
		}
		before = after
	}
	w.t.Fatalf("the journals never stop growing: %s", before)
}

// look scans everything.
func (d *device) look() {
	d.w.t.Helper()
	d.w.must(d.eng.ScanAll(d.w.t.Context()))
	if d.eng.Dirty() {
		d.w.must(d.eng.Scan(d.w.t.Context()))
	}
	d.w.must(d.eng.Follow(d.w.t.Context()))
}

// exchange brings every journal to every device.
func (w *world) exchange() {
	w.t.Helper()
	for _, from := range w.devices {
		for _, to := range w.devices {
			if from != to {
				from.send(to)
			}
		}
	}
}

func (d *device) send(to *device) {
	d.w.t.Helper()
	have := to.frontier()
	for j, pos := range d.frontier() {
		if have[j].Seq >= pos.Seq {
			continue
		}
		var b index.Batch
		d.w.must(d.idx.View(func(tx *index.Tx) (err error) {
			b, err = tx.ReadAfter(j, have[j].Seq, 1<<30)
			return err
		}))
		d.w.must(to.idx.Update(d.w.t.Context(), func(tx *index.Tx) error { _, err := tx.Accept(b); return err }))
	}
}

func (d *device) frontier() (out map[shoal.JournalID]index.JournalPos) {
	d.w.must(d.idx.View(func(tx *index.Tx) error { out = tx.Frontier(); return nil }))
	return out
}

func (w *world) journals() string {
	var lines []string
	for i, d := range w.devices {
		for j, pos := range d.frontier() {
			lines = append(lines, fmt.Sprintf("%d %s %d", i, j, pos.Seq))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// work plans, gets what the others have, and applies.
func (d *device) work() {
	d.w.t.Helper()
	ctx := d.w.t.Context()
	d.w.must(d.eng.CheckLate(ctx))
	d.eng.DropUnwanted()
	for range 6 {
		plan, err := d.eng.Plan(ctx, "")
		d.w.must(err)
		n, err := d.eng.Apply(ctx, plan)
		d.w.must(err)
		if n == 0 && len(plan.Jobs) == 0 {
			return
		}
		for _, j := range plan.Jobs {
			d.assemble(ctx, j)
		}
	}
}

func (d *device) assemble(ctx context.Context, j *folder.Job) {
	for {
		wants, err := j.Begin(ctx)
		if err != nil || len(wants) == 0 {
			d.eng.Finish(j, err)
			return
		}
		for _, want := range wants {
			data, err := d.ask(ctx, want)
			if err != nil {
				d.eng.Forget(j)
				return
			}
			d.w.must(j.Deliver(want, data))
		}
	}
}

func (d *device) ask(ctx context.Context, want folder.Want) ([]byte, error) {
	for _, other := range d.w.devices {
		if other == d {
			continue
		}
		if data, err := other.eng.Block(ctx, want, make([]byte, block.MaxSize)); err == nil {
			return data, nil
		}
	}
	return nil, errors.New("nobody has it")
}

// shows lists what a user sees, with modes and times of files.
func (d *device) shows() string {
	var b strings.Builder
	for _, n := range d.fs.User().Tree() {
		switch n.Kind {
		case shoal.KindFile:
			fmt.Fprintf(&b, "%s %o %d %q\n", n.Path, n.Mode, n.MTime, n.Content)
		case shoal.KindSymlink:
			fmt.Fprintf(&b, "%s -> %s\n", n.Path, n.Target)
		default:
			fmt.Fprintf(&b, "%s/ %o\n", n.Path, n.Mode)
		}
	}
	return b.String()
}

// names lists what a user sees, by name.
func (d *device) names() []string {
	var out []string
	for _, n := range d.fs.User().Tree() {
		out = append(out, string(n.Path))
	}
	slices.Sort(out)
	return out
}

// texts are the contents of all files that a user sees, sorted.
func (d *device) texts() []string {
	var out []string
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile {
			out = append(out, n.Content)
		}
	}
	slices.Sort(out)
	return out
}

// wrote tells how many records the device has written.
func (d *device) wrote() (n shoal.Seq) {
	for j, pos := range d.frontier() {
		if j.Device == d.id.Device() {
			n += pos.Seq
		}
	}
	return n
}

// problem tells whether the device reports a problem of that kind at a path, and whether it says that the path is not owed.
func (d *device) problem(kind string, p shoal.Path) bool {
	for _, pr := range d.eng.Problems() {
		if pr.Kind == kind && pr.Path == p {
			return d.eng.Excused()[p] != ""
		}
	}
	return false
}

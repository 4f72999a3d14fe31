package index

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// world is a mesh of a few devices with one folder; each device has a database in memory. Its clock is one for all and moves
// only when a test says so.
type world struct {
	t       testing.TB
	roster  *mesh.Roster
	mesh    shoal.MeshID
	folder  shoal.FolderID
	devices []*device
	now     time.Time
	chance  *rand.ChaCha8
}

// device is one device of a world.
type device struct {
	world *world
	id    *mesh.Identity
	db    *DB
	f     *Folder
	keys  *mesh.FolderKeys
	state *mesh.State
}

// newWorld makes a mesh; the first device is its owner, the others are members.
func newWorld(t testing.TB, names ...string) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), chance: rand.NewChaCha8([32]byte{1})}
	phrase, err := mesh.NewPhrase(bytes.Repeat([]byte{7}, 32))
	must(t, err)
	root, err := mesh.RootFromPhrase(phrase)
	must(t, err)
	for range names {
		id, err := mesh.NewIdentity(w.chance)
		must(t, err)
		w.devices = append(w.devices, &device{world: w, id: id})
	}
	owner := w.devices[0].id
	w.roster, err = mesh.Create(root, owner, names[0], w.chance, w.now)
	must(t, err)
	w.mesh = w.roster.Mesh()
	w.folder, err = w.roster.AddFolder(owner, "docs", w.now, w.chance)
	must(t, err)
	for i, d := range w.devices[1:] {
		must(t, w.roster.Admit(owner, d.id.Device(), d.id.HPKEPublic(), names[i+1], mesh.RoleMember, w.now))
	}
	w.refresh()
	for _, d := range w.devices {
		d.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance}))
	}
	return w
}

func (w *world) clock() time.Time { return w.now }

// refresh hands the present roster to all devices.
func (w *world) refresh() {
	w.t.Helper()
	for _, d := range w.devices {
		d.state = w.roster.State()
		if keys, err := w.roster.FolderKeys(d.id, w.folder); err == nil {
			d.keys = keys
		}
	}
}

// open makes db the device's database.
func (d *device) open(db *DB) {
	d.world.t.Helper()
	f, err := db.Folder(d.world.folder, FolderConfig{
		Mesh: d.world.mesh, Identity: d.id,
		Keys: func() *mesh.FolderKeys { return d.keys }, Roster: func() *mesh.State { return d.state },
	})
	must(d.world.t, err)
	d.db, d.f = db, f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// update runs fn in an update that must succeed.
func (d *device) update(fn func(*Tx) error) {
	d.world.t.Helper()
	must(d.world.t, d.f.Update(context.Background(), fn))
}

func (d *device) view(fn func(*Tx) error) {
	d.world.t.Helper()
	must(d.world.t, d.f.View(fn))
}

// write records drafts, opening a journal when none is.
func (d *device) write(drafts ...Entry) []shoal.Dot {
	d.world.t.Helper()
	var dots []shoal.Dot
	d.update(func(tx *Tx) (err error) {
		if _, open := tx.Own(); !open {
			if err := tx.OpenJournal(); err != nil {
				return err
			}
		}
		dots, err = tx.Append(drafts)
		return err
	})
	return dots
}

// recipe makes a recipe of blocks that are told apart by seed.
func (d *device) recipe(seed string, blocks int) block.Recipe {
	keys := block.Keys{Chunker: d.keys.Chunker, BlockID: d.keys.BlockID}
	var r block.Recipe
	for i := range blocks {
		r = append(r, block.Ref{ID: keys.ID(fmt.Appendf(nil, "%s %d", seed, i)), Size: 100 + uint32(i)})
	}
	return r
}

// file is a draft of a small file with the given content.
func (d *device) file(p shoal.Path, content string) Entry {
	return Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644, MTime: int64(len(content)) * 1e9, Recipe: d.recipe(content, 1)}
}

// edit is a draft at a path by somebody whose disk shows what should be there.
func (d *device) edit(e Entry) Entry {
	d.world.t.Helper()
	d.view(func(tx *Tx) error {
		s, err := tx.Desired(e.Path)
		if err == nil && s != nil {
			e.Version, e.Replaced = s.Version, s.Content
		}
		return err
	})
	return e
}

func (d *device) desired(p shoal.Path) *State {
	d.world.t.Helper()
	var s *State
	d.view(func(tx *Tx) (err error) {
		s, err = tx.Desired(p)
		return err
	})
	return s
}

// apply pretends that the disk was brought to what is wanted at all paths.
func (d *device) apply() {
	d.world.t.Helper()
	d.update(func(tx *Tx) error {
		paths, err := tx.Needs("", 1<<30)
		if err != nil {
			return err
		}
		for _, p := range paths {
			if err := d.applyOne(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *device) applyOne(tx *Tx, p shoal.Path) error {
	s, err := tx.Desired(p)
	if err != nil {
		return err
	}
	if s == nil {
		return tx.SetBase(p, nil)
	}
	if len(s.RecipeParts) > 0 && s.Recipe == nil { // fetched
		s.Recipe = d.recipe("three", block.InlineRecipe+6)
		must(d.world.t, tx.PutRecipe(s.Content, s.Recipe))
	}
	return tx.SetBase(p, BaseOf(s, DiskStat{Size: s.Size, MTime: s.MTime, CTime: s.MTime + 5, Mode: s.Mode, Inode: 77, Device: 3}))
}

// pull brings journal after journal from one device to another as batches.
func (d *device) pull(from *device) {
	d.world.t.Helper()
	for id, pos := range from.frontier() {
		d.pullJournal(from, id, pos)
	}
}

func (d *device) frontier() map[shoal.JournalID]JournalPos {
	d.world.t.Helper()
	var out map[shoal.JournalID]JournalPos
	d.view(func(tx *Tx) error {
		out = tx.Frontier()
		return nil
	})
	return out
}

func (d *device) pullJournal(from *device, id shoal.JournalID, pos JournalPos) Accepted {
	d.world.t.Helper()
	have := d.frontier()[id]
	if have.Seq >= pos.Seq {
		return Accepted{}
	}
	b := from.batch(id, have.Seq)
	var got Accepted
	d.update(func(tx *Tx) (err error) {
		got, err = tx.Accept(b)
		return err
	})
	return got
}

func (d *device) batch(id shoal.JournalID, after shoal.Seq) Batch {
	d.world.t.Helper()
	var b Batch
	d.view(func(tx *Tx) (err error) {
		b, err = tx.ReadAfter(id, after, 1<<30)
		return err
	})
	return b
}

// stage brings a journal by buckets.
func (d *device) stage(from *device, id shoal.JournalID) Accepted {
	d.world.t.Helper()
	var missing []uint64
	var list []BucketDigest
	var head []byte
	from.view(func(tx *Tx) (err error) {
		list, head, err = tx.Digests(id)
		return err
	})
	d.update(func(tx *Tx) (err error) {
		missing, err = tx.Stage(id, head, list)
		return err
	})
	for _, n := range missing {
		var records [][]byte
		from.view(func(tx *Tx) (err error) {
			records, err = tx.Bucket(id, n)
			return err
		})
		d.update(func(tx *Tx) error {
			_, err := tx.StageBucket(id, n, records)
			return err
		})
	}
	var got Accepted
	d.update(func(tx *Tx) (err error) {
		got, err = tx.FinishStage(id)
		return err
	})
	return got
}

func (d *device) check() {
	d.world.t.Helper()
	must(d.world.t, d.db.Check(context.Background()))
}

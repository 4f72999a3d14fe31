package index

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/mesh"
)

// keeperOf makes a vault of a world.
func keeperOf(t testing.TB, w *world) *device {
	t.Helper()
	id, err := mesh.NewIdentity(w.chance)
	must(t, err)
	must(t, w.roster.Admit(w.devices[0].id, id.Device(), id.HPKEPublic(), "vera", mesh.RoleVault, w.now))
	v := &device{world: w, id: id}
	w.refresh()
	v.state = w.roster.State()
	v.db = OpenMemory(Options{Clock: w.clock, Rand: w.chance})
	v.f, err = v.db.Folder(w.folder, FolderConfig{Mesh: w.mesh, Identity: id, Roster: func() *mesh.State { return v.state }, Keeper: true})
	must(t, err)
	return v
}

// keeping is a vault in a simulation, with a block store and, as a model, the records that it has seen.
type keeping struct {
	*rapid.T
	w     *world
	v     *device
	store map[block.EpochRef]bool
	// gone are the records that are in no journal any more, with the time at which the vault saw that.
	live map[shoal.Dot]Record
	gone map[shoal.Dot]goneRecord
}

type goneRecord struct {
	rec Record
	at  time.Time
}

const keepFor = 100 * time.Second

func TestAKeeperHasAndKeepsWhatRecordsNeed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, "ann", "bob")
		k := &keeping{T: rt, w: w, v: keeperOf(t, w), store: map[block.EpochRef]bool{}, live: map[shoal.Dot]Record{}, gone: map[shoal.Dot]goneRecord{}}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			k.step()
			if err := k.v.f.check(context.Background()); err != nil {
				rt.Fatalf("check: %v", err)
			}
		}
		for _, d := range w.devices {
			k.pull(d)
		}
		k.fetch(1 << 20)
		k.compare()
	})
}

func (k *keeping) step() {
	d := k.w.devices[rapid.IntRange(0, 1).Draw(k.T, "device")]
	switch rapid.IntRange(0, 8).Draw(k.T, "step") {
	case 0, 1, 2:
		k.write(d)
	case 3, 4:
		k.pull(d)
	case 5:
		k.swap()
	case 6:
		k.fetch(rapid.IntRange(0, 40).Draw(k.T, "fetched"))
	case 7:
		k.w.now = k.w.now.Add(time.Duration(rapid.IntRange(1, 80).Draw(k.T, "seconds")) * time.Second)
	case 8:
		k.collect()
	}
}

// write records a file of few or many blocks, many of which other files have too.
func (k *keeping) write(d *device) {
	n := rapid.SampledFrom([]int{0, 1, 3, 70, 200}).Draw(k.T, "blocks")
	first := rapid.IntRange(0, 20).Draw(k.T, "first")
	var r block.Recipe
	for i := range n {
		r = append(r, block.Ref{ID: block.ID(blake3.Sum256([]byte{1, byte(first + i), byte((first + i) >> 8)})), Size: 10})
	}
	p := rapid.SampledFrom([]shoal.Path{"a", "b", "c"}).Draw(k.T, "path")
	e := Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644, Recipe: r}
	var have []*Record
	d.view(func(tx *Tx) error {
		row, err := tx.row(p)
		if err != nil || row == nil {
			return err
		}
		for _, l := range row.live {
			rec, err := tx.loadRecord(l)
			if err != nil {
				return err
			}
			have = append(have, rec)
		}
		return nil
	})
	for _, rec := range have { // as if the disk had shown all that is known
		e.Version = conflict.Join(e.Version, rec.Version())
	}
	d.write(e)
}

// swap lets the devices have each other's records.
func (k *keeping) swap() {
	for i, d := range k.w.devices {
		bring(k.w.t, k.w.devices[1-i], d)
	}
}

// bring lets one device have another's journals, in one batch each.
func bring(t testing.TB, from, to *device) {
	t.Helper()
	var batches []Batch
	from.view(func(tx *Tx) error {
		for id, pos := range tx.Frontier() {
			if id.Device == to.id.Device() || pos.Seq == 0 {
				continue
			}
			b, err := tx.ReadAfter(id, 0, 1<<30)
			if err != nil {
				return err
			}
			batches = append(batches, b)
		}
		return nil
	})
	for _, b := range batches {
		must(t, to.f.Update(context.Background(), func(tx *Tx) error {
			_, err := tx.Accept(b)
			if errors.Is(err, ErrGap) {
				return nil
			}
			return err
		}))
	}
}

// pull lets the vault have a device's own journals, by batch or by buckets, and tells the model.
func (k *keeping) pull(d *device) {
	if rapid.Bool().Draw(k.T, "buckets") {
		k.stage(d)
	}
	bring(k.w.t, d, k.v)
	k.learn()
}

func (k *keeping) stage(d *device) {
	d.view(func(tx *Tx) error {
		for id, pos := range tx.Frontier() {
			if pos.Seq == 0 {
				continue
			}
			list, head, err := tx.Digests(id)
			if err != nil {
				return err
			}
			k.v.update(func(to *Tx) error {
				missing, err := to.Stage(id, head, list)
				if errors.Is(err, ErrGap) {
					return nil
				}
				for _, n := range missing {
					records, berr := tx.Bucket(id, n)
					must(k.w.t, berr)
					if _, err := to.StageBucket(id, n, records); err != nil {
						return err
					}
				}
				if err == nil {
					_, err = to.FinishStage(id)
				}
				return err
			})
		}
		return nil
	})
}

// learn reads from the devices what the records are that the vault has, and notes which have gone.
func (k *keeping) learn() {
	now := map[shoal.Dot]Record{}
	k.v.view(func(tx *Tx) error {
		for id, pos := range tx.Frontier() {
			b, err := tx.ReadAfter(id, 0, 1<<30)
			if pos.Seq == 0 {
				continue
			}
			must(k.w.t, err)
			for _, raw := range b.Records {
				seq, err := recordSeq(raw)
				must(k.w.t, err)
				dot := shoal.Dot{Journal: id, Seq: seq}
				now[dot] = k.openRecord(raw, dot)
			}
		}
		return nil
	})
	for dot, rec := range k.live {
		if _, still := now[dot]; !still {
			k.gone[dot] = goneRecord{rec, k.w.now}
		}
	}
	k.live = now
}

// openRecord reads a record with the keys of a device.
func (k *keeping) openRecord(raw []byte, dot shoal.Dot) (rec Record) {
	for _, d := range k.w.devices {
		d.view(func(tx *Tx) error {
			r, ok, err := tx.Record(dot)
			if ok {
				rec = r
			}
			return err
		})
	}
	if rec.Dot.IsZero() { // superseded everywhere by now
		if old, ok := k.live[dot]; ok {
			return old
		}
		clear, _, err := splitRecord(raw)
		must(k.w.t, err)
		c, _, err := decodeClear(clear)
		must(k.w.t, err)
		rec = Record{Dot: dot, Slot: c.slot, Epoch: c.epoch}
		for _, r := range c.refs {
			rec.Entry.Recipe = append(rec.Entry.Recipe, block.Ref{ID: r.ID, Size: 10})
		}
	}
	return rec
}

// fetch gives the vault some of what it lacks: reference nodes as devices make them, and blocks.
func (k *keeping) fetch(max int) {
	for range max {
		var lacks []Lack
		k.v.update(func(tx *Tx) error {
			for more := true; more; {
				var err error
				if more, err = tx.WorkNodes(3); err != nil {
					return err
				}
			}
			nodes, err := tx.LackingNodes(block.ID{}, 5)
			if err != nil {
				return err
			}
			blocks, err := tx.Lacking(block.EpochRef{}, 5)
			lacks = append(nodes, blocks...)
			return err
		})
		came := false
		for _, l := range lacks {
			if !l.Node {
				k.store[l.Block] = true
				k.v.update(func(tx *Tx) error {
					return tx.PutStored([]Stored{{Block: l.Block, Bytes: 50, From: k.w.devices[0].id.Device()}})
				})
				came = true
				continue
			}
			for _, d := range k.w.devices {
				var nodes [][]byte
				d.view(func(tx *Tx) (err error) { nodes, err = tx.RefTree(l.Record); return err })
				for _, data := range nodes {
					if blake3.Sum256(data) == [32]byte(l.Block.ID) {
						k.v.update(func(tx *Tx) error { return tx.PutNode([32]byte(l.Block.ID), data) })
						came = true
					}
				}
			}
		}
		if !came {
			return
		}
	}
}

// collect lets go of what is older than keepFor, as a vault does.
func (k *keeping) collect() {
	before := k.w.now.Add(-keepFor)
	k.v.update(func(tx *Tx) error {
		for more := true; more; {
			var err error
			if more, err = tx.LetGo(before, 2); err != nil {
				return err
			}
		}
		for more := true; more; {
			var err error
			if more, err = tx.WorkNodes(3); err != nil {
				return err
			}
		}
		refs, err := tx.BeginDrop(before, 1000)
		for _, r := range refs {
			delete(k.store, r)
		}
		if err == nil && rapid.Bool().Draw(k.T, "no crash") {
			err = tx.EndDrop(refs)
		}
		return err
	})
	k.compare()
}

// compare holds that what a live record needs is in the store or lacking, and that nothing was dropped which a record needs that was
// live less than keepFor ago.
func (k *keeping) compare() {
	k.v.view(func(tx *Tx) error {
		lacking := map[block.EpochRef]bool{}
		all, err := tx.Lacking(block.EpochRef{}, 1<<20)
		must(k.w.t, err)
		for _, l := range all {
			lacking[l.Block] = true
			if k.store[l.Block] {
				k.Fatalf("block %s is in the store and lacking", l.Block.ID.Short())
			}
		}
		kept, err := tx.Kept()
		must(k.w.t, err)
		for dot, rec := range k.live {
			_, replaced := k.replacer(dot)
			for _, r := range rec.Entry.refSet(rec.Epoch) {
				if !replaced && !k.store[r] && !lacking[r] && kept.Whole() {
					k.Fatalf("block %s of live record %s is neither here nor lacking", r.ID.Short(), dot)
				}
			}
		}
		for dot, g := range k.gone {
			if k.w.now.Sub(g.at) >= keepFor {
				continue
			}
			for _, r := range g.rec.Entry.refSet(g.rec.Epoch) {
				if d, err := tx.DemandFor(r); err == nil && d.Held && !k.store[r] {
					k.Fatalf("block %s of record %s, superseded a moment ago, counts as here and is not", r.ID.Short(), dot)
				}
			}
		}
		return nil
	})
}

// replacer tells whether a live record of another journal replaces one.
func (k *keeping) replacer(dot shoal.Dot) (by shoal.Dot, yes bool) {
	k.v.view(func(tx *Tx) error {
		j := tx.mustJournals().byID[dot.Journal]
		yes = j != nil && tx.replacedEntry(recordKey(j.number, dot.Seq)).count > 0
		return nil
	})
	return by, yes
}

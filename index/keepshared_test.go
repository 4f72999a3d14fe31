package index

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// sharedKeeperOf makes a vault of a world that shares its block store, with a database in a file.
func sharedKeeperOf(t *testing.T, w *world, path string) *device {
	t.Helper()
	v := keeperOf(t, w)
	db, err := Open(path, Options{Clock: w.clock, Rand: w.chance, NoSync: true})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	v.db = db
	v.f, err = db.Folder(w.folder, v.sharedConfig())
	must(t, err)
	return v
}

func (d *device) sharedConfig() FolderConfig {
	return FolderConfig{Mesh: d.world.mesh, Identity: d.id, Roster: func() *mesh.State { return d.state }, Keeper: true, Shared: true}
}

// lacks are the blocks that a vault lacks.
func (d *device) lacks(t *testing.T) (n int) {
	t.Helper()
	d.view(func(tx *Tx) error {
		all, err := tx.Lacking(block.EpochRef{}, 100)
		n = len(all)
		return err
	})
	return n
}

func TestABlockThatIsNeededAgainIsLookedForWhereOthersDelete(t *testing.T) {
	w := newWorld(t, "ann")
	a, v := w.devices[0], sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	x := block.Recipe{{ID: block.ID{1}, Size: 5}}
	epoch, _ := a.keys.Current()
	stored := []Stored{{Block: block.EpochRef{ID: block.ID{1}, Epoch: epoch.ID}, Bytes: 50}}
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: x})
	bring(t, a, v)
	v.update(func(tx *Tx) error { return tx.PutStored(stored) })
	a.write(Entry{Path: "y", Kind: shoal.KindFile, Recipe: x})
	bring(t, a, v)
	if n := v.lacks(t); n != 0 {
		t.Errorf("%d blocks lack that were needed all the time", n)
	}
	for _, p := range []shoal.Path{"x", "y"} {
		a.write(Entry{Path: p, Kind: shoal.KindTombstone})
	}
	bring(t, a, v)
	a.write(Entry{Path: "z", Kind: shoal.KindFile, Recipe: x})
	bring(t, a, v)
	if n := v.lacks(t); n != 1 {
		t.Errorf("%d blocks lack after one was needed again, want 1", n)
	}
	must(t, v.f.check(t.Context()))
	v.update(func(tx *Tx) error { return tx.PutStored(stored) })
	var counted []block.EpochRef
	v.view(func(tx *Tx) (err error) { counted, err = tx.Counted(block.EpochRef{}, 10); return err })
	if len(counted) != 1 || counted[0] != stored[0].Block || v.lacks(t) != 0 {
		t.Errorf("counted on: %v, %d lack", counted, v.lacks(t))
	}
	v.view(func(tx *Tx) (err error) { counted, err = tx.Counted(counted[0], 10); return err })
	if len(counted) != 0 {
		t.Errorf("counted on after the last: %v", counted)
	}
	must(t, v.f.check(t.Context()))
}

func TestWhatAnotherKeeperHadIsKeptBeside(t *testing.T) {
	w := newWorld(t, "ann")
	a := w.devices[0]
	early, late := sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db")), sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: block.ID{1}, Size: 5}}})
	bring(t, a, early)
	a.write(Entry{Path: "x", Kind: shoal.KindTombstone})
	bring(t, a, late)
	var first Batch
	early.view(func(tx *Tx) (err error) { first, err = tx.ReadAfter(journalOf(a), 0, 1<<20); return err })
	for range 2 { // the second time it is there
		late.update(func(tx *Tx) error { return tx.Retain(first.Journal, first.Records[0]) })
	}
	late.update(func(tx *Tx) error { return tx.Retain(first.Journal, mustReadRecords(t, a)[0]) }) // what is live stays live
	must(t, late.f.check(t.Context()))
	late.view(func(tx *Tx) error {
		kept, err := tx.Kept()
		if err != nil || kept.Retained != 1 || kept.Records != 1 || kept.Lacking != 0 {
			t.Errorf("kept %+v, %v", kept, err)
		}
		return nil
	})
	w.now = w.now.Add(time.Hour)
	late.update(func(tx *Tx) error { _, err := tx.LetGo(w.now, 10); return err })
	must(t, late.f.check(t.Context()))
	late.view(func(tx *Tx) error {
		if kept, err := tx.Kept(); err != nil || kept.Retained != 0 {
			t.Errorf("kept after the retention: %+v, %v", kept, err)
		}
		return nil
	})
	if err := late.f.Update(t.Context(), func(tx *Tx) error { return tx.Retain(first.Journal, []byte("no record")) }); !errors.Is(err, ErrMalformed) {
		t.Errorf("garbage: %v", err)
	}
}

func mustReadRecords(t *testing.T, d *device) (records [][]byte) {
	t.Helper()
	d.view(func(tx *Tx) error {
		b, err := tx.ReadAfter(journalOf(d), 0, 1<<20)
		records = b.Records
		return err
	})
	return records
}

// long is an entry of a file whose blocks stand in a tree.
func long(p shoal.Path) Entry {
	var r block.Recipe
	for i := range 200 {
		r = append(r, block.Ref{ID: block.ID(blake3.Sum256([]byte{2, byte(i)})), Size: 10})
	}
	return Entry{Path: p, Kind: shoal.KindFile, Recipe: r}
}

func TestNodesAreNotedUntilOthersWereTold(t *testing.T) {
	w := newWorld(t, "ann")
	a, v := w.devices[0], sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	a.write(long("x"))
	bring(t, a, v)
	put := func(told bool) (n int) {
		var nodes [][]byte
		a.view(func(tx *Tx) (err error) {
			nodes, err = tx.RefTree(shoal.Dot{Journal: journalOf(a), Seq: 1})
			return err
		})
		v.update(func(tx *Tx) error {
			for range nodes { // each brings the demand for those below
				for _, data := range nodes {
					if err := tx.putNode(blake3.Sum256(data), data, told); err != nil {
						return err
					}
				}
				if _, err := tx.WorkNodes(100); err != nil {
					return err
				}
			}
			return nil
		})
		return len(nodes)
	}
	n := put(false)
	put(false)
	var untold []UntoldNode
	v.view(func(tx *Tx) (err error) { untold, err = tx.UntoldNodes(1 << 20); return err })
	if len(untold) != n || n < 2 {
		t.Fatalf("%d nodes are noted, want %d", len(untold), n)
	}
	for i, u := range untold {
		if blake3.Sum256(u.Data) != u.Hash || i > 0 && bytes.Compare(untold[i-1].Key, u.Key) >= 0 {
			t.Error("a node is not itself, or out of order")
		}
	}
	v.update(func(tx *Tx) error { return tx.NodesTold([][]byte{untold[0].Key}) })
	v.view(func(tx *Tx) (err error) { untold, err = tx.UntoldNodes(1); return err })
	if len(untold) != 1 {
		t.Errorf("%d nodes where one fits", len(untold))
	}
	other := sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	bring(t, a, other)
	v = other
	put(true)
	v.view(func(tx *Tx) (err error) { untold, err = tx.UntoldNodes(1); return err })
	if len(untold) != 0 {
		t.Error("what others told is noted")
	}
	must(t, v.f.check(t.Context()))
}

func TestAStatusSaysNoMoreThanItsReach(t *testing.T) {
	w := newWorld(t, "ann")
	a, v := w.devices[0], sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	for _, p := range []shoal.Path{"x", "y", "z"} {
		a.write(Entry{Path: p, Kind: shoal.KindTombstone})
	}
	bring(t, a, v)
	j := journalOf(a)
	for _, c := range []struct {
		reach map[shoal.JournalID]shoal.Seq
		want  shoal.Seq
	}{{nil, 3}, {map[shoal.JournalID]shoal.Seq{}, 0}, {map[shoal.JournalID]shoal.Seq{j: 2}, 2}, {map[shoal.JournalID]shoal.Seq{j: 9}, 3}} {
		var raw []byte
		v.update(func(tx *Tx) (err error) {
			raw, err = tx.SignStatus(Standing{Complete: true, Reach: c.reach})
			return err
		})
		s, err := DecodeStatus(raw)
		if err != nil || s.Received[j] != c.want || s.Applied[j] != c.want {
			t.Errorf("with reach %v: received %d, applied %d, %v; want %d", c.reach, s.Received[j], s.Applied[j], err, c.want)
		}
	}
}

func TestADatabaseIsInheritedByAnotherDevice(t *testing.T) {
	w := newWorld(t, "ann")
	a, v := w.devices[0], sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: block.ID{1}, Size: 5}}})
	bring(t, a, v)
	must(t, v.db.PutNote("n", []byte("noted")))
	a.write(Entry{Path: "y", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: block.ID{2}, Size: 5}}})
	a.view(func(tx *Tx) error { // a transfer that does not end
		list, head, err := tx.Digests(journalOf(a))
		must(t, err)
		v.update(func(to *Tx) error {
			if _, err := to.Stage(journalOf(a), head, list); err != nil {
				return err
			}
			records, err := tx.Bucket(journalOf(a), 0)
			must(t, err)
			_, err = to.StageBucket(journalOf(a), 0, records)
			return err
		})
		return nil
	})
	var image bytes.Buffer
	_, err := v.db.WriteTo(&image)
	must(t, err)
	path := filepath.Join(t.TempDir(), "db")
	must(t, writeImage(path, image.Bytes()))
	w.now = w.now.Add(time.Minute)
	heir := keeperOf(t, w)
	heir.db, err = Open(path, Options{Clock: w.clock, Rand: w.chance, NoSync: true})
	must(t, err)
	defer heir.db.Close()
	must(t, heir.db.Inherit(t.Context(), heir.sharedConfig()))
	heir.f, err = heir.db.Folder(w.folder, heir.sharedConfig())
	must(t, err)
	if heir.db.Number() <= v.db.Number() {
		t.Error("the heir's statements are not newer")
	}
	if note, err := heir.db.Note("n"); err != nil || string(note) != "noted" {
		t.Errorf("note %q, %v", note, err)
	}
	if note, err := heir.db.Note("other"); err != nil || note != nil {
		t.Errorf("note that is not there: %q, %v", note, err)
	}
	heir.view(func(tx *Tx) error {
		if tx.Transferring() || tx.Frontier()[journalOf(a)].Seq != 1 {
			t.Error("the transfer goes on, or the frontier is another")
		}
		return nil
	})
	v.view(func(tx *Tx) error {
		if !tx.Transferring() {
			t.Error("the transfer is not under way where it was")
		}
		return nil
	})
	if heir.lacks(t) != 1 {
		t.Errorf("%d blocks lack", heir.lacks(t))
	}
	must(t, heir.f.check(t.Context()))
	if _, err := w.devices[0].db.WriteTo(&image); err == nil {
		t.Error("a database in memory was written")
	}
}

func writeImage(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }

func TestADoubtThatIsDroppedDoesNotCountByItselfWhereOthersDelete(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	a, v := w.devices[0], sharedKeeperOf(t, w, filepath.Join(t.TempDir(), "db"))
	epoch, _ := a.keys.Current()
	ref := block.EpochRef{ID: block.ID{1}, Epoch: epoch.ID}
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: ref.ID, Size: 5}}})
	bring(t, a, v)
	first, bob := [32]byte{1}, w.devices[1].id.Device()
	v.update(func(tx *Tx) error {
		return tx.PutStored([]Stored{{Block: ref, Sealed: first, Bytes: 50, From: a.id.Device()}})
	})
	v.update(func(tx *Tx) error { _, err := tx.DoubtCopy(ref, first, bob, [][32]byte{first}); return err })
	v.update(func(tx *Tx) error { _, err := tx.Forgive(bob, 10); return err })
	if n := v.lacks(t); n != 1 {
		t.Errorf("%d blocks lack after a doubt was dropped and nobody has pinned the copy, want 1", n)
	}
	other := [32]byte{2} // of another keeper
	v.update(func(tx *Tx) error { _, err := tx.DoubtCopy(ref, first, bob, [][32]byte{first, other}); return err })
	if n := v.lacks(t); n != 1 {
		t.Errorf("%d blocks lack with a copy of another keeper that nobody has pinned, want 1", n)
	}
	v.view(func(tx *Tx) error {
		copies, err := tx.KeptCopies(ref, [][32]byte{first, other})
		if err != nil || copies[0].From != a.id.Device() || !copies[0].Doubted() || copies[1].From != (shoal.DeviceID{}) {
			t.Errorf("copies are %+v, %v", copies, err)
		}
		return err
	})
	v.update(func(tx *Tx) error { return tx.PutStored([]Stored{{Block: ref, Bytes: 100, Found: true}}) })
	if n := v.lacks(t); n != 0 {
		t.Errorf("%d blocks lack after a copy was found and pinned", n)
	}
	v.update(func(tx *Tx) error { return tx.DropCopy(ref, [32]byte{}, nil) })
	must(t, v.f.check(t.Context()))
}

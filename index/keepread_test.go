package index

import (
	"bytes"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

func TestAKeeperPassesOnTheVeryBytes(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	v := keeperOf(t, w)
	a, b := w.devices[0], w.devices[1]
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Mode: 0o600, Recipe: block.Recipe{{ID: block.ID{1}, Size: 5}}}, Entry{Path: "d", Kind: shoal.KindFolder, Mode: 0o755})
	bring(t, a, v)
	bring(t, v, b)
	own := journalOf(a)
	if !bytes.Equal(mustRead(t, a, own), mustRead(t, b, own)) {
		t.Error("the records that came through the vault are others")
	}
	must(t, v.f.check(t.Context()))
	v.view(func(tx *Tx) error {
		problems, err := tx.Problems()
		if len(problems) > 0 {
			t.Errorf("a vault has problems with what it can't read: %v", problems)
		}
		return err
	})
}

func journalOf(d *device) (id shoal.JournalID) {
	d.view(func(tx *Tx) error { id, _ = tx.Own(); return nil })
	return id
}

func mustRead(t *testing.T, d *device, id shoal.JournalID) []byte {
	t.Helper()
	var b Batch
	d.view(func(tx *Tx) (err error) { b, err = tx.ReadAfter(id, 0, 1<<30); return err })
	return bytes.Join(append(b.Records, b.Head), nil)
}

// A device with valid keys supersedes, replaces and deletes all that it can. Nothing goes before the retention has passed, on the vault's clock.
func TestNothingThatADeviceWritesMakesAKeeperForgetSooner(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	v := keeperOf(t, w)
	a, thief := w.devices[0], w.devices[1]
	x, y := block.ID{1}, block.ID{2}
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: x, Size: 5}}})
	thief.write(Entry{Path: "y", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: y, Size: 5}}})
	bring(t, a, v)
	bring(t, thief, v)
	epoch, _ := a.keys.Current()
	v.update(func(tx *Tx) error {
		return tx.PutStored([]Stored{{Block: block.EpochRef{ID: x, Epoch: epoch.ID}, Bytes: 50}, {Block: block.EpochRef{ID: y, Epoch: epoch.ID}, Bytes: 50}})
	})
	// The thief deletes both: its own record is superseded, that of the other is replaced.
	bring(t, a, thief)
	var seen []Entry
	thief.view(func(tx *Tx) error {
		for _, p := range []shoal.Path{"x", "y"} {
			row, err := tx.row(p)
			must(t, err)
			rec, err := tx.loadRecord(row.live[0])
			must(t, err)
			seen = append(seen, Entry{Path: p, Kind: shoal.KindTombstone, Version: rec.Version()})
		}
		return nil
	})
	w.now = w.now.Add(time.Minute)
	deleted := w.now
	thief.write(seen...)
	bring(t, thief, v)
	must(t, v.f.check(t.Context()))
	collect := func(retention time.Duration) int {
		var refs []block.EpochRef
		v.update(func(tx *Tx) (err error) {
			if _, err = tx.LetGo(w.now.Add(-retention), 100); err != nil {
				return err
			}
			if refs, err = tx.BeginDrop(w.now.Add(-retention), 100); err != nil {
				return err
			}
			return tx.EndDrop(refs)
		})
		return len(refs)
	}
	const retention = time.Hour
	w.now = deleted.Add(retention - time.Second)
	if n := collect(retention); n != 0 {
		t.Fatalf("%d blocks were let go of before the retention had passed", n)
	}
	w.now = deleted.Add(retention + time.Second)
	if n := collect(retention); n != 2 {
		t.Errorf("%d blocks were let go of after the retention, want 2", n)
	}
	must(t, v.f.check(t.Context()))
}

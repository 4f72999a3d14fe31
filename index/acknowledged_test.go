package index

import (
	"context"
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// acks returns how many journals a vault acknowledged, by what a device knows, and how far the first goes.
func (d *device) acknowledged(v *device) (at map[shoal.JournalID]shoal.Seq) {
	d.world.t.Helper()
	d.view(func(tx *Tx) error {
		a, _, err := tx.Acknowledged(v.id.Device())
		at = a.Applied
		return err
	})
	return at
}

func (d *device) lapses(v *device, session map[shoal.JournalID]shoal.Seq) (out []Lapse) {
	d.world.t.Helper()
	d.view(func(tx *Tx) (err error) {
		out, err = tx.Lapses(v.id.Device(), session)
		return err
	})
	return out
}

// vaultHas makes a vault say that it has everything that another device has now.
func vaultHas(t *testing.T, v, from *device) []byte {
	t.Helper()
	v.pull(from)
	v.update(func(tx *Tx) error {
		lacking, err := tx.Lacking(block.EpochRef{}, 1000)
		if err != nil {
			return err
		}
		var have []Stored
		for _, l := range lacking {
			have = append(have, Stored{Block: l.Block, Bytes: 100, From: from.id.Device()})
		}
		return tx.PutStored(have)
	})
	return v.signStatus(true)
}

// vaultWorld is a mesh of two devices and a vault, in which the first device has written.
func vaultWorld(t *testing.T) (w *world, a, b, v *device, dot shoal.Dot) {
	t.Helper()
	w = newWorld(t, "a", "b")
	v = keeperOf(t, w)
	a, b = w.devices[0], w.devices[1]
	return w, a, b, v, a.write(a.file("x", "one"), a.file("y", "two"))[1]
}

func TestTheHighestThatAVaultAcknowledgedIsKept(t *testing.T) {
	_, a, _, v, dot := vaultWorld(t)
	first := vaultHas(t, v, a)
	if _, err := a.putStatus(v, first); err != nil {
		t.Fatal(err)
	}
	if at := a.acknowledged(v); at[dot.Journal] != dot.Seq {
		t.Fatalf("acknowledged %v, want %d", at, dot.Seq)
	}
	a.write(a.file("z", "three"))
	behind := v.signStatus(true) // it does not know of z: honest, and no lapse
	if _, err := a.putStatus(v, behind); err != nil {
		t.Fatal(err)
	}
	if l := a.lapses(v, nil); len(l) != 0 {
		t.Errorf("a vault that is behind has lapses %v", l)
	}
	if _, err := a.putStatus(v, vaultHas(t, v, a)); err != nil {
		t.Fatal(err)
	}
	if at := a.acknowledged(v); at[dot.Journal] != dot.Seq+1 {
		t.Errorf("acknowledged %v, want %d", at, dot.Seq+1)
	}
	a.check()
}

func TestAVaultThatShowsLessThanItSignedHasALapse(t *testing.T) {
	w, a, _, v, dot := vaultWorld(t)
	_, err := a.putStatus(v, vaultHas(t, v, a))
	must(t, err)
	// In a session it shows an older state.
	want := Lapse{Journal: dot.Journal, Acknowledged: dot.Seq, Shown: 1}
	if l := a.lapses(v, map[shoal.JournalID]shoal.Seq{dot.Journal: 1}); len(l) != 1 || l[0] != want {
		t.Errorf("lapses %v, want %v", l, want)
	}
	// It is made anew, and signs less.
	w.now = w.now.Add(1e9)
	v.db = OpenMemory(Options{Clock: w.clock, Rand: w.chance})
	v.f, err = v.db.Folder(w.folder, FolderConfig{Mesh: w.mesh, Identity: v.id, Roster: v.f.config.Load().Roster, Keeper: true})
	must(t, err)
	_, err = a.putStatus(v, v.signStatus(true))
	must(t, err)
	if l := a.lapses(v, nil); len(l) != 1 || l[0].Shown != 0 {
		t.Fatalf("lapses %v", l)
	}
	a.update(func(tx *Tx) error { return tx.KeepLapse(v.id.Device()) })
	a.view(func(tx *Tx) error {
		proofs, err := tx.LapseProofs()
		if err != nil || len(proofs) != 1 {
			t.Fatalf("proofs %v, %v", proofs, err)
		}
		before, err := DecodeStatus(proofs[0].Acknowledged) // both are signed
		must(t, err)
		after, err := DecodeStatus(proofs[0].Shown)
		must(t, err)
		if before.Applied[dot.Journal] != dot.Seq || after.Received[dot.Journal] != 0 {
			t.Errorf("the proof says %v and %v", before.Applied, after.Received)
		}
		return nil
	})
	a.check()
	// It has everything back: no lapse, and the proof stays.
	_, err = a.putStatus(v, vaultHas(t, v, a))
	must(t, err)
	if l := a.lapses(v, nil); len(l) != 0 {
		t.Errorf("lapses %v after everything came back", l)
	}
}

// A vault shows one device a newer state than another. What the first heard is older by its number, and says more.
func TestAVaultWithTwoFacesHasALapse(t *testing.T) {
	w, a, b, v, dot := vaultWorld(t)
	face := v.db.Clone(Options{Clock: w.clock, Rand: w.chance})
	toB := vaultHas(t, v, a)
	f, err := face.Folder(w.folder, FolderConfig{Mesh: w.mesh, Identity: v.id, Roster: v.f.config.Load().Roster, Keeper: true})
	must(t, err)
	hidden := &device{world: w, id: v.id, db: face, f: f}
	for range 5 {
		hidden.signStatus(true)
	}
	toA := hidden.signStatus(true)
	for _, d := range []*device{a, b} {
		for _, raw := range [][]byte{toA, toB} { // whichever comes first
			if _, err := d.putStatus(v, raw); err != nil {
				t.Fatal(err)
			}
		}
		if l := d.lapses(v, nil); len(l) != 1 || l[0].Acknowledged != dot.Seq || l[0].Shown != 0 {
			t.Errorf("lapses %v", l)
		}
		d.check()
	}
	// A forged one proves nothing.
	forged := append([]byte(nil), toB...)
	forged[len(forged)-1] ^= 1
	c := newWorld(t, "c").devices[0]
	if _, err := c.putStatus(v, forged); err == nil {
		t.Error("a forged status was taken")
	}
}

func TestAVaultNeedNotKeepWhatTheRosterCutOff(t *testing.T) {
	w, a, b, v, _ := vaultWorld(t)
	dot := b.write(b.file("p", "one"), b.file("q", "two"))[1]
	a.pull(b)
	_, err := a.putStatus(v, vaultHas(t, v, a))
	must(t, err)
	if at := a.acknowledged(v); at[dot.Journal] != dot.Seq {
		t.Fatalf("acknowledged %v", at)
	}
	must(t, w.roster.Revoke(a.id, b.id.Device(), nil, w.now, w.chance))
	w.refresh()
	v.state = w.roster.State()
	if l := a.lapses(v, map[shoal.JournalID]shoal.Seq{}); len(l) != 1 || l[0].Journal == dot.Journal {
		t.Errorf("lapses %v: what was cut off is asked of the vault", l)
	}
}

// prove advances the proofs of a device and tells whether all is proved.
func (d *device) prove(v *device) (all bool) {
	d.world.t.Helper()
	d.update(func(tx *Tx) error {
		if _, _, err := tx.AdvanceProofs(v.id.Device(), 1000); err != nil {
			return err
		}
		var err error
		all, err = tx.Proved(v.id.Device())
		return err
	})
	return all
}

func (d *device) blocksOf(dots ...shoal.Dot) (out []block.EpochRef) {
	d.world.t.Helper()
	d.view(func(tx *Tx) error {
		for _, dot := range dots {
			rec, ok, err := tx.Record(dot)
			if err != nil || !ok {
				return errors.Join(err, ErrNotFound)
			}
			out = append(out, rec.Entry.refSet(rec.Epoch)...)
		}
		return nil
	})
	return out
}

func TestWhatAVaultSaysIsNoProof(t *testing.T) {
	_, a, _, v, dot := vaultWorld(t)
	first := shoal.Dot{Journal: dot.Journal, Seq: dot.Seq - 1}
	_, err := a.putStatus(v, vaultHas(t, v, a))
	must(t, err)
	if a.prove(v) {
		t.Fatal("all is proved because the vault says so")
	}
	a.update(func(tx *Tx) error { return tx.Prove(v.id.Device(), a.blocksOf(first)) })
	if a.prove(v) {
		t.Fatal("all is proved because one block of two is")
	}
	a.view(func(tx *Tx) error {
		list, err := tx.Unproved(v.id.Device(), 10)
		if err != nil || len(list) != 1 || list[0].Block != a.blocksOf(dot)[0] || list[0].Record != dot || list[0].Size != 100 {
			t.Errorf("unproved %+v, %v", list, err)
		}
		return nil
	})
	a.update(func(tx *Tx) error { return tx.Prove(v.id.Device(), a.blocksOf(dot)) })
	if !a.prove(v) {
		t.Fatal("both were given to the vault, and that is no proof")
	}
	a.write(a.file("copy of x", "one")) // nothing new: the same block
	if !a.prove(v) {
		t.Error("a block that is there already is asked for again")
	}
	a.check()
}

func TestWhatAnotherDeviceSignedIsProof(t *testing.T) {
	_, a, b, v, dot := vaultWorld(t)
	a.update(func(tx *Tx) error {
		return tx.Prove(v.id.Device(), a.blocksOf(dot, shoal.Dot{Journal: dot.Journal, Seq: dot.Seq - 1}))
	})
	if !a.prove(v) {
		t.Fatal("not proved where it was uploaded")
	}
	b.pull(a)
	if b.prove(v) {
		t.Fatal("proved to somebody who was told nothing")
	}
	_, err := b.putStatus(a, a.signStatus(true))
	must(t, err)
	if !b.prove(v) {
		t.Fatal("what another device signed is no proof")
	}
	b.signStatus(true)
	if s, _ := b.status(b); len(s.Proofs) != 0 {
		t.Errorf("b signs what it did not see: %v", s.Proofs)
	}
	a.check()
	b.check()
}

func TestTheWordOfARevokedDeviceProvesNothing(t *testing.T) {
	w, a, b, v, _ := vaultWorld(t)
	b.pull(a)
	b.update(func(tx *Tx) error {
		for j, pos := range tx.Frontier() {
			for seq := range pos.Seq {
				if err := tx.Prove(v.id.Device(), b.blocksOf(shoal.Dot{Journal: j, Seq: seq + 1})); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if !b.prove(v) {
		t.Fatal("not proved where it was opened")
	}
	_, err := a.putStatus(b, b.signStatus(true))
	must(t, err)
	if !a.prove(v) {
		t.Fatal("what another device signed is no proof")
	}
	must(t, w.roster.Revoke(a.id, b.id.Device(), nil, w.now, w.chance))
	w.refresh()
	a.update(func(tx *Tx) error { _, err := tx.ApplyCuts(); return err })
	if a.prove(v) {
		t.Error("the word of a revoked device is still proof")
	}
	a.check()
}

func TestASpoiledCopyTakesTheProofBack(t *testing.T) {
	_, a, _, v, dot := vaultWorld(t)
	blocks := a.blocksOf(shoal.Dot{Journal: dot.Journal, Seq: dot.Seq - 1}, dot)
	vault := v.id.Device()
	a.update(func(tx *Tx) error { return tx.Prove(vault, blocks) })
	if !a.prove(v) {
		t.Fatal("not proved")
	}
	a.update(func(tx *Tx) error {
		news, err := tx.Spoil(SpoiledCopy{Vault: vault, Block: blocks[0], Size: 100, Record: dot})
		if !news {
			t.Error("a spoiled copy is no news")
		}
		return err
	})
	if a.prove(v) {
		t.Fatal("a copy that did not open is proved")
	}
	a.update(func(tx *Tx) error { return tx.Prove(vault, blocks) }) // given to the vault once more: it may go on serving the other
	if a.prove(v) {
		t.Fatal("a copy that did not open is proved by another upload")
	}
	a.update(func(tx *Tx) error {
		list, err := tx.SpoiledCopies(10)
		if len(list) != 1 || list[0].Block != blocks[0] || list[0].Record != dot {
			t.Errorf("spoiled %+v", list)
		}
		if err == nil {
			_, err = tx.Mend(vault, blocks[0])
		}
		return err
	})
	if !a.prove(v) {
		t.Error("not proved after a good copy came")
	}
	must(t, a.db.Check(context.Background()))
}

func TestProofsOfWhatStandsNowhereAreSweptOut(t *testing.T) {
	_, a, _, v, dot := vaultWorld(t)
	vault := v.id.Device()
	a.apply()
	stays, goes := a.blocksOf(dot)[0], block.EpochRef{ID: a.recipe("gone", 1)[0].ID, Epoch: a.blocksOf(dot)[0].Epoch}
	a.update(func(tx *Tx) error { return tx.Prove(vault, []block.EpochRef{stays, goes}) })
	a.update(func(tx *Tx) error {
		var next []byte
		for n := 0; ; n++ {
			var err error
			if next, err = tx.SweepProofs(next, 1); err != nil || next == nil {
				if n < 2 {
					t.Errorf("%d steps of one place each", n)
				}
				return err
			}
		}
	})
	a.view(func(tx *Tx) error {
		if !tx.ProvedAt(vault, stays) || tx.ProvedAt(vault, goes) {
			t.Errorf("kept %v, swept %v", tx.ProvedAt(vault, stays), !tx.ProvedAt(vault, goes))
		}
		return nil
	})
	a.check()
}

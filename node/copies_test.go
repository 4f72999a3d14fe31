package node

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// copyWorld is a device with two files of a block each, and a vault that says that it has everything. A second one does not count as one of the others yet.
type copyWorld struct {
	t      *testing.T
	folder *index.Folder
	others []mesh.Device
	vault  shoal.DeviceID
	second mesh.Device
	kept   map[shoal.DeviceID]*index.Folder
	blocks []block.EpochRef
	dots   []shoal.Dot
}

func newCopyWorld(t *testing.T) *copyWorld {
	t.Helper()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	phrase, err := mesh.NewPhrase(make([]byte, 32))
	try(err)
	root, err := mesh.RootFromPhrase(phrase)
	try(err)
	me, err := mesh.NewIdentity(rand.Reader)
	try(err)
	vera, err := mesh.NewIdentity(rand.Reader)
	try(err)
	victor, err := mesh.NewIdentity(rand.Reader)
	try(err)
	roster, err := mesh.Create(root, me, "anna", rand.Reader, now)
	try(err)
	id, err := roster.AddFolder(me, "docs", now, rand.Reader)
	try(err)
	try(roster.Admit(me, vera.Device(), vera.HPKEPublic(), "vera", mesh.RoleVault, now))
	try(roster.Admit(me, victor.Device(), victor.HPKEPublic(), "victor", mesh.RoleVault, now))
	keys, err := roster.FolderKeys(me, id)
	try(err)
	state := roster.State()
	mine, err := index.OpenMemory(index.Options{}).Folder(id, index.FolderConfig{Mesh: roster.Mesh(), Identity: me,
		Keys: func() *mesh.FolderKeys { return keys }, Roster: func() *mesh.State { return state }})
	try(err)

	w := &copyWorld{t: t, folder: mine, vault: vera.Device(), kept: map[shoal.DeviceID]*index.Folder{}}
	for _, vault := range []*mesh.Identity{vera, victor} {
		w.kept[vault.Device()], err = index.OpenMemory(index.Options{}).Folder(id, index.FolderConfig{Mesh: roster.Mesh(), Identity: vault,
			Roster: func() *mesh.State { return state }, Keeper: true})
		try(err)
	}
	for _, d := range state.Devices() {
		switch d.ID {
		case victor.Device():
			w.second = d
		case vera.Device():
			w.others = append(w.others, d)
		}
	}
	names := blockKeys(keys)
	epoch, _ := keys.Current()
	var drafts []index.Entry
	for _, content := range []string{"one", "two"} {
		b := block.Ref{ID: names.ID([]byte(content)), Size: 3}
		w.blocks = append(w.blocks, block.EpochRef{ID: b.ID, Epoch: epoch.ID})
		drafts = append(drafts, index.Entry{Path: shoal.Path(content), Kind: shoal.KindFile, Mode: 0o644, Recipe: block.Recipe{b}})
	}
	w.update(func(tx *index.Tx) (err error) {
		if err = tx.OpenJournal(); err == nil {
			w.dots, err = tx.Append(drafts)
		}
		return err
	})
	var batch index.Batch
	try(mine.View(func(tx *index.Tx) (err error) {
		batch, err = tx.ReadAfter(w.dots[0].Journal, 0, 1<<20)
		return err
	}))
	for vault, kept := range w.kept {
		try(kept.Update(t.Context(), func(tx *index.Tx) error {
			if _, err := tx.Accept(batch); err != nil {
				return err
			}
			for _, b := range w.blocks {
				if err := tx.PutStored([]index.Stored{{Block: b, Bytes: 100}}); err != nil {
					return err
				}
			}
			return nil
		}))
		w.says(vault, index.StoreID{})
	}
	return w
}

// says has a vault say that it has everything, and where.
func (w *copyWorld) says(vault shoal.DeviceID, in index.StoreID) {
	w.t.Helper()
	var said []byte
	if err := w.kept[vault].Update(w.t.Context(), func(tx *index.Tx) (err error) {
		said, err = tx.SignStatus(index.Standing{Complete: true, Store: in})
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	w.update(func(tx *index.Tx) error { _, err := tx.PutStatus(vault, said); return err })
}

func (w *copyWorld) update(fn func(*index.Tx) error) {
	w.t.Helper()
	if err := w.folder.Update(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// are fails when the copies at others of the first block, and then of all, are not so many.
func (w *copyWorld) are(when string, proved, claimed, provedOfAll int) {
	w.t.Helper()
	w.update(func(tx *index.Tx) error {
		if _, _, err := tx.AdvanceProofs(w.vault, 100); err != nil {
			return err
		}
		p, c, err := copiesOfOne(tx, w.others, w.blocks[0])
		if err != nil {
			return err
		}
		all, _, err := copiesOfAll(tx, w.others)
		if p != proved || c != claimed || all != provedOfAll {
			w.t.Errorf("%s: %d copies of the block proved, %d claimed, %d of all proved; want %d, %d, %d", when, p, c, all, proved, claimed, provedOfAll)
		}
		return err
	})
}

// What may be dropped on this disk is what others are proved to hold: Copies tells that apart from what they say.
func TestCopiesOfABlockAreProvedOrClaimed(t *testing.T) {
	w := newCopyWorld(t)
	w.are("the vault says that it has it", 0, 1, 0)
	w.update(func(tx *index.Tx) error { return tx.Prove(w.vault, w.blocks[1:]) })
	w.are("another block was given to it", 0, 1, 0)
	w.update(func(tx *index.Tx) error { return tx.Prove(w.vault, w.blocks[:1]) })
	w.are("this one too", 1, 1, 1)
	w.update(func(tx *index.Tx) error {
		_, err := tx.Spoil(index.SpoiledCopy{Vault: w.vault, Block: w.blocks[1], Size: 3, Record: w.dots[1]})
		return err
	})
	w.are("the other did not open", 1, 1, 0)
	w.update(func(tx *index.Tx) error {
		_, err := tx.Spoil(index.SpoiledCopy{Vault: w.vault, Block: w.blocks[0], Size: 3, Record: w.dots[0]})
		return err
	})
	w.are("nor did this one", 0, 1, 0)
}

// Two vaults that keep their copies in one place have one copy: if that place is lost, so are both.
func TestVaultsThatShareAStoreHaveOneCopy(t *testing.T) {
	w := newCopyWorld(t)
	w.others = append(w.others, w.second)
	bucket := index.StoreID{1}
	prove := func(vault shoal.DeviceID) {
		w.update(func(tx *index.Tx) error {
			if err := tx.Prove(vault, w.blocks); err != nil {
				return err
			}
			_, _, err := tx.AdvanceProofs(vault, 100)
			return err
		})
	}
	w.are("each has a store of its own", 0, 2, 0)
	w.says(w.vault, bucket)
	w.are("one tells of a store", 0, 2, 0)
	w.says(w.second.ID, index.StoreID{2})
	w.are("the other of another", 0, 2, 0)
	prove(w.vault)
	w.are("copies of one are proved", 1, 2, 1)
	prove(w.second.ID)
	w.are("copies of both are proved", 2, 2, 2)
	w.says(w.second.ID, bucket)
	w.are("both keep them in one store", 1, 1, 1)
	w.update(func(tx *index.Tx) error {
		_, err := tx.Spoil(index.SpoiledCopy{Vault: w.second.ID, Block: w.blocks[0], Size: 3, Record: w.dots[0]})
		return err
	})
	w.are("a copy that came from there did not open, whoever sent it", 0, 1, 1)
}

// A revocation that a vault has heard of before this device looks like a lapse until the roster came: what is over soon is not told.
func TestOnlyALapseThatLastsIsTold(t *testing.T) {
	v := newVaultWatch()
	key, at := lapseKey{}, time.Unix(1_800_000_000, 0)
	step := func(after time.Duration, now bool) (tell, over bool) {
		at = at.Add(after)
		tell, over, _ = v.lapsed(key, "it lacks something", now, at)
		return tell, over
	}
	for i, s := range []struct {
		after      time.Duration
		now        bool
		tell, over bool
	}{
		{0, true, false, false},
		{lapseGrace / 2, true, false, false},
		{time.Second, false, false, false}, // it was never told, so its end is not either
		{time.Second, true, false, false},
		{lapseGrace, true, true, false},
		{time.Second, true, false, false}, // once
		{time.Second, false, false, true},
		{time.Second, false, false, false},
	} {
		if tell, over := step(s.after, s.now); tell != s.tell || over != s.over {
			t.Errorf("step %d: tell %v, over %v", i, tell, over)
		}
	}
}

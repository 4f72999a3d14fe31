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

// copyWorld is a device with two files of a block each, and a vault that says that it has everything.
type copyWorld struct {
	t      *testing.T
	folder *index.Folder
	others []mesh.Device
	vault  shoal.DeviceID
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
	roster, err := mesh.Create(root, me, "anna", rand.Reader, now)
	try(err)
	id, err := roster.AddFolder(me, "docs", now, rand.Reader)
	try(err)
	try(roster.Admit(me, vera.Device(), vera.HPKEPublic(), "vera", mesh.RoleVault, now))
	keys, err := roster.FolderKeys(me, id)
	try(err)
	state := roster.State()
	mine, err := index.OpenMemory(index.Options{}).Folder(id, index.FolderConfig{Mesh: roster.Mesh(), Identity: me,
		Keys: func() *mesh.FolderKeys { return keys }, Roster: func() *mesh.State { return state }})
	try(err)
	kept, err := index.OpenMemory(index.Options{}).Folder(id, index.FolderConfig{Mesh: roster.Mesh(), Identity: vera,
		Roster: func() *mesh.State { return state }, Keeper: true})
	try(err)

	w := &copyWorld{t: t, folder: mine, vault: vera.Device()}
	for _, d := range state.Devices() {
		if d.ID != me.Device() {
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
	var said []byte
	try(kept.Update(t.Context(), func(tx *index.Tx) error {
		if _, err := tx.Accept(batch); err != nil {
			return err
		}
		for _, b := range w.blocks {
			if err := tx.PutStored([]index.Stored{{Block: b, Bytes: 100}}); err != nil {
				return err
			}
		}
		said, err = tx.SignStatus(index.Standing{Complete: true})
		return err
	}))
	w.update(func(tx *index.Tx) error { _, err := tx.PutStatus(w.vault, said); return err })
	return w
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

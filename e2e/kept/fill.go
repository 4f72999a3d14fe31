package kept

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/packstore"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/rosterfile"
)

// Filling says what a data folder is filled with.
type Filling struct {
	Blocks    int           // of 100 bytes each
	PerRecord int           // blocks of one record
	Deleted   int           // of the records; their files were deleted when they were written
	Age       time.Duration // of all of it
}

const (
	fillPage  = 2000   // records in one transaction
	storePage = 50_000 // blocks in one
)

// filler makes a vault's data folder by the ways by which records and blocks come, without a network.
type filler struct {
	Filling
	owner  *mesh.Identity
	folder shoal.FolderID
	epoch  shoal.EpochID
	roster *mesh.Roster
	writer *index.Folder // of the owner
	vault  *index.Folder
	packs  *packstore.Store
	now    time.Time
	refs   []index.Stored
}

// Fill makes the data folder of a vault, which must exist and be empty, of a mesh with one owner who is nowhere. It is durable only when the system
// has written it.
func Fill(ctx context.Context, data string, what Filling) (err error) {
	f := &filler{Filling: what, now: time.Now().Add(-what.Age)}
	state, id, err := f.makeMesh(data)
	if err != nil {
		return err
	}
	options := index.Options{Clock: func() time.Time { return f.now }, NoSync: true}
	db, err := index.Open(filepath.Join(data, "index.db"), options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Sync(), db.Close()) }()
	keys, err := f.roster.FolderKeys(f.owner, f.folder)
	if err != nil {
		return err
	}
	current, _ := keys.Current()
	f.epoch = current.ID
	config := index.FolderConfig{Mesh: f.roster.Mesh(), Identity: id, Roster: func() *mesh.State { return state }, Keeper: true}
	if f.vault, err = db.Folder(f.folder, config); err != nil {
		return err
	}
	config.Identity, config.Keeper, config.Keys = f.owner, false, func() *mesh.FolderKeys { return keys }
	if f.writer, err = index.OpenMemory(options).Folder(f.folder, config); err != nil {
		return err
	}
	if f.packs, err = packstore.Open(ctx, packstore.Config{Dir: filepath.Join(data, "packs"), Rand: rand.Reader, Batch: storePage}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.packs.Close()) }()
	return f.fill(ctx)
}

// makeMesh makes a mesh with a folder and this vault.
func (f *filler) makeMesh(data string) (*mesh.State, *mesh.Identity, error) {
	id, err := mesh.NewIdentity(rand.Reader)
	if err == nil {
		f.owner, err = mesh.NewIdentity(rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	phrase, err := mesh.NewPhrase(make([]byte, 32))
	if err != nil {
		return nil, nil, err
	}
	root, err := mesh.RootFromPhrase(phrase)
	if err != nil {
		return nil, nil, err
	}
	if f.roster, err = mesh.Create(root, f.owner, "owner", rand.Reader, f.now); err != nil {
		return nil, nil, err
	}
	if f.folder, err = f.roster.AddFolder(f.owner, "much", f.now, rand.Reader); err != nil {
		return nil, nil, err
	}
	if err := f.roster.Admit(f.owner, id.Device(), id.HPKEPublic(), "vault", mesh.RoleVault, f.now); err != nil {
		return nil, nil, err
	}
	state := f.roster.State()
	file, err := rosterfile.Open(filepath.Join(data, "roster"), id, nil)
	if err != nil {
		return nil, nil, err
	}
	return state, id, errors.Join(id.Save(filepath.Join(data, "device.key")), file.Replace(f.roster), file.Close())
}

func (f *filler) fill(ctx context.Context) error {
	records := f.Blocks / f.PerRecord
	for at := 0; at < records; at += fillPage {
		if err := f.write(ctx, at, min(at+fillPage, records)); err != nil {
			return err
		}
		if len(f.refs) >= storePage {
			if err := f.store(ctx); err != nil {
				return err
			}
		}
	}
	return f.store(ctx)
}

// write records files, and deletes some of them, and brings both to the vault.
func (f *filler) write(ctx context.Context, from, to int) error {
	var files, deletions []index.Entry
	for n := from; n < to; n++ {
		p := shoal.Path(fmt.Sprintf("%04d/%04d", n/1000, n%1000))
		e := index.Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644}
		for i := range f.PerRecord {
			id := block.ID(blake3.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n*f.PerRecord+i))))
			e.Recipe = append(e.Recipe, block.Ref{ID: id, Size: 100})
			f.refs = append(f.refs, index.Stored{Block: block.EpochRef{ID: id, Epoch: f.epoch}, From: f.owner.Device()})
		}
		if files = append(files, e); n < f.Deleted {
			deletions = append(deletions, index.Entry{Path: p, Kind: shoal.KindTombstone})
		}
	}
	for _, entries := range [][]index.Entry{files, deletions} {
		if len(entries) == 0 {
			continue
		}
		if err := f.writer.Update(ctx, func(tx *index.Tx) error {
			if _, open := tx.Own(); !open {
				if err := tx.OpenJournal(); err != nil {
					return err
				}
			}
			_, err := tx.Append(entries)
			return err
		}); err != nil {
			return err
		}
		if err := f.bring(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bring brings the vault what it does not have of the journal.
func (f *filler) bring(ctx context.Context) error {
	var b index.Batch
	if err := f.writer.View(func(tx *index.Tx) error {
		id, _ := tx.Own()
		var have shoal.Seq
		err := f.vault.View(func(to *index.Tx) error { have = to.Frontier()[id].Seq; return nil })
		if err == nil {
			b, err = tx.ReadAfter(id, have, 1<<30)
		}
		return err
	}); err != nil {
		return err
	}
	return f.vault.Update(ctx, func(tx *index.Tx) error { _, err := tx.Accept(b); return err })
}

// store puts what the records name into the packs, and notes it.
func (f *filler) store(ctx context.Context) error {
	for i := range f.refs {
		sealed := make([]byte, 100)
		if _, err := rand.Read(sealed); err != nil {
			return err
		}
		s := &f.refs[i]
		s.Sealed, s.Bytes = block.SealedHash(sealed), len(sealed)
		if err := f.packs.Put(ctx, block.Key{Folder: f.folder, Epoch: f.epoch, ID: s.Block.ID, Sealed: s.Sealed}, sealed); err != nil {
			return err
		}
	}
	if err := f.packs.Sync(ctx); err != nil {
		return err
	}
	err := f.vault.Update(ctx, func(tx *index.Tx) error { return tx.PutStored(f.refs) })
	f.refs = f.refs[:0]
	return err
}

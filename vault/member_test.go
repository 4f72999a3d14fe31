package vault

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// member is a device that is up: it gives its records and blocks.
type member struct {
	m       *fakeMesh
	id      *mesh.Identity
	db      *index.DB
	f       *index.Folder
	content map[block.ID][]byte
	give    func(w blockexchange.Want) []byte // what it answers instead; nil: what it has, sealed anew
	asked   int                               // how often it was asked for a block
	away    bool
	had     *mesh.FolderKeys
	sees    *mesh.State // the roster as it has it; nil: as all see it
}

func (d *member) open() {
	d.m.t.Helper()
	var err error
	d.f, err = d.db.Folder(d.m.folder, index.FolderConfig{
		Mesh: d.m.roster.Mesh(), Identity: d.id,
		Roster: func() *mesh.State {
			if d.sees != nil {
				return d.sees
			}
			return d.m.State()
		},
		Keys: d.keys,
	})
	d.m.must(err)
}

// clone is the same device as an image of it would be, with a copy of its database.
func (d *member) clone() *member {
	c := &member{m: d.m, id: d.id, db: d.db.Clone(index.Options{}), content: d.content}
	c.open()
	return c
}

func (d *member) answer(w blockexchange.Want) []byte {
	d.asked++
	switch content := d.content[w.Block]; {
	case d.give != nil:
		return d.give(w)
	case w.Node:
		return d.node(w)
	case content == nil:
		return nil
	default:
		return d.seal(w, content)
	}
}

func (d *member) keys() *mesh.FolderKeys {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if d.sees == nil { // else it has those of before
		keys, err := d.m.roster.FolderKeys(d.id, d.m.folder)
		d.m.must(err)
		d.had = keys
	}
	return d.had
}

func (d *member) seal(w blockexchange.Want, content []byte) []byte {
	epoch, ok := d.keys().Epoch(w.Epoch)
	if !ok {
		return nil
	}
	sealed, err := block.Seal(nil, epoch.Seal, w.Epoch, w.Block, content, block.Off, rand.Reader)
	d.m.must(err)
	return sealed
}

func (d *member) node(w blockexchange.Want) (node []byte) {
	d.view(func(tx *index.Tx) error {
		nodes, err := tx.RefTree(w.Hint.Record)
		for _, n := range nodes {
			if block.SealedHash(n) == [32]byte(w.Block) {
				node = n
			}
		}
		return err
	})
	return node
}

func (d *member) view(fn func(*index.Tx) error) {
	d.m.t.Helper()
	d.m.must(d.f.View(fn))
}

func (d *member) update(fn func(*index.Tx) error) {
	d.m.t.Helper()
	d.m.must(d.f.Update(context.Background(), fn))
}

// write records a file of some blocks, and returns what it needs. No blocks: a deletion.
func (d *member) write(p shoal.Path, contents ...string) []block.EpochRef {
	d.m.t.Helper()
	keys := d.keys()
	epoch, _ := keys.Current()
	named := block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}
	e := index.Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644}
	if len(contents) == 0 {
		e = index.Entry{Path: p, Kind: shoal.KindTombstone}
	}
	var refs []block.EpochRef
	for _, c := range contents {
		id := named.ID([]byte(c))
		d.content[id] = []byte(c)
		e.Recipe = append(e.Recipe, block.Ref{ID: id, Size: uint32(len(c))})
		refs = append(refs, block.EpochRef{ID: id, Epoch: epoch.ID})
	}
	if len(e.Recipe) > block.InlineRecipe {
		parts, ids := named.SplitRecipe(e.Recipe)
		for i := range parts {
			d.content[ids[i].ID] = parts[i]
			refs = append(refs, block.EpochRef{ID: ids[i].ID, Epoch: epoch.ID})
		}
	}
	d.update(func(tx *index.Tx) error {
		if s, err := tx.Desired(p); err != nil {
			return err
		} else if s != nil {
			e.Version, e.Replaced = s.Version, s.Content
		}
		if _, open := tx.Own(); !open {
			if err := tx.OpenJournal(); err != nil {
				return err
			}
		}
		_, err := tx.Append([]index.Entry{e})
		return err
	})
	return refs
}

// tell brings a member's records to a vault.
func (d *member) tell(v *fakeVault) error {
	return errors.Join(d.bring(v.index()), func() error { v.tenant.RecordsCame(d.m.folder); return nil }())
}

func (d *member) bring(to *index.Folder) error {
	var batches []index.Batch
	d.view(func(tx *index.Tx) error {
		for id, pos := range tx.Frontier() {
			if pos.Seq == 0 {
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
	var errs []error
	for _, b := range batches {
		errs = append(errs, to.Update(context.Background(), func(tx *index.Tx) error {
			_, err := tx.Accept(b)
			if errors.Is(err, index.ErrGap) || errors.Is(err, index.ErrOwnJournal) {
				return nil
			}
			return err
		}))
	}
	return errors.Join(errs...)
}

// opens tells whether a copy is the block.
func (d *member) opens(ref block.EpochRef, sealed []byte) bool {
	keys := d.keys()
	epoch, ok := keys.Epoch(ref.Epoch)
	if !ok {
		return false
	}
	_, err := block.Open(nil, epoch.Seal, ref.Epoch, &block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}, ref.ID, sealed)
	return err == nil
}

// read fetches a block from a vault as a member does: what does not open it reports, and asks again. It returns whether it got the block.
func (d *member) read(v *fakeVault, ref block.EpochRef) bool {
	refused := map[[32]byte]bool{}
	for range 16 {
		sealed, err := v.tenant.Sealed(context.Background(), blockexchange.Want{Folder: d.m.folder, Block: ref.ID, Epoch: ref.Epoch},
			func(h [32]byte) bool { return refused[h] })
		if err != nil {
			return false
		}
		if d.opens(ref, sealed) {
			return true
		}
		refused[block.SealedHash(sealed)] = true
		d.doubt(v, ref, block.SealedHash(sealed))
	}
	return false
}

func (d *member) doubt(v *fakeVault, ref block.EpochRef, sealed [32]byte) {
	v.tenant.Doubted(context.Background(), d.id.Device(), d.m.folder, ref, sealed)
}

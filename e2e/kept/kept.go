// Package kept reads a copy of a vault's data folder while no vault runs on it, and holds it against what the vault has said that it has: the index
// must be sound, and every block of every record that was acknowledged must lie in the packs, its bytes as they came.
//
// It knows the layout of the folder (docs/vault.md) and nothing of how the vault works.
package kept

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/packstore"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/rosterfile"
)

// Found is what a data folder has.
type Found struct {
	// Have is how far the journals go, acknowledged or not, and Needs what their records need, those that were superseded included.
	Have  map[shoal.JournalID]shoal.Seq
	Needs []index.Need

	// Said is the frontier that the vault's newest statement calls applied; nil when it does not call itself complete.
	Said    map[shoal.JournalID]shoal.Seq
	Records int // live ones that were acknowledged
	Blocks  int // of them, each counted once
}

// Asked are the records that need something, and the blocks that they need, each once.
func (f *Found) Asked() (records []shoal.Dot, blocks []block.EpochRef) {
	seen, needed := map[shoal.Dot]bool{}, map[block.EpochRef]bool{}
	for _, n := range f.Needs {
		if !seen[n.Record] {
			seen[n.Record] = true
			records = append(records, n.Record)
		}
		if !n.Node && !needed[n.Block] {
			needed[n.Block] = true
			blocks = append(blocks, n.Block)
		}
	}
	return records, blocks
}

// Memory is what earlier looks at the same vault have found: each copy of the blocks of all records, live or not, and the records that need them. As
// long as no retention passes, they stay. Make one with NewMemory.
type Memory struct {
	// Renewed says that honest devices were there since the last look: a doubted copy may have gone for another that they gave.
	Renewed bool

	copies  map[block.Key][][32]byte // sealed hashes
	records map[shoal.Dot]bool
}

// NewMemory is that of nothing.
func NewMemory() Memory {
	return Memory{copies: map[block.Key][][32]byte{}, records: map[shoal.Dot]bool{}}
}

var errNoNode = errors.New("a reference node is missing")

// maxSeq is the greatest seq (docs/formats/record.md).
const maxSeq = 1<<48 - 1

// maxFaults bounds how many faults are named.
const maxFaults = 20

// Check reads the data folder of a vault and holds that what it acknowledged is there: acked, and what its own last statement says; and that what was there
// before still is. It mends what a start of the vault would mend, so give it a copy.
func Check(ctx context.Context, data string, acked map[shoal.JournalID]shoal.Seq, before Memory) (found Found, err error) {
	id, err := mesh.LoadIdentity(filepath.Join(data, "device.key"))
	if err != nil {
		return found, err
	}
	db, err := index.Open(filepath.Join(data, "index.db"), index.Options{})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	packs, err := packstore.Open(ctx, packstore.Config{Dir: filepath.Join(data, "packs"), Rand: rand.Reader})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, packs.Close()) }()
	roster, err := rosterfile.Open(filepath.Join(data, "roster"), id, nil)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, roster.Close()) }()
	nobody := mesh.NewRoster().State() // what is read does not depend on who is in the mesh
	folders, err := db.Folders()
	if err != nil {
		return found, err
	}
	c := &checker{roster: roster.State(), packs: packs, before: before, needed: map[block.Key]bool{}, records: map[shoal.Dot]bool{}}
	for _, f := range folders {
		folder, err := db.Folder(f, index.FolderConfig{Keeper: true, Identity: id, Roster: func() *mesh.State { return nobody }})
		if err != nil {
			return found, err
		}
		if err := folder.View(func(tx *index.Tx) error { return c.folder(ctx, tx, f, id.Device(), acked, &found) }); err != nil {
			return found, err
		}
	}
	found.Records, found.Blocks = len(c.records), len(c.needed)
	return found, errors.Join(append(c.faults, db.Check(ctx), packs.Check(ctx))...)
}

type checker struct {
	roster  *mesh.State
	packs   *packstore.Store
	before  Memory
	needed  map[block.Key]bool
	records map[shoal.Dot]bool
	faults  []error
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

func (c *checker) folder(ctx context.Context, tx *index.Tx, id shoal.FolderID, vault shoal.DeviceID, acked map[shoal.JournalID]shoal.Seq, f *Found) error {
	upTo := map[shoal.JournalID]shoal.Seq{}
	for j, seq := range acked {
		upTo[j] = seq
	}
	st, known, err := tx.Status(vault)
	if err != nil {
		return err
	}
	if known && st.Complete {
		f.Said = st.Applied
		for j, seq := range st.Applied {
			upTo[j] = max(upTo[j], seq)
		}
	}
	have := tx.Frontier()
	for j, seq := range upTo {
		if cut, _, is := c.roster.Cut(id, j); is { // nobody need have what a revocation cut off
			seq = min(seq, cut)
			upTo[j] = seq
		}
		if have[j].Seq < seq {
			c.fault("journal %s was acknowledged up to %d, and reaches %d", j, seq, have[j].Seq)
		}
	}
	f.Have = map[shoal.JournalID]shoal.Seq{}
	all := map[shoal.JournalID]shoal.Seq{} // what a revocation has cut off is beyond the end of its journal, and kept
	for j, pos := range have {
		f.Have[j], all[j] = pos.Seq, maxSeq
	}
	for d := range c.before.records {
		all[d.Journal] = maxSeq
	}
	now := NewMemory()
	if err := tx.EachNeed(all, func(n index.Need) error {
		k := block.Key{Folder: id, Epoch: n.Block.Epoch, ID: n.Block.ID}
		err := errNoNode
		if !n.Node {
			_, err = c.packs.Get(ctx, k) // checks the bytes against their hash
		}
		f.Needs = append(f.Needs, n)
		now.records[n.Record] = true
		if _, seen := now.copies[k]; !seen && err == nil {
			if now.copies[k], err = c.packs.Copies(ctx, k); err != nil {
				return err
			}
		}
		if n.Live && n.Record.Seq <= upTo[n.Record.Journal] {
			c.records[n.Record], c.needed[k] = true, true
			if err != nil {
				c.fault("record %s was acknowledged: %w", n.Record, err)
			}
		}
		return ctx.Err()
	}); err != nil {
		return err
	}
	c.remember(id, now)
	return nil
}

// remember holds what a folder has now against what it had, and notes it.
func (c *checker) remember(id shoal.FolderID, now Memory) {
	for k, copies := range c.before.copies {
		for _, sealed := range copies {
			renewed := c.before.Renewed && slices.ContainsFunc(now.copies[k], func(s [32]byte) bool { return !slices.Contains(copies, s) })
			if k.Folder == id && !renewed && !slices.Contains(now.copies[k], sealed) {
				c.fault("block %s: a copy was there before, and is gone", k.ID.Short())
			}
		}
	}
	for d := range c.before.records {
		if !now.records[d] {
			c.fault("record %s was there before, and is gone", d)
		}
	}
	maps.Copy(c.before.copies, now.copies)
	maps.Copy(c.before.records, now.records)
}

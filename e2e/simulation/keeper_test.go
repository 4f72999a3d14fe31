package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault"
)

// keeper is a vault of a simulated mesh: a real tenant on an index and a store in memory. It is at one end of links as a device is, of which it has
// only the name, the identity and the exchange.
type keeper struct {
	w      *world
	end    *device
	db     *index.DB
	tenant *vault.Tenant
	packs  *memPacks
	saved  []byte // the tenant's settings
	chance *rand.ChaCha8
	up     time.Duration // running time
}

// memPacks is a store in memory that also knows its copies, and counts.
type memPacks struct {
	*blocktest.Mem
	put, deleted int
}

func (m *memPacks) Put(ctx context.Context, k block.Key, sealed []byte) error {
	m.put++
	return m.Mem.Put(ctx, k, sealed)
}

func (m *memPacks) Delete(ctx context.Context, k block.Key) error {
	m.deleted++
	return m.Mem.Delete(ctx, k)
}

// Copies implements vault.Packs. Every copy of a simulated vault is asked for as "any".
func (m *memPacks) Copies(ctx context.Context, k block.Key) ([][32]byte, error) {
	sealed, err := m.Get(ctx, k)
	if errors.Is(err, block.ErrNotFound) {
		return nil, nil
	}
	return [][32]byte{block.SealedHash(sealed)}, err
}

// Keys implements vault.Packs.
func (m *memPacks) Keys(ctx context.Context, fn func(block.Key, int) error) error {
	keys := m.Mem.Keys()
	slices.SortFunc(keys, func(a, b block.Key) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, k := range keys {
		sealed, err := m.Get(ctx, k)
		if err != nil {
			return err
		}
		k.Sealed = block.SealedHash(sealed)
		if err := fn(k, len(sealed)); err != nil {
			return err
		}
	}
	return nil
}

func (m *memPacks) Compact(context.Context, float64) (int64, error) { return 0, nil }

func (m *memPacks) Scrub(context.Context, func(block.Key, error) error) error { return nil }

var _ vault.Packs = (*memPacks)(nil)

// newKeeper admits a vault to the family's mesh and starts it. What nothing live needs it keeps for retention.
func newKeeper(w *world, i int, retention time.Duration) (*keeper, error) {
	k := &keeper{w: w, packs: &memPacks{Mem: blocktest.NewMem()}, chance: rand.NewChaCha8([32]byte{2, byte(i), byte(w.seed)})}
	id, err := mesh.NewIdentity(k.chance)
	if err != nil {
		return nil, err
	}
	k.end = &device{w: w, name: fmt.Sprintf("vault%d", i), id: id, keeper: k}
	when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := w.fam.roster.Admit(w.fam.ids[0], id.Device(), id.HPKEPublic(), k.end.name, mesh.RoleVault, when); err != nil {
		return nil, err
	}
	k.saved = fmt.Appendf(nil, `{"policy":{"minimum":%d,"retention":%d}}`, retention, retention)
	k.db = index.OpenMemory(index.Options{Clock: k.clock, Rand: k.chance})
	return k, k.start()
}

func (k *keeper) clock() time.Time { return k.w.now }

// start builds what a fresh process has.
func (k *keeper) start() error {
	settings, err := vault.NewSettings(k.saved, time.Hour, func(raw []byte) error { k.saved = slices.Clone(raw); return nil })
	if err != nil {
		return err
	}
	k.end.core = nil
	k.tenant, err = vault.New(vault.Config{
		Mesh: k.w.fam.roster.Mesh(), Identity: k.end.id, Roster: k.w.fam.roster.State, DB: k.db, Packs: k.packs,
		Fetcher: func() vault.Fetcher { return k }, Changed: func(shoal.FolderID) { k.refresh() },
		Settings: settings, Clock: k.clock, Elapsed: func() time.Duration { return k.up },
	})
	if err != nil {
		return err
	}
	k.end.core = indexexchange.NewCore(indexexchange.Config{
		Device: k.end.id.Device(), Folders: k.tenant, Roster: fixedRoster{k.w.fam.roster}, Clock: k.clock, Standing: k.tenant.Standing,
		Effects: indexexchange.Effects{Status: func(f shoal.FolderID, _ shoal.DeviceID) {
			if k.tenant.Young(f) {
				k.refresh()
			}
		}},
	})
	k.refresh()
	return nil
}

func (k *keeper) refresh() {
	if k.end.core == nil {
		return
	}
	if err := k.end.core.Refresh(k.w.fam.folder); err != nil {
		panic(err)
	}
}

// restart turns its power off: what was not durable is gone.
func (k *keeper) restart() error {
	k.w.trace("%s: power off", k.end.name)
	k.end.cutLinks()
	k.packs.Crash()
	k.db = k.db.Crash()
	return k.start()
}

// NowHave implements vault.Fetcher.
func (k *keeper) NowHave(shoal.FolderID, []block.ID) {}

// FetchSealed implements vault.Fetcher: whoever is connected and has something seals it, or gives it as it keeps it.
func (k *keeper) FetchSealed(ctx context.Context, wants []blockexchange.Want, deliver func(blockexchange.Want, shoal.DeviceID, []byte) error) error {
	for _, want := range wants {
		for _, l := range k.w.links {
			other := l.other(k.end)
			if other == nil || !l.up {
				continue
			}
			sealed, ok := other.sealed(ctx, want)
			if !ok {
				continue
			}
			if err := deliver(want, other.id.Device(), sealed); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// sealed is what a device or a vault gives to a vault.
func (d *device) sealed(ctx context.Context, want blockexchange.Want) ([]byte, bool) {
	if d.keeper != nil {
		sealed, err := d.keeper.tenant.Sealed(ctx, want, func([32]byte) bool { return false })
		return sealed, err == nil
	}
	if want.Node {
		return d.refNode(want)
	}
	plain, err := d.eng.Block(ctx, folder.Want{Block: want.Block, Epoch: want.Epoch, Record: want.Hint.Record}, make([]byte, block.MaxSize))
	if err != nil {
		return nil, false
	}
	key, err := d.sealKey(want.Epoch)
	if err != nil {
		return nil, false
	}
	chance := rand.NewChaCha8([32]byte{3, byte(d.w.r.Uint32()), byte(d.w.r.Uint32()), byte(d.w.r.Uint32()), byte(d.w.r.Uint32())})
	sealed, err := block.Seal(nil, key, want.Epoch, want.Block, plain, block.Off, chance)
	return sealed, err == nil
}

func (d *device) refNode(want blockexchange.Want) (found []byte, ok bool) {
	_ = d.idx.View(func(tx *index.Tx) error {
		nodes, err := tx.RefTree(want.Hint.Record)
		for _, n := range nodes {
			if block.SealedHash(n) == [32]byte(want.Block) { // the plain hash names a node, too
				found, ok = n, true
			}
		}
		return err
	})
	return found, ok
}

func (d *device) sealKey(epoch shoal.EpochID) (block.SealKey, error) {
	keys, _, err := d.w.fam.keys(d.i)
	if err != nil {
		return block.SealKey{}, err
	}
	ep, ok := keys.Epoch(epoch)
	if !ok {
		return block.SealKey{}, fmt.Errorf("epoch %s: %w", epoch, block.ErrNotFound)
	}
	return block.SealKey(ep.Seal), nil
}

// give opens for d what the vault keeps of a block.
func (k *keeper) give(d *device, want folder.Want) ([]byte, bool) {
	sealed, err := k.tenant.Sealed(k.w.ctx, blockexchange.Want{Folder: k.w.fam.folder, Block: want.Block, Epoch: want.Epoch}, func([32]byte) bool { return false })
	if err != nil {
		return nil, false
	}
	key, err := d.sealKey(want.Epoch)
	if err != nil {
		return nil, false
	}
	_, bk, err := k.w.fam.keys(d.i)
	if err != nil {
		return nil, false
	}
	plain, err := block.Open(nil, key, want.Epoch, &bk, want.Block, sealed)
	if err != nil {
		panic(fmt.Sprintf("%s: block %s does not open: %v", k.end.name, want.Block.Short(), err))
	}
	return plain, true
}

// check holds what must be true of a vault at rest: sound, everything that is live here, and no journal shorter than a device's.
func (k *keeper) check(d *device) error {
	if err := k.db.Check(k.w.ctx); err != nil {
		return fmt.Errorf("index of %s: %w", k.end.name, err)
	}
	f, ok := k.tenant.Folder(k.w.fam.folder)
	if !ok {
		return fmt.Errorf("%s has no folder", k.end.name)
	}
	return errors.Join(f.View(func(tx *index.Tx) error {
		kept, err := tx.Kept()
		if err == nil && !kept.Whole() {
			err = fmt.Errorf("%s lacks %d blocks", k.end.name, kept.Lacking)
		}
		return err
	}), k.covers(f, d), k.holds(d))
}

// covers tells whether a vault has of every journal as much as a device.
func (k *keeper) covers(f indexexchange.Folder, d *device) error {
	return f.View(func(tx *index.Tx) error {
		mine := tx.Frontier()
		return d.idx.View(func(of *index.Tx) error {
			for j, pos := range of.Frontier() {
				if mine[j].Seq < pos.Seq {
					return fmt.Errorf("%s has journal %s up to %d, %s up to %d", k.end.name, j, mine[j].Seq, d.name, pos.Seq)
				}
			}
			return nil
		})
	})
}

// holds opens from the vault every block of what a device is to show.
func (k *keeper) holds(d *device) error {
	return d.idx.View(func(tx *index.Tx) error {
		return tx.Walk("", func(r index.Row) error {
			want, err := tx.Desired(r.Path)
			if err != nil || want == nil {
				return err
			}
			for _, ref := range want.Recipe {
				if _, ok := k.give(d, folder.Want{Block: ref.ID, Size: ref.Size, Epoch: want.Epoch}); !ok {
					return fmt.Errorf("%s does not give block %s of %q", k.end.name, ref.ID.Short(), r.Path)
				}
			}
			return nil
		})
	})
}

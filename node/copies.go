package node

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// proofStep is how many records one transaction moves proofs on by.
const proofStep = 5000

// copies counts who holds every block of a folder, this device included if it does. Devices sign for their own disks. Of vaults, which can't open what they
// keep, proved counts those whose copies are known to be good, claimed also those that only say so.
func (n *Node) copies(tx *index.Tx, selfComplete bool) (proved, claimed int, err error) {
	proved, claimed, err = copiesOfAll(tx, n.others())
	if selfComplete {
		proved, claimed = proved+1, claimed+1
	}
	return proved, claimed, err
}

func copiesOfAll(tx *index.Tx, others []mesh.Device) (proved, claimed int, err error) {
	return countCopies(tx, others, tx.Proved)
}

// countCopies counts the others that have everything. good tells whether the copies of a vault that says so are proved.
func countCopies(tx *index.Tx, others []mesh.Device, good func(vault shoal.DeviceID) (bool, error)) (proved, claimed int, err error) {
	stores := map[index.StoreID]bool{} // true: what is in it is proved; vaults that share a store have one copy
	for _, d := range others {
		if owed := behind(tx, d.ID); owed != nil {
			continue
		}
		is, store := true, index.StoreID{}
		if d.Role == mesh.RoleVault {
			if is, err = good(d.ID); err != nil {
				return 0, 0, err
			}
			if store, err = storeOf(tx, d.ID); err != nil {
				return 0, 0, err
			}
		}
		if store != (index.StoreID{}) {
			stores[store] = stores[store] || is
			continue
		}
		claimed++
		if is {
			proved++
		}
	}
	for _, is := range stores {
		claimed++
		if is {
			proved++
		}
	}
	return proved, claimed, nil
}

// storeOf is where a vault says that it keeps its copies.
func storeOf(tx *index.Tx, vault shoal.DeviceID) (index.StoreID, error) {
	st, _, err := tx.Status(vault)
	return st.Store, err
}

// Copies counts the others that hold one block of a folder on this disk: what may be dropped here is what others are proved to hold. claimed counts
// vaults that only say so, too; nobody may drop anything because of those.
func (n *Node) Copies(ctx context.Context, id shoal.FolderID, b block.EpochRef) (proved, claimed int, err error) {
	f := n.folder(id)
	if f == nil {
		return 0, 0, fmt.Errorf("folder %s: %w", id, index.ErrNotFound)
	}
	if _, err := n.settleProofs(ctx, f); err != nil {
		return 0, 0, err
	}
	err = f.index.View(func(tx *index.Tx) error {
		proved, claimed, err = copiesOfOne(tx, n.others(), b)
		return err
	})
	return proved, claimed, err
}

// copiesOfOne is copiesOfAll for one block, which may be proved to be where not all are.
func copiesOfOne(tx *index.Tx, others []mesh.Device, b block.EpochRef) (proved, claimed int, err error) {
	spoiled, err := tx.SpoiledCopies(1 << 30)
	if err != nil {
		return 0, 0, err
	}
	return countCopies(tx, others, func(vault shoal.DeviceID) (bool, error) {
		good, err := tx.Proved(vault)
		if err != nil {
			return false, err
		}
		good = good || tx.ProvedAt(vault, b)
		mine, err := storeOf(tx, vault)
		if err != nil {
			return false, err
		}
		for _, s := range spoiled {
			if s.Block != b {
				continue
			}
			its, err := storeOf(tx, s.Vault)
			if err != nil {
				return false, err
			}
			good = good && s.Vault != vault && (its == index.StoreID{} || its != mine)
		}
		return good, nil
	})
}

// settleProofs writes down what was found out about copies in a folder, and moves on how far all are proved. It tells whether there is more to look at
// than it had time for.
func (n *Node) settleProofs(ctx context.Context, f *folderRun) (more bool, err error) {
	vaults := n.vaultsNow()
	found := n.vaults.take(f.id)
	if len(vaults) == 0 {
		return false, nil
	}
	if !found.empty() {
		if err := n.noteFound(ctx, f, found); err != nil {
			return false, err
		}
	}
	grew := false
	for _, v := range vaults {
		can := false
		if err := f.index.View(func(tx *index.Tx) (err error) {
			can, err = tx.CanAdvance(v.ID)
			return err
		}); err != nil {
			return false, ignoreNoKey(err)
		}
		if !can {
			continue
		}
		err := f.index.Update(ctx, func(tx *index.Tx) error {
			g, m, err := tx.AdvanceProofs(v.ID, proofStep)
			grew, more = grew || g, more || m
			return err
		})
		if err != nil {
			return more, ignoreNoKey(err)
		}
	}
	if grew {
		n.exchange.Notify(f.id) // the status says so
	}
	return more, nil
}

// noteFound writes down what was found out about copies.
func (n *Node) noteFound(ctx context.Context, f *folderRun, found found) error {
	var spoiled []index.SpoiledCopy
	err := f.index.Update(ctx, func(tx *index.Tx) error {
		spoiled = nil
		for vault, blocks := range found.proved {
			if err := tx.Prove(vault, blocks); err != nil {
				return err
			}
		}
		for _, s := range found.spoiled {
			news, err := tx.Spoil(s)
			if err != nil {
				return err
			}
			if news {
				spoiled = append(spoiled, s)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the copies of vaults in folder %s: %w", f.id, err)
	}
	for _, s := range spoiled {
		n.event(control.Event{Kind: control.EventProblem, Folder: f.name(), Device: n.deviceName(s.Vault), Path: n.pathOf(f, s.Record),
			Message: "has no good copy of a block of this file, although it says that it has it. It was told, and a good one is fetched to stand beside it."})
	}
	return nil
}

// pathOf is the path of a record; empty when that is not known (any more).
func (n *Node) pathOf(f *folderRun, dot shoal.Dot) (p control.Path) {
	_ = f.index.View(func(tx *index.Tx) error { // without a path the event is as true
		if rec, ok, err := tx.Record(dot); err == nil && ok {
			p = control.Path(rec.Entry.Path)
		}
		return nil
	})
	return p
}

// maxSpoiledShown bounds the spoiled copies of a folder that are listed.
const maxSpoiledShown = 100

// spoiledCopies lists the copies of vaults that did not open and are not mended.
func (n *Node) spoiledCopies(tx *index.Tx, folder string) ([]control.Problem, error) {
	list, err := tx.SpoiledCopies(maxSpoiledShown)
	var out []control.Problem
	for _, s := range list {
		p := control.Problem{Folder: folder, Kind: "copy", Since: time.Unix(0, s.Since),
			Message: "The vault " + n.deviceName(s.Vault) + " has no good copy of a block of this file, although it says that it has it. It was told; its copies of this folder do not count until it shows a good one."}
		if rec, ok, err := tx.Record(s.Record); err == nil && ok {
			p.Path = control.Path(rec.Entry.Path)
		}
		out = append(out, p)
	}
	return out, err
}

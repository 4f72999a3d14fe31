package node

import (
	"context"
	"errors"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// An audit asks a vault for blocks only to see whether it has them: for those whose copy did not open, until one does, and for those of which nobody has
// shown that the vault has them although it says so (this device's database was lost, or who uploaded them is not in the mesh any more).

// Bounds and times of audits.
const (
	auditAfter  = 10 * time.Second // the word of others may still be on its way
	auditBlocks = 64               // in one step
	auditDaily  = 1 << 30          // bytes fetched from one vault in 24 hours for blocks that it only claims; spoiled ones come on top
	mendFirst   = 10 * time.Second
	mendLast    = time.Hour
)

// audits is when what was asked, and is to be asked next. It belongs to one goroutine.
type audits struct {
	claims map[lapseKey]time.Time               // since when a vault claims what is not proved
	budget map[shoal.DeviceID]*auditBudget      // of this day
	mends  map[shoal.DeviceID]map[block.ID]mend // spoiled copies
}

type auditBudget struct {
	day   time.Time
	spent int64
}

type mend struct {
	next  time.Time
	pause time.Duration
}

func newAudits() audits {
	return audits{claims: map[lapseKey]time.Time{}, budget: map[shoal.DeviceID]*auditBudget{}, mends: map[shoal.DeviceID]map[block.ID]mend{}}
}

// audit does what is due at one vault. It tells whether there is more to do soon.
func (n *Node) audit(ctx context.Context, f *folderRun, vault mesh.Device) (unsettled bool, err error) {
	if !n.connectedTo(vault.ID) {
		return false, nil
	}
	var spoiled []index.SpoiledCopy
	var unproved []index.Unproved
	err = f.index.View(func(tx *index.Tx) error {
		list, err := tx.SpoiledCopies(1000)
		for _, s := range list {
			if s.Vault == vault.ID {
				spoiled = append(spoiled, s)
			}
		}
		if err != nil || behind(tx, vault.ID) != nil || len(spoiled) > 0 {
			return err
		}
		unproved, err = tx.Unproved(vault.ID, auditBlocks)
		return err
	})
	if err != nil {
		return false, ignoreNoKey(err)
	}
	key, now := lapseKey{vault.ID, f.id}, time.Now()
	if len(unproved) == 0 {
		delete(n.vaults.audits.claims, key)
	} else if n.vaults.audits.claims[key].IsZero() {
		n.vaults.audits.claims[key] = now
	}
	if len(spoiled) > 0 {
		return true, n.mendCopies(ctx, f, vault, spoiled, now)
	}
	if len(unproved) == 0 {
		return false, nil
	}
	if now.Sub(n.vaults.audits.claims[key]) < auditAfter {
		return true, nil
	}
	wants := n.vaults.audits.afford(vault.ID, unproved, f.id, now)
	return true, n.probe(ctx, f, vault, wants)
}

// afford returns the wants that the day's budget allows.
func (a *audits) afford(vault shoal.DeviceID, list []index.Unproved, f shoal.FolderID, now time.Time) (wants []blockexchange.Want) {
	b := a.budget[vault]
	if b == nil || now.Sub(b.day) > 24*time.Hour {
		b = &auditBudget{day: now}
		a.budget[vault] = b
	}
	for _, u := range list {
		if b.spent+int64(u.Size) > auditDaily {
			break
		}
		b.spent += int64(u.Size)
		wants = append(wants, blockexchange.Want{Folder: f, Block: u.Block.ID, Epoch: u.Block.Epoch, Size: u.Size,
			Hint: blockexchange.Hint{Record: u.Record, Index: u.Index, Part: u.Part}})
	}
	return wants
}

// probe asks for blocks that a vault claims. One that it does not give, or that does not open, is spoiled.
func (n *Node) probe(ctx context.Context, f *folderRun, vault mesh.Device, wants []blockexchange.Want) error {
	if len(wants) == 0 {
		return nil
	}
	err := n.blocks.Probe(ctx, vault.ID, wants, func(w blockexchange.Want, bad error) error {
		if bad == nil {
			n.vaults.provedAt(vault.ID, w)
		} else {
			n.vaults.spoiledAt(vault.ID, w)
		}
		return nil
	})
	return n.probed(f, err)
}

// probed ends a probe: a vault that went away is asked another time.
func (n *Node) probed(f *folderRun, err error) error {
	if err != nil && !errors.Is(err, index.ErrNoKey) {
		n.log.Debug("probe a vault", "folder", f.id, "err", err)
	}
	return nil
}

// mendCopies asks again for copies that did not open, later and later.
func (n *Node) mendCopies(ctx context.Context, f *folderRun, vault mesh.Device, spoiled []index.SpoiledCopy, now time.Time) error {
	due := n.vaults.audits.due(vault.ID, spoiled, now)
	var wants []blockexchange.Want
	for _, s := range due {
		live := false
		if err := f.index.View(func(tx *index.Tx) error {
			_, ok, err := tx.Record(s.Record)
			live = ok
			return err
		}); err != nil {
			return err
		}
		if !live { // nobody needs it any more
			if err := f.index.Update(ctx, func(tx *index.Tx) error { return tx.ForgetSpoiled(vault.ID, s.Block) }); err != nil {
				return err
			}
			continue
		}
		wants = append(wants, blockexchange.Want{Folder: f.id, Block: s.Block.ID, Epoch: s.Block.Epoch, Size: s.Size,
			Hint: blockexchange.Hint{Record: s.Record, Index: s.Index, Part: s.Part}})
	}
	if len(wants) == 0 {
		return nil
	}
	err := n.blocks.Probe(ctx, vault.ID, wants, func(w blockexchange.Want, bad error) error {
		if bad != nil {
			return nil
		}
		return n.mended(ctx, f, vault, w)
	})
	return n.probed(f, err)
}

// mended notes that a vault has a good copy of what was spoiled.
func (n *Node) mended(ctx context.Context, f *folderRun, vault mesh.Device, w blockexchange.Want) error {
	news := false
	err := f.index.Update(ctx, func(tx *index.Tx) (err error) {
		news, err = tx.Mend(vault.ID, block.EpochRef{ID: w.Block, Epoch: w.Epoch})
		return err
	})
	if err == nil && news {
		n.event(control.Event{Kind: control.EventSolved, Folder: f.name(), Device: vault.Name, Path: n.pathOf(f, w.Hint.Record),
			Message: "has a good copy of the block now."})
		n.vaults.rouse()
	}
	return err
}

// due returns the spoiled copies that are to be asked for again now, and forgets those that are not spoiled any more.
func (a *audits) due(vault shoal.DeviceID, spoiled []index.SpoiledCopy, now time.Time) (due []index.SpoiledCopy) {
	was, is := a.mends[vault], make(map[block.ID]mend, len(spoiled))
	for _, s := range spoiled {
		m, known := was[s.Block.ID]
		switch {
		case !known:
			m = mend{next: now.Add(mendFirst), pause: mendFirst}
		case !now.Before(m.next) && len(due) < auditBlocks:
			due = append(due, s)
			m.pause = min(2*m.pause, mendLast)
			m.next = now.Add(m.pause)
		}
		is[s.Block.ID] = m
	}
	a.mends[vault] = is
	return due
}

func (n *Node) connectedTo(dev shoal.DeviceID) bool {
	for _, p := range n.host.Peers() {
		if p.Device == dev {
			return true
		}
	}
	return false
}

package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// Bounds and times of looking at vaults.
const (
	maxFound     = 100_000         // proved blocks that wait to be written down; more are forgotten, and asked for again in time
	vaultPause   = time.Second     // between two looks
	vaultRetry   = 5 * time.Second // while something is not settled
	lieShown     = time.Hour       // how long it is shown that a device gave what was not what its name says
	sweepProofs  = 24 * time.Hour
	sweepPerStep = 10_000 // places
)

// vaultWatch is what this device finds out about the copies of others, and about vaults that show less than they acknowledged. Safe for concurrent
// use.
type vaultWatch struct {
	wake chan struct{} // depth 1: something was found

	mu     sync.Mutex
	found  map[shoal.FolderID]*found    // guarded by mu; not written down yet
	queued int                          // guarded by mu; blocks in found
	lapses map[lapseKey]*lapse          // guarded by mu
	lies   map[shoal.DeviceID]time.Time // guarded by mu; devices, not vaults, and when they gave something false last
	swept  time.Time                    // the watcher's; when proofs were swept last, or the start
	audits audits                       // the watcher's
}

// found is what was found out about the copies of vaults in one folder.
type found struct {
	proved  map[shoal.DeviceID][]block.EpochRef
	spoiled []index.SpoiledCopy
}

func (f *found) empty() bool { return len(f.proved) == 0 && len(f.spoiled) == 0 }

func newVaultWatch() vaultWatch {
	return vaultWatch{
		wake: make(chan struct{}, 1), found: map[shoal.FolderID]*found{}, lapses: map[lapseKey]*lapse{}, lies: map[shoal.DeviceID]time.Time{},
		swept: time.Now(), audits: newAudits(),
	}
}

func (v *vaultWatch) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// effects takes in what the block exchange finds out.
func (v *vaultWatch) effects(n *Node) blockexchange.Effects {
	return blockexchange.Effects{
		Proved: v.provedAt,
		Spoiled: func(dev shoal.DeviceID, w blockexchange.Want) {
			if n.isVault(dev) {
				v.spoiledAt(dev, w)
			} else if v.lied(dev) {
				n.event(control.Event{Kind: control.EventProblem, Device: n.deviceName(dev),
					Message: "gave a block that is not what its name says. It is fetched from somebody else."})
			}
		},
		LeftOut: func(dev shoal.DeviceID) {
			n.event(control.Event{Kind: control.EventProblem, Device: n.deviceName(dev),
				Message: "is not asked for blocks any more for now: what it gave was not what its name says, again."})
		},
	}
}

// of returns what was found in a folder. Called with v.mu held.
func (v *vaultWatch) of(f shoal.FolderID) *found {
	if v.found[f] == nil {
		v.found[f] = &found{proved: map[shoal.DeviceID][]block.EpochRef{}}
	}
	return v.found[f]
}

func (v *vaultWatch) provedAt(vault shoal.DeviceID, w blockexchange.Want) {
	v.mu.Lock()
	if v.queued < maxFound {
		v.queued++
		f := v.of(w.Folder)
		f.proved[vault] = append(f.proved[vault], block.EpochRef{ID: w.Block, Epoch: w.Epoch})
	}
	v.mu.Unlock()
	v.rouse()
}

func (v *vaultWatch) spoiledAt(vault shoal.DeviceID, w blockexchange.Want) {
	v.mu.Lock()
	if v.queued < maxFound {
		v.queued++
		f := v.of(w.Folder)
		f.spoiled = append(f.spoiled, index.SpoiledCopy{Vault: vault, Block: block.EpochRef{ID: w.Block, Epoch: w.Epoch}, Size: w.Size,
			Record: w.Hint.Record, Index: w.Hint.Index, Part: w.Hint.Part})
	}
	v.mu.Unlock()
	v.rouse()
}

// lied notes that a device gave something false, and tells whether it is the first time for long.
func (v *vaultWatch) lied(dev shoal.DeviceID) (first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	first = time.Since(v.lies[dev]) > lieShown
	v.lies[dev] = time.Now()
	return first
}

// take returns what was found in a folder, and forgets it.
func (v *vaultWatch) take(f shoal.FolderID) found {
	v.mu.Lock()
	defer v.mu.Unlock()
	got := v.found[f]
	if got == nil {
		return found{}
	}
	delete(v.found, f)
	v.queued -= len(got.spoiled)
	for _, blocks := range got.proved {
		v.queued -= len(blocks)
	}
	return *got
}

// vaultsNow are the vaults of the mesh.
func (n *Node) vaultsNow() []mesh.Device {
	return slices.DeleteFunc(n.others(), func(d mesh.Device) bool { return d.Role != mesh.RoleVault })
}

// watchVaults looks at what vaults show whenever something has changed, until ctx ends.
func (n *Node) watchVaults(ctx context.Context) error {
	for {
		news := n.changed.wait()
		unsettled, err := n.lookAtVaults(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			n.log.Error("look at the vaults", "err", err)
		}
		var retry <-chan time.Time
		if unsettled || err != nil {
			retry = time.After(vaultRetry)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-n.vaults.wake:
		case <-retry:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(vaultPause):
		}
	}
}

// lookAtVaults does what is due. It tells whether to look again soon.
func (n *Node) lookAtVaults(ctx context.Context) (unsettled bool, err error) {
	vaults := n.vaultsNow()
	var errs []error
	for _, f := range n.runsNow() {
		more, err := n.settleProofs(ctx, f)
		errs, unsettled = append(errs, err), unsettled || more
		for _, v := range vaults {
			open, err := n.lookForLapse(ctx, f, v)
			errs, unsettled = append(errs, err), unsettled || open
			open, err = n.audit(ctx, f, v)
			errs, unsettled = append(errs, err), unsettled || open
		}
	}
	for _, v := range vaults {
		unsettled = n.lookForOldRoster(v) || unsettled
	}
	n.vaults.forget(vaults)
	n.vaults.forgetFound(func(f shoal.FolderID) bool { return n.folder(f) != nil })
	if len(vaults) > 0 && time.Since(n.vaults.swept) > sweepProofs {
		n.vaults.swept = time.Now()
		errs = append(errs, n.sweepProofs(ctx))
	}
	return unsettled, errors.Join(errs...)
}

// forgetFound drops what was found in folders that are not kept here any more.
func (v *vaultWatch) forgetFound(kept func(shoal.FolderID) bool) {
	v.mu.Lock()
	var gone []shoal.FolderID
	for f := range v.found {
		if !kept(f) {
			gone = append(gone, f)
		}
	}
	v.mu.Unlock()
	for _, f := range gone {
		v.take(f)
	}
}

// problems lists the lapses, and the devices that gave something false lately.
func (v *vaultWatch) problems(n *Node) (out []control.Problem) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, l := range v.lapses {
		if f := n.folder(key.folder); l.told && key.folder == (shoal.FolderID{}) {
			out = append(out, control.Problem{Kind: "withheld", Message: l.message, Since: l.since})
		} else if f != nil && l.told {
			out = append(out, control.Problem{Folder: f.name(), Kind: "withheld", Message: l.message, Since: l.since})
		}
	}
	for dev, at := range v.lies {
		if time.Since(at) > lieShown {
			delete(v.lies, dev)
			continue
		}
		out = append(out, control.Problem{Kind: "copy", Since: at, Message: n.deviceName(dev) +
			" gave blocks that are not what their names say: its disk or its memory fails, or it lies. Nothing of that was used."})
	}
	slices.SortFunc(out, func(a, b control.Problem) int { return a.Since.Compare(b.Since) })
	return out
}

// sweepProofs takes out what is known of blocks that stand in no file any more.
func (n *Node) sweepProofs(ctx context.Context) error {
	for _, f := range n.runsNow() {
		for next := []byte(nil); ; {
			err := f.index.Update(ctx, func(tx *index.Tx) (err error) {
				next, err = tx.SweepProofs(next, sweepPerStep)
				return err
			})
			if err != nil || next == nil {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// ignoreNoKey is nil for a folder whose keys are not here yet.
func ignoreNoKey(err error) error {
	if errors.Is(err, index.ErrNoKey) {
		return nil
	}
	return err
}

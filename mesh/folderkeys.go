package mesh

import (
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// FolderKeys are the keys of one folder that one device can open. Immutable and safe for concurrent use.
type FolderKeys struct {
	Chunker [32]byte // for the folder's life
	BlockID [32]byte // for the folder's life

	epochs  map[shoal.EpochID]Epoch
	current shoal.EpochID
}

// Epoch is one generation of a folder's keys.
type Epoch struct {
	ID     shoal.EpochID
	Number uint64 // from 1

	Seal       [32]byte // blocks
	Record     [32]byte // sealed part of records
	Nonce      [32]byte // key of the hash that makes the nonces of records
	Rendezvous [32]byte // where devices find each other in the DHT
}

// Current returns the epoch to write under: the highest number (then the lowest ID) of those that this device can open, that
// count, and that nobody can open who is out of the mesh. False when there is none, which means: nothing may be sealed now, because
// somebody who was revoked could read it. Roster.Tend makes a new epoch; until then a device can read, and must not write.
func (k *FolderKeys) Current() (Epoch, bool) { return k.Epoch(k.current) }

// Epoch returns the keys of one epoch. Epochs that a later revocation of their maker made void are included: others wrote under
// them in good faith.
func (k *FolderKeys) Epoch(id shoal.EpochID) (Epoch, bool) {
	e, ok := k.epochs[id]
	return e, ok
}

// FolderKeys returns the keys of a folder that id can open. The zero FolderID stands for the mesh itself: its epochs seal names
// and give the rendezvous keys; Chunker and BlockID are zero then.
//
// Errors: ErrUnknown when no such folder counts; ErrNoKey when id can open no epoch of it yet.
func (r *Roster) FolderKeys(id *Identity, f shoal.FolderID) (*FolderKeys, error) {
	if _, known := r.State().Folder(f); !known && f != meshScope {
		return nil, fmt.Errorf("keys of folder %s: %w", f, ErrUnknown)
	}
	ring := r.ring(id, f)
	if len(ring.roots) == 0 || f != meshScope && ring.life == nil {
		return nil, fmt.Errorf("keys of folder %s: %w", f, ErrNoKey)
	}
	k := &FolderKeys{epochs: make(map[shoal.EpochID]Epoch, len(ring.roots))}
	if f != meshScope {
		k.Chunker, k.BlockID = derive(contextChunker, ring.life[:]), derive(contextBlockID, ring.life[:])
	}
	for epoch, root := range ring.roots {
		k.epochs[epoch] = root.keys(epoch, r.byHash[Hash(epoch)].payload.(newEpoch).number)
	}
	if n := r.currentEpoch(ring, f); n != nil {
		k.current = shoal.EpochID(n.hash)
	}
	return k, nil
}

// currentEpoch returns the epoch to write under for the holder of a ring; nil when there is none.
func (r *Roster) currentEpoch(ring *keyRing, f shoal.FolderID) *node {
	for _, n := range r.writableEpochs(f) {
		if _, ok := ring.roots[shoal.EpochID(n.hash)]; ok {
			return n
		}
	}
	return nil
}

// writableEpochs returns the epochs of a folder that count and that nobody who is out of the mesh can have, the best first.
func (r *Roster) writableEpochs(f shoal.FolderID) []*node {
	e := r.evaluation()
	out := e.departures()
	return slices.DeleteFunc(r.exactEpochs(f), func(n *node) bool {
		return e.judge(n) != counts || slices.ContainsFunc(out, func(d departure) bool { return !n.excludes(d) })
	})
}

// departure is a device that had keys and is out of the mesh now: revoked, or never validly in.
type departure struct {
	device shoal.DeviceID
	story  []*node // its admissions, and its revocations that count
}

// departures returns the devices that are out of the mesh now and had, or may have had, keys.
func (e *evaluation) departures() []departure {
	var out []departure
	for d, about := range e.r.about {
		gone := departure{device: d}
		if e.admission(d) != nil && !e.revoked(d) || !slices.ContainsFunc(about, admitsReader) {
			continue
		}
		for _, g := range about {
			if g.kind == kindAdmit || g.kind == kindRevoke && e.counts(g) {
				gone.story = append(gone.story, g)
			}
		}
		out = append(out, gone)
	}
	return out
}

func admitsReader(n *node) bool {
	a, ok := n.payload.(admit)
	return ok && a.role.Reads()
}

// excludes tells whether an epoch was made in the knowledge that a device is out. That it is no recipient is not enough: a
// device that is admitted after an epoch began gets its keys too.
func (n *node) excludes(gone departure) bool {
	if slices.Contains(n.payload.(newEpoch).recipients, gone.device) {
		return false
	}
	for _, g := range gone.story {
		if !n.saw(g) {
			return false
		}
	}
	return true
}

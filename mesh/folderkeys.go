package mesh

import (
	"cmp"
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

// Epochs lists all that Epoch knows, the highest number first.
func (k *FolderKeys) Epochs() []Epoch {
	out := make([]Epoch, 0, len(k.epochs))
	for _, e := range k.epochs {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Epoch) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// FolderKeys returns the keys of a folder that id can open. The zero FolderID stands for the mesh itself: its epochs seal names
// and give the rendezvous keys; Chunker and BlockID are zero then. Cheap while the roster does not grow.
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
	if ring.keys == nil || ring.keysAt != len(r.nodes) {
		ring.keys, ring.keysAt = r.deriveKeys(ring, f), len(r.nodes)
	}
	return ring.keys, nil
}

func (r *Roster) deriveKeys(ring *keyRing, f shoal.FolderID) *FolderKeys {
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
	return k
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
	story  []*node // what an epoch's maker must have known
}

// departures returns the devices that are out of the mesh now and had, or may have had, keys.
func (e *evaluation) departures() []departure {
	if e.gone == nil {
		e.gone = []departure{}
		for d, about := range e.r.about {
			if !e.present(d) && slices.ContainsFunc(about, admitsReader) {
				e.gone = append(e.gone, departure{device: d, story: e.departureStory(about)})
			}
		}
	}
	return e.gone
}

func (e *evaluation) present(d shoal.DeviceID) bool { return e.admission(d) != nil && !e.revoked(d) }

// departureStory returns the revocations of a device that count, and its admissions. An admission that is void and whose signer is
// out itself is left out: whoever knew of an epoch that excludes the signer knew that the admission is void, and gave no keys. So
// nobody who was revoked can stir up the mesh by admitting others.
func (e *evaluation) departureStory(about []*node) []*node {
	return slices.DeleteFunc(slices.Clone(about), func(g *node) bool {
		switch g.kind {
		case kindRevoke:
			return !e.counts(g)
		case kindAdmit:
			return !e.counts(g) && g.signer != e.r.root && !e.present(g.signer)
		}
		return true
	})
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

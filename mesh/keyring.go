package mesh

import (
	"cmp"
	"slices"

	"github.com/shoalmesh/shoal"
)

// keyRing is what one signer can open of one folder: the roots of its epochs and the folder's life secret. It grows with the
// roster. Only epochs with the exact recipients are in it: nobody may seal anything under others.
type keyRing struct {
	roots   map[shoal.EpochID]epochRoot
	life    *lifeSecret
	covered map[shoal.EpochID]bool // roots that the chain of another epoch in the ring holds
	refused map[shoal.EpochID]int  // number of envelopes for an epoch that were tried in vain
	emptied map[shoal.EpochID]bool // epochs from whose chain nothing more can be had

	epochs, envelopes int // how many were there when the ring was last filled

	keys   *FolderKeys // what the ring gave last, when the roster had keysAt statements
	keysAt int
}

// ring returns the ring of a signer for a folder, filled with all that the roster holds now.
func (r *Roster) ring(by Signer, f shoal.FolderID) *keyRing {
	own := r.rings[by.Device()]
	if own == nil {
		own = map[shoal.FolderID]*keyRing{}
		r.rings[by.Device()] = own
	}
	k := own[f]
	if k == nil {
		k = &keyRing{
			roots: map[shoal.EpochID]epochRoot{}, covered: map[shoal.EpochID]bool{},
			refused: map[shoal.EpochID]int{}, emptied: map[shoal.EpochID]bool{},
		}
		own[f] = k
	}
	epochs, sealed := len(r.epochs[f]), len(r.sealed[by.Device()])
	if k.epochs != epochs || k.envelopes != sealed {
		k.epochs, k.envelopes = epochs, sealed
		r.fill(k, by, f)
	}
	return k
}

// fill opens what can be opened: the newest epochs first, since their chains mostly hold the roots of all others and opening an
// envelope costs a thousand times as much.
func (r *Roster) fill(k *keyRing, by Signer, f shoal.FolderID) {
	envelopes := map[shoal.EpochID][]envelope{}
	for _, s := range r.sealed[by.Device()] {
		envelopes[s.epoch] = append(envelopes[s.epoch], s.envelope)
	}
	for _, n := range r.exactEpochs(f) {
		id, e := shoal.EpochID(n.hash), n.payload.(newEpoch)
		root, known := k.roots[id]
		if !known {
			root, known = r.openRoot(k, by, id, &e, envelopes[id])
		}
		if known && !k.emptied[id] {
			k.roots[id] = root
			k.emptied[id] = r.emptyChain(k, root, &e)
		}
	}
}

// exactEpochs returns a folder's epochs with the exact recipients, void or not, from the highest number to the lowest.
func (r *Roster) exactEpochs(f shoal.FolderID) []*node {
	list := slices.DeleteFunc(slices.Clone(r.epochs[f]), func(n *node) bool { return !r.isExact(n) })
	slices.SortFunc(list, compareEpochs)
	return list
}

// compareEpochs puts the epoch to prefer first: the higher number, then the lower ID.
func compareEpochs(a, b *node) int {
	return cmp.Or(cmp.Compare(b.payload.(newEpoch).number, a.payload.(newEpoch).number), compareHash(a.hash, b.hash))
}

// openRoot tries the envelopes for one epoch. A root that does not match the epoch's commitment is refused.
func (r *Roster) openRoot(k *keyRing, by Signer, id shoal.EpochID, e *newEpoch, list []envelope) (epochRoot, bool) {
	info := envelopeInfo(r.mesh, e.folder, id, by.Device())
	for _, env := range list[k.refused[id]:] {
		plaintext, err := by.openEnvelope(info, env.sealed)
		if err == nil && len(plaintext) == rootBytes {
			if root := epochRoot(plaintext); root.commitment(r.mesh, e.folder) == e.commitment {
				return root, true
			}
		}
		k.refused[id]++
	}
	return epochRoot{}, false
}

// emptyChain takes over what the chain of an opened epoch holds, as far as it matches its commitments. It returns false when the
// chain holds the root of an epoch that is not here yet.
func (r *Roster) emptyChain(k *keyRing, root epochRoot, e *newEpoch) bool {
	c, err := openChain(root, r.mesh, e)
	if err != nil {
		return true // sealed by a faulty maker: the epoch's own root is good nevertheless
	}
	if made := r.made[e.folder]; c.life != nil && k.life == nil && made != nil {
		if c.life.commitment(r.mesh) == made.payload.(newFolder).lifeCommitment {
			k.life = c.life
		}
	}
	complete := true
	for _, entry := range c.roots {
		n := r.byHash[Hash(entry.epoch)]
		complete = complete && n != nil
		if n != nil && r.fitsChain(k, e, entry, n) {
			k.roots[entry.epoch] = entry.root
			k.covered[entry.epoch] = true
		}
	}
	return complete
}

// fitsChain tells whether an entry of e's chain is the root of n. No two epochs can hold each other's roots: an entry names an epoch by a hash,
// and is hashed with its own.
func (r *Roster) fitsChain(k *keyRing, e *newEpoch, entry chainedRoot, n *node) bool {
	older, is := n.payload.(newEpoch)
	if !is || !r.isExact(n) || older.folder != e.folder {
		return false
	}
	if known, ok := k.roots[entry.epoch]; ok {
		return known == entry.root
	}
	return entry.root.commitment(r.mesh, e.folder) == older.commitment
}

// chain returns what a new epoch's chain has to hold so that its root opens all that this ring has: first the roots that no
// other chain holds, then the newest.
func (k *keyRing) chain(epochs []*node) chain {
	c := chain{life: k.life}
	add := func(covered bool) {
		for _, n := range epochs {
			id := shoal.EpochID(n.hash)
			if root, ok := k.roots[id]; ok && k.covered[id] == covered && len(c.roots) < maxChained {
				c.roots = append(c.roots, chainedRoot{epoch: id, root: root})
			}
		}
	}
	add(false)
	add(true)
	return c
}

// tops returns the epochs whose roots, together, open all that the ring has.
func (k *keyRing) tops(epochs []*node) []*node {
	return slices.DeleteFunc(slices.Clone(epochs), func(n *node) bool {
		_, ok := k.roots[shoal.EpochID(n.hash)]
		return !ok || k.covered[shoal.EpochID(n.hash)]
	})
}

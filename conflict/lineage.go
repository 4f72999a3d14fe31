package conflict

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// Lineage says which journals continue which others: journal → the dot up to which its device held the older journal when it
// began the new one. A device that cannot prove that it may go on in its journal (it was restored from an image, say) begins a
// new one; any component of the new journal then covers the old journal up to that dot and nothing above it. So what the
// former life wrote afterwards is concurrent with what the device writes now.
//
// A journal continues one of the same device; a head that says otherwise is refused where it is read (index). Continuation is
// transitive. A dot with seq 0 says that nothing was held, and ends the chain. Cycles, which only a liar can make, end too:
// everything on a cycle covers what the cycle's links say. nil is the empty lineage. A Lineage is only read here; who changes
// one must not do so during a call.
type Lineage map[shoal.JournalID]shoal.Dot

// Covers tells whether who wrote v had seen d: v has the component of d's journal up to d, or that of a journal which
// continues d's up to there. The zero dot names nothing and is covered by every version.
func (l Lineage) Covers(v Version, d shoal.Dot) bool {
	if v.Get(d.Journal) >= d.Seq {
		return true
	}
	if len(l) == 0 {
		return false
	}
	for _, c := range v {
		if l.reaches(c, d) {
			return true
		}
	}
	return false
}

// reaches follows the chain of journals from c and tells whether it passes d's journal at or above d. It stops when it comes
// back to a journal where it was before (R. P. Brent, "An improved Monte Carlo factorization algorithm", BIT 20, 1980,
// section 2), by when it has taken every link that it can reach. The chain of a normal device has no or one link.
func (l Lineage) reaches(c, d shoal.Dot) bool {
	if c.Journal.Device != d.Journal.Device { // most pairs: of twenty devices one chain is followed, not twenty
		return false
	}
	mark, limit, steps := c.Journal, 1, 0
	for {
		next, ok := l[c.Journal]
		if !ok || next.Seq == 0 {
			return false
		}
		c = next
		if c.Journal == d.Journal && c.Seq >= d.Seq {
			return true
		}
		if c.Journal == mark {
			return false
		}
		if steps++; steps == limit {
			mark, limit, steps = c.Journal, 2*limit, 0
		}
	}
}

// Descends tells whether who wrote a had seen all that who wrote b had seen: a covers every component of b. Every version
// descends from itself and from the empty one, and Descends is transitive.
func (l Lineage) Descends(a, b Version) bool {
	if contains(a, b) {
		return true
	}
	if len(l) == 0 {
		return false
	}
	for _, d := range b {
		if !l.Covers(a, d) {
			return false
		}
	}
	return true
}

// Prune returns v without the components that its other components cover. It covers exactly what v covers; a vector keeps
// about one component per device instead of one per journal.
func (l Lineage) Prune(v Version) Version {
	if len(l) == 0 {
		return v
	}
	for i := 0; i < len(v); {
		// Each component is held against those that are left: of two that cover each other one must stay.
		if l.coveredByOthers(v, i) {
			v = slices.Concat(v[:i], v[i+1:])
		} else {
			i++
		}
	}
	return v
}

func (l Lineage) coveredByOthers(v Version, i int) bool {
	for k, c := range v {
		if k != i && l.reaches(c, v[i]) {
			return true
		}
	}
	return false
}

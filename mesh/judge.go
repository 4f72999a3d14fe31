package mesh

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// judge decides any statement, when all membership statements are decided. For an epoch it also asks who its recipients are.
func (e *evaluation) judge(n *node) reason {
	if n.member >= 0 {
		if e.counts(n) {
			return counts
		}
		return e.judgeMember(n) // of several reasons always the same one, whatever settled it first
	}
	switch n.payload.(type) {
	case unknown:
		return voidUnknownKind
	case newEpoch:
		if !e.r.isExact(n) {
			return voidRecipients
		}
	}
	return e.judgeSigner(n, needOf(n))
}

// isExact tells whether an epoch's recipients are exactly the readers, and the root, of the mesh as its maker knew it. That
// never changes with what arrives, so it is worked out once.
func (r *Roster) isExact(n *node) bool {
	if n.exact == exactnessUnknown {
		n.exact = inexact
		if slices.Equal(n.payload.(newEpoch).recipients, r.recipients(n.before.members)) {
			n.exact = exact
		}
	}
	return n.exact == exact
}

// recipients returns who an epoch has to be for when its maker knows the membership statements in before: ascending.
func (r *Roster) recipients(before *past) []shoal.DeviceID {
	if list, ok := r.readers[before]; ok {
		return list
	}
	list := append(r.evaluate(before).readers(), r.root)
	slices.SortFunc(list, shoal.DeviceID.Compare)
	if len(r.readers) >= maxRememberedReaders {
		clear(r.readers)
	}
	r.readers[before] = list
	return list
}

// maxRememberedReaders bounds the memory of recipients; epochs that follow one change of the mesh share one entry.
const maxRememberedReaders = 64

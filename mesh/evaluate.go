package mesh

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// reason says why a statement counts for nothing, or that it counts.
type reason uint8

const (
	undecided reason = iota
	counts
	voidNoRight     // the signer did not have the right, as far as it knew itself
	voidRevoked     // the signer knew that it was revoked
	voidTaken       // the right was taken away, and the statement is not among those that count nevertheless
	voidAlreadyIn   // the device was in the mesh already
	voidRecipients  // an epoch whose recipients are not exactly the devices of the mesh
	voidUnknownKind // of a kind that this version does not know
)

var reasonTexts = map[reason]string{
	voidNoRight:     "its signer did not have the right to make it",
	voidRevoked:     "its signer had been revoked",
	voidTaken:       "its signer was revoked or lost the right, and this statement was not among those to count",
	voidAlreadyIn:   "the device was in the mesh already",
	voidRecipients:  "its recipients are not exactly the devices of the mesh",
	voidUnknownKind: "this version of the program does not know its kind",
}

// evaluation decides which membership statements of a set count. The verdict on a statement depends on verdicts on others:
//
//   - on grants (admissions and roles) and revocations of its signer that the signer knew;
//   - on revocations and demotions of its signer that the signer did not know, or that look back, and do not keep it.
//
// The first kind of dependence follows causality and makes no circles. The second can: owners who revoke each other. So
// statements are decided as soon as all that they depend on is decided, or one thing that is decided settles them; when
// nothing more can be, every circle is cut at one statement (breakTies), which then counts.
type evaluation struct {
	r        *Roster
	in       *past    // the set: a causally closed part of the membership statements; nil: all of them
	verdicts []reason // by membership number
	waits    []int32  // by membership number: how many undecided statements it depends on
	ready    []*node  // depend on nothing undecided

	gone []departure // nil: not yet asked for
}

// evaluate decides all membership statements in the set. It takes time in proportion to the number of dependences (a few per
// statement in a mesh of honest owners; the square of the statements if owners are hostile) and memory in proportion to the
// number of statements.
func (r *Roster) evaluate(in *past) *evaluation {
	e := &evaluation{r: r, in: in, verdicts: make([]reason, len(r.members)), waits: make([]int32, len(r.members))}
	for _, n := range r.members {
		if !e.has(n) {
			continue
		}
		e.eachDependence(n, func(*node) { e.waits[n.member]++ })
		if e.waits[n.member] == 0 {
			e.ready = append(e.ready, n)
		}
	}
	for e.settleReady(); e.breakTies(); e.settleReady() {
	}
	return e
}

func (e *evaluation) has(n *node) bool { return e.in == nil || e.in.has(n.member) }

// counts tells whether a membership statement is in the set and counts.
func (e *evaluation) counts(n *node) bool { return e.verdicts[n.member] == counts }

// eachDependence calls fn for the statements that the verdict on n depends on.
func (e *evaluation) eachDependence(n *node, fn func(*node)) {
	if n.signer != e.r.root {
		for _, g := range e.r.about[n.signer] {
			if e.has(g) && (n.saw(g) || e.takes(g, n, needOwner)) {
				fn(g)
			}
		}
	}
	if a, ok := n.payload.(admit); ok {
		for _, g := range e.r.about[a.device] {
			if g.kind == kindAdmit && n.saw(g) {
				fn(g)
			}
		}
	}
}

// eachDependent is the inverse: it calls fn for the statements whose verdict depends on that on g.
func (e *evaluation) eachDependent(g *node, fn func(*node)) {
	if g.kind == kindGenesis {
		return
	}
	subject := subjectOf(g.payload)
	if share := e.r.signers[subject]; share != nil {
		for _, n := range share.members {
			if e.has(n) && (n.saw(g) || e.takes(g, n, needOwner)) {
				fn(n)
			}
		}
	}
	if g.kind == kindAdmit {
		for _, n := range e.r.about[subject] {
			if n.kind == kindAdmit && e.has(n) && n.saw(g) {
				fn(n)
			}
		}
	}
}

// takes tells whether t, which is about n's signer, makes n void if it counts, although n's signer did not know t when it made n: t
// takes away the right that n needs, and n is not among the statements that t lets count.
func (e *evaluation) takes(t, n *node, x need) bool {
	if !t.isTaker() || t.gives != 0 && x.grantedBy(t.gives) {
		return false
	}
	return !t.kept.has(n.number) && !n.saw(t)
}

func (e *evaluation) settleReady() {
	for len(e.ready) > 0 {
		n := e.ready[len(e.ready)-1]
		e.ready = e.ready[:len(e.ready)-1]
		if e.undecided(n) {
			e.settle(n, e.judgeMember(n))
		}
	}
}

func (e *evaluation) undecided(n *node) bool { return e.verdicts[n.member] == undecided }

// settle records a verdict and passes it on to those that depend on it.
func (e *evaluation) settle(n *node, v reason) {
	e.verdicts[n.member] = v
	e.eachDependent(n, func(d *node) {
		e.waits[d.member]--
		if !e.undecided(d) {
			return
		}
		if v == counts {
			if void := e.settledBy(n, d); void != counts {
				e.settle(d, void)
				return
			}
		}
		if e.waits[d.member] == 0 {
			e.ready = append(e.ready, d)
		}
	})
}

// settledBy returns why n is void given that g counts, whatever else is decided later; counts if g alone does not say so.
func (e *evaluation) settledBy(g, n *node) reason {
	switch {
	case subjectOf(g.payload) == n.signer && n.saw(g) && g.kind == kindRevoke:
		return voidRevoked
	case subjectOf(g.payload) == n.signer && e.takes(g, n, needOwner):
		return voidTaken
	case n.kind == kindAdmit && g.kind == kindAdmit && subjectOf(g.payload) == subjectOf(n.payload) && n.saw(g):
		return voidAlreadyIn
	}
	return counts
}

// judgeMember decides a membership statement when all that it depends on is decided.
func (e *evaluation) judgeMember(n *node) reason {
	if n.kind == kindAdmit {
		for _, g := range e.r.about[subjectOf(n.payload)] {
			if g.kind == kindAdmit && n.saw(g) && e.counts(g) {
				return voidAlreadyIn
			}
		}
	}
	return e.judgeSigner(n, needOwner)
}

// judgeSigner decides whether n's signer had a right that is not taken away.
func (e *evaluation) judgeSigner(n *node, x need) reason {
	if n.signer == e.r.root {
		return counts
	}
	taken := false
	for _, g := range e.r.about[n.signer] {
		if !e.counts(g) {
			continue
		}
		if n.saw(g) && g.kind == kindRevoke {
			return voidRevoked
		}
		taken = taken || e.takes(g, n, x)
	}
	if taken {
		return voidTaken
	}
	role, ok := e.roleOf(n.signer, n.saw)
	if !ok || !x.grantedBy(role) {
		return voidNoRight
	}
	return counts
}

// roleOf returns the role of a device by the grants that count and that known admits. A later grant replaces those that it
// knew; of several left, made concurrently, the one with the fewest rights holds.
func (e *evaluation) roleOf(d shoal.DeviceID, known func(*node) bool) (Role, bool) {
	var role Role
	for _, g := range e.lastGrants(d, known) {
		role = max(role, g.gives)
	}
	return role, role != 0
}

// lastGrants returns the grants to a device that count, that known admits, and that no other of them replaces.
func (e *evaluation) lastGrants(d shoal.DeviceID, known func(*node) bool) []*node {
	var last []*node
	replaced := emptyPast
	for _, g := range slices.Backward(e.r.about[d]) { // effects before causes
		if g.kind == kindRevoke || replaced.has(g.member) || !e.counts(g) || !known(g) {
			continue
		}
		last = append(last, g)
		replaced = replaced.union(g.before.members)
	}
	return last
}

func always(*node) bool { return true }

func (e *evaluation) revoked(d shoal.DeviceID) bool {
	return slices.ContainsFunc(e.r.about[d], func(g *node) bool { return g.kind == kindRevoke && e.counts(g) })
}

// admission returns the most senior admission of a device that counts; nil when there is none.
func (e *evaluation) admission(d shoal.DeviceID) *node {
	return e.mostSenior(d, e.counts)
}

func (e *evaluation) mostSenior(d shoal.DeviceID, among func(*node) bool) *node {
	var best *node
	for _, a := range e.r.about[d] {
		if a.kind == kindAdmit && among(a) && (best == nil || compareSeniority(a, best) < 0) {
			best = a
		}
	}
	return best
}

// compareSeniority orders admissions: the shorter path from the root first, then the lower hash.
func compareSeniority(a, b *node) int {
	if a.pathLength != b.pathLength {
		return a.pathLength - b.pathLength
	}
	return compareHash(a.hash, b.hash)
}

// readers returns the devices that get keys: admitted, not revoked, not vaults; ascending.
func (e *evaluation) readers() []shoal.DeviceID {
	var out []shoal.DeviceID
	for d := range e.r.about {
		if e.admission(d) == nil || e.revoked(d) {
			continue
		}
		if role, _ := e.roleOf(d, always); role.Reads() {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, shoal.DeviceID.Compare)
	return out
}

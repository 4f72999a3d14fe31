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
	voidFolder      // about a folder that counts for nothing
)

var reasonTexts = map[reason]string{
	voidNoRight:     "its signer did not have the right to make it",
	voidRevoked:     "its signer had been revoked",
	voidTaken:       "its signer was revoked or lost the right, and this statement was not among those to count",
	voidAlreadyIn:   "the device was in the mesh already",
	voidRecipients:  "its recipients are not exactly the devices of the mesh",
	voidFolder:      "its folder counts for nothing",
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
	r          *Roster
	in         *past    // the set: a causally closed part of the membership statements; nil: all of them
	verdicts   []reason // by membership number
	waits      []int32  // by membership number: undecided statements that it depends on
	dependents [][]int32
	ready      []int32

	gone []departure // nil: not yet asked for
}

// evaluate decides all membership statements in the set. Cost: about linear in the number of dependences.
func (r *Roster) evaluate(in *past) *evaluation {
	e := &evaluation{
		r: r, in: in, verdicts: make([]reason, len(r.members)), waits: make([]int32, len(r.members)),
		dependents: make([][]int32, len(r.members)),
	}
	for i, n := range r.members {
		if e.has(n) {
			e.addDependences(n)
			if e.waits[i] == 0 {
				e.ready = append(e.ready, int32(i))
			}
		}
	}
	for e.settleReady(); e.breakTies(); e.settleReady() {
	}
	return e
}

func (e *evaluation) has(n *node) bool { return e.in == nil || e.in.has(n.member) }

// counts tells whether a membership statement is in the set and counts.
func (e *evaluation) counts(n *node) bool { return e.verdicts[n.member] == counts }

func (e *evaluation) addDependences(n *node) {
	add := func(on *node) {
		e.waits[n.member]++
		e.dependents[on.member] = append(e.dependents[on.member], int32(n.member))
	}
	if n.signer != e.r.root {
		for _, g := range e.r.about[n.signer] {
			if e.has(g) && (n.saw(g) || e.takes(g, n, needOwner)) {
				add(g)
			}
		}
	}
	if a, ok := n.payload.(admit); ok {
		for _, g := range e.r.about[a.device] {
			if g.kind == kindAdmit && n.saw(g) {
				add(g)
			}
		}
	}
}

// takes tells whether t, if it counts, makes n void although n's signer did not know t when it made n: t takes away from n's
// signer the right that n needs, and n is not among the statements that t lets count.
func (e *evaluation) takes(t, n *node, x need) bool {
	tk, ok := takingOf(t.payload)
	if !ok || n.saw(t) {
		return false
	}
	if role, gives := t.role(); gives && x.grantedBy(role) {
		return false
	}
	for _, h := range tk.last {
		if e.r.byHash[h].follows(n) {
			return false
		}
	}
	return true
}

func (e *evaluation) settleReady() {
	for len(e.ready) > 0 {
		i := e.ready[len(e.ready)-1]
		e.ready = e.ready[:len(e.ready)-1]
		if e.verdicts[i] == undecided {
			e.settle(i, e.judgeMember(e.r.members[i]))
		}
	}
}

// settle records a verdict and passes it on to those that depend on it.
func (e *evaluation) settle(i int32, v reason) {
	e.verdicts[i] = v
	for _, d := range e.dependents[i] {
		e.waits[d]--
		if e.verdicts[d] != undecided {
			continue
		}
		if v == counts {
			if void := e.settledBy(e.r.members[i], e.r.members[d]); void != counts {
				e.settle(d, void)
				continue
			}
		}
		if e.waits[d] == 0 {
			e.ready = append(e.ready, d)
		}
	}
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
		given, _ := g.role()
		role = max(role, given)
	}
	return role, role != 0
}

// lastGrants returns the grants to a device that count, that known admits, and that no other of them replaces.
func (e *evaluation) lastGrants(d shoal.DeviceID, known func(*node) bool) []*node {
	var last []*node
	about := e.r.about[d]
	for i := len(about) - 1; i >= 0; i-- { // effects before causes
		g := about[i]
		if g.kind == kindRevoke || !e.counts(g) || !known(g) {
			continue
		}
		if !slices.ContainsFunc(last, func(l *node) bool { return l.saw(g) }) {
			last = append(last, g)
		}
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

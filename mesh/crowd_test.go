package mesh

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// crowd makes random histories of membership, honest and hostile, without the cost of envelopes: statements are signed by whom
// they should be, but what their signers claim to have known, and which statements of others they let count, is drawn.
type crowd struct {
	*rapid.T
	*Roster // all that was accepted
	root    *Root
	people  []*Identity
	name    sealedName
}

const crowdSize = 6

func newCrowd(t *rapid.T, tb testing.TB) *crowd {
	c := &crowd{T: t, Roster: NewRoster(), root: theRoot(tb)}
	for i := range crowdSize {
		c.people = append(c.people, identity(tb, fmt.Sprintf("p%d", i)))
	}
	g, err := c.publish(c.root, &statement{signer: c.root.Device(), time: start.UnixNano()}, genesis{rootHPKE: c.root.HPKEPublic()})
	if err != nil {
		t.Fatal(err)
	}
	c.name = sealName(c.Mesh(), shoal.EpochID(g.hash), epochRoot{}, nil, "name")
	c.try(c.root, c.draft(c.root, start), c.admission(c.people[0], RoleOwner))
	for i, who := range c.people[1:4] { // owners of several seniorities
		by := c.people[i/2]
		c.try(by, c.draft(by, start), c.admission(who, RoleOwner))
	}
	return c
}

func (c *crowd) admission(who *Identity, role Role) admit {
	return admit{device: who.Device(), hpke: who.HPKEPublic(), role: role, name: c.name}
}

// try publishes; the door may refuse it.
func (c *crowd) try(by Signer, s *statement, p payload) *node {
	n, err := c.publish(by, s, p)
	if err != nil {
		return nil
	}
	return n
}

// act adds one statement.
func (c *crowd) act() {
	by, p := c.signer(), c.payload()
	s := c.draft(by, start)
	if rapid.IntRange(0, 2).Draw(c.T, "honest") == 0 {
		c.pretend(s)
	}
	c.try(by, s, p)
}

func (c *crowd) signer() Signer {
	i := rapid.IntRange(-1, 3*crowdSize).Draw(c.T, "signer")
	if i < 0 {
		return c.root
	}
	return c.people[i%crowdSize]
}

func (c *crowd) payload() payload {
	who := c.people[rapid.IntRange(0, crowdSize-1).Draw(c.T, "who")]
	roles := rapid.SampledFrom([]Role{RoleOwner, RoleOwner, RoleOwner, RoleMember, RoleReader, RoleVault})
	switch rapid.IntRange(0, 7).Draw(c.T, "what") {
	case 0, 1:
		return c.admission(who, roles.Draw(c.T, "role"))
	case 2:
		return giveRole{taking: c.taking(who), role: roles.Draw(c.T, "role")}
	}
	return revoke{c.taking(who)}
}

func (c *crowd) taking(who *Identity) taking {
	t := taking{device: who.Device()}
	if share := c.signers[who.Device()]; share != nil && rapid.Bool().Draw(c.T, "keeps") {
		for _, n := range share.tips {
			for range rapid.IntRange(0, 2).Draw(c.T, "back") {
				if n.back != nil {
					n = n.back
				}
			}
			t.last = append(t.last, n.hash)
		}
	}
	t.last = sortedSet(t.last)
	return t
}

// pretend makes a statement claim to know little: some statements that were there, and its signer's own last one, or not even that.
func (c *crowd) pretend(s *statement) {
	s.heads = nil
	for range rapid.IntRange(1, 3).Draw(c.T, "known") {
		s.heads = append(s.heads, c.nodes[rapid.IntRange(min(4, len(c.nodes)-1), len(c.nodes)-1).Draw(c.T, "head")].hash)
	}
	s.heads = sortedSet(s.heads)
	if rapid.IntRange(0, 3).Draw(c.T, "forks") == 0 {
		s.previous = Hash{}
	}
	s.heads = slices.DeleteFunc(s.heads, func(h Hash) bool { return h == s.previous })
}

// shuffled returns a roster with the same statements, added in a drawn order, and asked for its state now and then.
func (c *crowd) shuffled() *Roster {
	order := make([]int, c.Count())
	for i := range order {
		order[i] = i
	}
	r := NewRoster()
	for i, at := range rapid.Permutation(order).Draw(c.T, "order") {
		if _, err := r.Add(slices.Clone(c.nodes[at].raw)); err != nil {
			c.Fatal(err)
		}
		if i%5 == 0 {
			_ = r.State()
			_ = r.recipients(r.viewsOf(r.draft(c.root, start)).members)
		}
	}
	return r
}

// describe tells all that a state says, in an order that does not depend on arrival.
func describe(s *State) string {
	var lines []string
	for _, d := range s.devices {
		lines = append(lines, fmt.Sprintf("device %s %s %s %v by %s", d.ID, d.Name, d.Role, d.Revoked, d.AdmittedBy))
	}
	for _, f := range s.folders {
		lines = append(lines, fmt.Sprintf("folder %s %s", f.ID, f.Name))
	}
	var rest []string
	for j, c := range s.cuts {
		rest = append(rest, fmt.Sprintf("cut %s %d %x", j, c.Seq, c.Head))
	}
	for _, p := range s.problems {
		rest = append(rest, fmt.Sprintf("problem %s %s %s %s", p.Statement, p.Signer, p.Kind, p.Reason))
	}
	slices.Sort(rest)
	return strings.Join(append(lines, rest...), "\n")
}

func history(t *rapid.T, tb testing.TB) *crowd {
	c := newCrowd(t, tb)
	for range rapid.IntRange(5, 30).Draw(t, "statements") {
		c.act()
	}
	return c
}

func TestStateDoesNotDependOnOrderOfArrival(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := history(rt, t)
		want := describe(c.State())
		if got := describe(c.shuffled().State()); got != want {
			rt.Fatalf("one order:\n%s\nanother:\n%s", want, got)
		}
	})
}

func TestEvaluationIsThatOfTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := history(rt, t)
		want, e := modelVerdicts(c.Roster), c.evaluation()
		for _, n := range c.members {
			if e.counts(n) != want[n.hash] {
				rt.Fatalf("%s %s counts: %v, model says %v", n.kind, n.hash, e.counts(n), want[n.hash])
			}
		}
	})
}

func TestRootAlwaysCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := history(rt, t)
		e := c.evaluation()
		for _, n := range c.members {
			if n.signer == c.root.Device() && e.verdicts[n.member] != counts && e.verdicts[n.member] != voidAlreadyIn {
				rt.Fatalf("the root's %s is void: %s", n.kind, reasonTexts[e.verdicts[n.member]])
			}
			if n.kind == kindRevoke && n.signer == c.root.Device() && c.State().Admitted(subjectOf(n.payload)) {
				rt.Fatal("revoked by the root and still in")
			}
		}
	})
}

func TestRevokedIsForEver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := history(rt, t)
		before := c.State()
		for range 10 { // anything but statements that take rights away, by anybody
			if p := c.payload(); takesNothing(p) {
				c.try(c.signer(), c.draft(c.root, start), p)
				s := c.draft(c.signer(), start)
				c.pretend(s)
				c.try(c.signer(), s, p)
			}
		}
		for _, d := range before.Devices() {
			if d.Revoked && c.State().Admitted(d.ID) {
				rt.Fatalf("%s came back", d.ID)
			}
		}
	})
}

func takesNothing(p payload) bool {
	_, takes := takingOf(p)
	return !takes
}

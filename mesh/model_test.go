package mesh

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// model evaluates a roster as the format page tells it, with sets and loops and no thought of cost.
type model struct {
	root    shoal.DeviceID
	all     map[Hash]*statement
	before  map[Hash]map[Hash]bool // all that came before
	length  map[Hash]int           // path lengths of admissions
	verdict map[Hash]bool          // decided: counts or not
}

func modelVerdicts(r *Roster) map[Hash]bool {
	m := &model{root: r.Root(), all: map[Hash]*statement{}, before: map[Hash]map[Hash]bool{}, length: map[Hash]int{}, verdict: map[Hash]bool{}}
	for _, raw := range r.Statements() {
		s, err := decodeStatement(raw)
		if err != nil {
			panic(err)
		}
		m.all[s.hash] = s
		m.before[s.hash] = map[Hash]bool{}
		for _, p := range s.names() {
			m.before[s.hash][p] = true
			for a := range m.before[p] {
				m.before[s.hash][a] = true
			}
		}
		if s.kind == kindAdmit {
			m.length[s.hash] = m.pathLength(s)
		}
	}
	for {
		for m.decideSome() {
		}
		if !m.cutCircles() {
			return m.verdict
		}
	}
}

func (m *model) pathLength(s *statement) int {
	if s.signer == m.root {
		return 1
	}
	length := 1 << 30
	for h := range m.before[s.hash] {
		if a, ok := m.all[h].payload.(admit); ok && a.device == s.signer {
			length = min(length, m.length[h]+1)
		}
	}
	return length
}

func (m *model) isMember(s *statement) bool {
	return slices.Contains([]kind{kindGenesis, kindAdmit, kindRole, kindRevoke}, s.kind)
}

func (m *model) keeps(t taking, s Hash) bool {
	for _, h := range t.last {
		for h != (Hash{}) {
			if h == s {
				return true
			}
			h = m.all[h].previous
		}
	}
	return false
}

// attacks: g, unknown to s, takes from its signer the right of an owner and does not let s count.
func (m *model) attacks(g, s *statement) bool {
	t, ok := takingOf(g.payload)
	if !ok || t.device != s.signer || m.before[s.hash][g.hash] || m.keeps(t, s.hash) {
		return false
	}
	r, gives := g.payload.(giveRole)
	return !gives || r.role != RoleOwner
}

func (m *model) dependsOn(s *statement) []*statement {
	var out []*statement
	for _, g := range m.all {
		if !m.isMember(g) || g.kind == kindGenesis {
			continue
		}
		seen := m.before[s.hash][g.hash]
		aboutSigner := s.signer != m.root && subjectOf(g.payload) == s.signer && (seen || m.attacks(g, s))
		again := s.kind == kindAdmit && g.kind == kindAdmit && seen && subjectOf(g.payload) == subjectOf(s.payload)
		if aboutSigner || again {
			out = append(out, g)
		}
	}
	return out
}

// decideSome decides what can be decided and tells whether that was anything.
func (m *model) decideSome() bool {
	some := false
	for _, s := range m.all {
		if _, done := m.verdict[s.hash]; done || !m.isMember(s) {
			continue
		}
		open, settled := false, false
		for _, g := range m.dependsOn(s) {
			v, done := m.verdict[g.hash]
			open = open || !done
			settled = settled || v && m.settles(g, s)
		}
		if settled {
			m.verdict[s.hash] = false
		} else if !open {
			m.verdict[s.hash] = s.signer == m.root || m.roleOf(s) == RoleOwner
		} else {
			continue
		}
		some = true
	}
	return some
}

func (m *model) settles(g, s *statement) bool {
	if s.kind == kindAdmit && g.kind == kindAdmit && subjectOf(g.payload) == subjectOf(s.payload) {
		return true
	}
	return g.kind == kindRevoke || m.attacks(g, s)
}

func (m *model) roleOf(s *statement) Role {
	var grants []*statement
	for h := range m.before[s.hash] {
		g := m.all[h]
		if (g.kind == kindAdmit || g.kind == kindRole) && subjectOf(g.payload) == s.signer && m.verdict[h] {
			grants = append(grants, g)
		}
	}
	var role Role
	for _, g := range grants {
		replaced := slices.ContainsFunc(grants, func(o *statement) bool { return m.before[o.hash][g.hash] })
		if a, ok := g.payload.(admit); ok && !replaced {
			role = max(role, a.role)
		}
		if r, ok := g.payload.(giveRole); ok && !replaced {
			role = max(role, r.role)
		}
	}
	return role
}

func (m *model) cutCircles() bool {
	waitsFor := map[Hash]map[Hash]bool{} // transitive
	for h, s := range m.all {
		if _, done := m.verdict[h]; done || !m.isMember(s) {
			continue
		}
		waitsFor[h] = map[Hash]bool{}
		for _, g := range m.dependsOn(s) {
			if _, done := m.verdict[g.hash]; !done {
				waitsFor[h][g.hash] = true
			}
		}
	}
	for grown := true; grown; {
		grown = false
		for _, set := range waitsFor {
			for g := range set {
				for f := range waitsFor[g] {
					grown = grown || !set[f]
					set[f] = true
				}
			}
		}
	}
	var winners []Hash
	for h, set := range waitsFor {
		source := set[h]
		for g := range set {
			source = source && waitsFor[g][h]
		}
		if source && m.winsCircle(m.all[h], set) {
			winners = append(winners, h)
		}
	}
	for _, h := range winners {
		m.verdict[h] = true
	}
	return len(winners) > 0
}

func (m *model) winsCircle(s *statement, circle map[Hash]bool) bool {
	if !m.isFirst(s, circle) {
		return false
	}
	for h := range circle {
		if o := m.all[h]; o != s && m.isFirst(o, circle) && m.compare(o, s) < 0 {
			return false
		}
	}
	return true
}

func (m *model) isFirst(s *statement, circle map[Hash]bool) bool {
	if _, takes := takingOf(s.payload); !takes {
		return false
	}
	for h := range circle {
		if _, takes := takingOf(m.all[h].payload); takes && m.before[s.hash][h] {
			return false
		}
	}
	return true
}

func (m *model) compare(a, b *statement) int {
	la, ha := m.seniority(a)
	lb, hb := m.seniority(b)
	if la != lb {
		return la - lb
	}
	if c := compareHash(ha, hb); c != 0 {
		return c
	}
	if da, db := m.depth(a.hash), m.depth(b.hash); da != db {
		return da - db
	}
	return compareHash(a.hash, b.hash)
}

func (m *model) seniority(s *statement) (length int, admission Hash) {
	length = 1 << 30
	for h := range m.before[s.hash] {
		a, ok := m.all[h].payload.(admit)
		v, done := m.verdict[h]
		if !ok || a.device != s.signer || done && !v {
			continue
		}
		if m.length[h] < length || m.length[h] == length && compareHash(h, admission) < 0 {
			length, admission = m.length[h], h
		}
	}
	return length, admission
}

func (m *model) depth(h Hash) int {
	d := 0
	for _, p := range m.all[h].names() {
		d = max(d, m.depth(p)+1)
	}
	return d
}

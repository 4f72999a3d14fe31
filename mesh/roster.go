package mesh

import (
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// Limits of a roster.
const (
	MaxStatements     = 100_000   // the root's own statements have no limit, so that it can always help
	MaxRosterBytes    = 256 << 20 // likewise
	maxPerSigner      = 20_000    // so that one device cannot fill the roster
	maxBytesPerSigner = 64 << 20

	// Membership statements (admit, role, revoke) are fewer, since evaluation takes time that grows with their square if owners
	// are hostile.
	maxMembers          = 16_384
	maxMembersPerSigner = 4_096
	maxTakersPerSigner  = 1_024 // of these, Role and Revoke statements
)

// Signer makes statements: an *Identity, or the *Root.
type Signer interface {
	// Device returns the signer's public key.
	Device() shoal.DeviceID
	// Sign signs msg under a label.
	Sign(label string, msg []byte) []byte
	openEnvelope(info, sealed []byte) ([]byte, error)
}

var (
	_ Signer = (*Identity)(nil)
	_ Signer = (*Root)(nil)
)

// Cut says how much of one journal counts: up to Seq, whose head hashes to Head.
type Cut struct {
	Seq  shoal.Seq
	Head [32]byte
}

// Roster is a set of statements that grows, and what they say. It is not safe for concurrent use; the States that it returns are.
type Roster struct {
	mesh shoal.MeshID
	root shoal.DeviceID

	// The accepted statements and ways to find them.
	nodes   []*node // each after what it names
	byHash  map[Hash]*node
	members []*node                    // membership statements, by number
	folders []*node                    // folder and epoch statements, by number
	about   map[shoal.DeviceID][]*node // admit, role and revoke statements about a device
	signers map[shoal.DeviceID]*signerShare
	made    map[shoal.FolderID]*node // folder statements
	epochs  map[shoal.FolderID][]*node
	sealed  map[shoal.DeviceID][]sealedFor // envelopes by recipient
	heads   map[Hash]*node
	bytes   int

	held heldStatements

	// What was worked out from them, and is thrown away when the set grows.
	state   *State
	verdict *evaluation // changes with membership statements only
	readers map[*past][]shoal.DeviceID
	names   *Identity
	rings   map[shoal.DeviceID]map[shoal.FolderID]*keyRing
}

// signerShare is what one signer has put into the roster.
type signerShare struct {
	count, bytes int
	members      []*node // membership statements
	takers       int     // number of Role and Revoke statements
	tips         []*node // ends of its chain; more than one after a fork
}

type sealedFor struct {
	by *node
	envelope
}

// NewRoster returns an empty set. The first genesis statement that Add accepts decides which mesh it is: a caller who expects
// a certain mesh compares Mesh.
func NewRoster() *Roster {
	return &Roster{
		byHash: map[Hash]*node{}, about: map[shoal.DeviceID][]*node{}, signers: map[shoal.DeviceID]*signerShare{},
		made: map[shoal.FolderID]*node{}, epochs: map[shoal.FolderID][]*node{},
		sealed: map[shoal.DeviceID][]sealedFor{}, heads: map[Hash]*node{},
		held: newHeld(), readers: map[*past][]shoal.DeviceID{}, rings: map[shoal.DeviceID]map[shoal.FolderID]*keyRing{},
	}
}

// Mesh returns the mesh ID; zero while there is no genesis statement.
func (r *Roster) Mesh() shoal.MeshID { return r.mesh }

// Root returns the public key of the mesh's root; zero while there is no genesis statement.
func (r *Roster) Root() shoal.DeviceID { return r.root }

// Count returns the number of accepted statements; those held are not among them.
func (r *Roster) Count() int { return len(r.nodes) }

// Has tells whether a statement is accepted.
func (r *Roster) Has(h Hash) bool { return r.byHash[h] != nil }

// Heads returns the accepted statements that no other accepted one names, ascending. Equal heads mean equal rosters.
func (r *Roster) Heads() []Hash {
	out := make([]Hash, 0, len(r.heads))
	for h := range r.heads {
		out = append(out, h)
	}
	slices.SortFunc(out, compareHash)
	return out
}

// Statements returns all accepted statements as they travelled, each after what it names, which suits adding them again in
// order. The slices must not be changed.
func (r *Roster) Statements() [][]byte { return r.Since(nil) }

// Since returns the accepted statements that somebody who has heads, and all that they name, lacks: each after what it names.
// Heads that are not known here count for nothing. The slices must not be changed. Cost: one walk over the roster.
func (r *Roster) Since(heads []Hash) [][]byte {
	known := make([]bool, len(r.nodes))
	for _, h := range heads {
		if n := r.byHash[h]; n != nil {
			known[n.order] = true
		}
	}
	var out [][]byte
	for i := len(r.nodes) - 1; i >= 0; i-- { // effects before causes: a known statement makes its causes known
		n := r.nodes[i]
		if !known[i] {
			out = append(out, n.raw)
			continue
		}
		for _, c := range n.causes {
			known[c.order] = true
		}
	}
	slices.Reverse(out)
	return out
}

// Missing returns what held statements wait for, ascending: what to ask others for.
func (r *Roster) Missing() []Hash {
	return r.held.missing(func(h Hash) bool { return r.byHash[h] != nil })
}

// Add adds one statement as it travelled; it takes the slice over. added is true when it became part of the set; with it may
// have come others that were held for it. Otherwise it was there already, or it is held until what it names arrives: held
// statements are bounded (4,096 and 16 MiB; the oldest go first) and count for nothing.
//
// Errors, after which the set is as before: ErrTooLarge, ErrMalformed, ErrForged, ErrOtherMesh, ErrRefused, ErrFull.
func (r *Roster) Add(raw []byte) (added bool, err error) {
	s, err := decodeStatement(raw)
	if err != nil {
		return false, err
	}
	if r.Has(s.hash) || r.held.has(s.hash) {
		return false, nil
	}
	if r.mesh != (shoal.MeshID{}) && s.meshID() != r.mesh {
		return false, fmt.Errorf("statement %s: %w", s.hash, ErrOtherMesh)
	}
	if !s.signatureHolds() {
		return false, fmt.Errorf("statement %s: %w", s.hash, ErrForged)
	}
	if missing, ok := r.firstMissing(s); ok {
		r.held.hold(s, missing)
		return false, nil
	}
	if err := r.accept(s); err != nil {
		return false, err
	}
	r.release(s.hash)
	return true, nil
}

// firstMissing returns a statement that has to be there before s.
func (r *Roster) firstMissing(s *statement) (Hash, bool) {
	if s.kind == kindGenesis {
		return Hash{}, false
	}
	for _, h := range append([]Hash{Hash(s.mesh)}, s.names()...) {
		if r.byHash[h] == nil {
			return h, true
		}
	}
	return Hash{}, false
}

// release accepts the held statements that waited for h, and for those in turn. What turns out to be refused is dropped:
// nobody is there to hear of it, and all devices drop it alike.
func (r *Roster) release(h Hash) {
	ready := []Hash{h}
	for len(ready) > 0 {
		next := ready[0]
		ready = ready[1:]
		for _, s := range r.held.take(next) {
			if s.meshID() != r.mesh {
				continue
			}
			if missing, ok := r.firstMissing(s); ok {
				r.held.hold(s, missing)
			} else if r.accept(s) == nil {
				ready = append(ready, s.hash)
			}
		}
	}
}

// accept makes s part of the set, if it is not yet. All that it names is there.
func (r *Roster) accept(s *statement) error {
	if r.Has(s.hash) {
		return nil
	}
	n := r.place(s)
	if err := r.checkDoor(n); err != nil {
		return fmt.Errorf("%s statement %s: %w", s.kind, s.hash, err)
	}
	r.insert(n)
	return nil
}

// place works out where s stands, without changing the roster.
func (r *Roster) place(s *statement) *node {
	n := &node{statement: s, order: len(r.nodes), member: -1, folder: -1}
	n.before = views{members: emptyPast, folders: emptyPast}
	for _, h := range s.names() {
		c := r.byHash[h]
		n.causes = append(n.causes, c)
		n.depth = max(n.depth, c.depth+1)
		n.before = n.before.union(c.upto)
	}
	n.back = r.byHash[s.previous]
	if share := r.signers[s.signer]; share != nil {
		n.number = share.count
	}
	switch p := s.payload.(type) {
	case admit:
		n.gives, n.pathLength = p.role, r.pathLength(n)+1
	case giveRole:
		n.gives = p.role
	}
	if t, ok := takingOf(s.payload); ok {
		for _, h := range t.last {
			n.kept = n.kept.keep(r.byHash[h])
		}
	}
	n.upto = n.before
	switch s.kind {
	case kindGenesis, kindAdmit, kindRole, kindRevoke:
		n.member = len(r.members)
		n.upto.members = n.before.members.with(n.member)
	case kindFolder, kindEpoch:
		n.folder = len(r.folders)
		n.upto.folders = n.before.folders.with(n.folder)
	}
	return n
}

// pathLength returns the number of admissions from the root to the signer of n, as n's signer knew them.
func (r *Roster) pathLength(n *node) int {
	if n.signer == r.root {
		return 0
	}
	shortest := MaxStatements
	for _, a := range r.about[n.signer] {
		if a.kind == kindAdmit && n.saw(a) {
			shortest = min(shortest, a.pathLength)
		}
	}
	return shortest
}

func (r *Roster) insert(n *node) {
	r.nodes = append(r.nodes, n)
	r.byHash[n.hash] = n
	r.bytes += len(n.raw)
	for _, c := range n.causes {
		delete(r.heads, c.hash)
	}
	r.heads[n.hash] = n
	if r.signers[n.signer] == nil {
		r.signers[n.signer] = &signerShare{}
	}
	r.signers[n.signer].add(n)
	if n.member >= 0 {
		r.members = append(r.members, n)
	}
	if n.folder >= 0 {
		r.folders = append(r.folders, n)
	}
	switch p := n.payload.(type) {
	case genesis:
		r.mesh, r.root = shoal.MeshID(n.hash), n.signer
	case admit, giveRole, revoke:
		d := subjectOf(p)
		r.about[d] = append(r.about[d], n)
	case newFolder:
		r.made[folderIDOf(n.hash)] = n
	case newEpoch:
		r.epochs[p.folder] = append(r.epochs[p.folder], n)
	case envelopes:
		for _, e := range p.list {
			r.sealed[e.recipient] = append(r.sealed[e.recipient], sealedFor{by: n, envelope: e})
		}
	}
	r.state = nil
	if n.member >= 0 {
		r.verdict = nil
	}
}

func (s *signerShare) add(n *node) {
	s.count++
	s.bytes += len(n.raw)
	if n.member >= 0 {
		s.members = append(s.members, n)
		if n.isTaker() {
			s.takers++
		}
	}
	s.tips = slices.DeleteFunc(s.tips, func(t *node) bool { return t == n.back })
	s.tips = append(s.tips, n)
}

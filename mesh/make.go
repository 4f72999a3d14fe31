package mesh

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// draft returns a statement by a signer that names all that the roster holds, without payload.
func (r *Roster) draft(by Signer, now time.Time) *statement {
	s := &statement{mesh: r.mesh, signer: by.Device(), time: now.UnixNano()}
	known := views{members: emptyPast, folders: emptyPast}
	if share := r.signers[s.signer]; share != nil {
		last := slices.MaxFunc(share.tips, compareNodes)
		s.previous, known = last.hash, last.upto
	}
	s.heads = r.headsBeside(s.previous, known)
	return s
}

// headsBeside returns the heads to name beside a signer's previous statement. If there are more than fit (a hostile member can
// make as many as it likes), those come first that bring membership statements, then those that bring folders and epochs: so
// no statement is made in ignorance of who is in the mesh. The others stay heads: the statement is concurrent with them.
func (r *Roster) headsBeside(previous Hash, known views) []Hash {
	heads := r.Heads()
	heads = slices.DeleteFunc(heads, func(h Hash) bool { return h == previous })
	if len(heads) <= maxHeads {
		return heads
	}
	rank := map[Hash]int{} // what a head brings that those before it do not; 0 is the most
	for _, h := range heads {
		more := known.union(r.byHash[h].upto)
		switch {
		case more.members != known.members:
			rank[h] = 0
		case more.folders != known.folders:
			rank[h] = 1
		default:
			rank[h] = 2
		}
		known = more
	}
	slices.SortStableFunc(heads, func(a, b Hash) int { return rank[a] - rank[b] })
	return sortedSet(heads[:maxHeads])
}

// publish signs a draft with its payload and adds it to the set, through the same checks as a statement from outside.
func (r *Roster) publish(by Signer, s *statement, p payload) (*node, error) {
	s.payload, s.kind = p, kindOf(p)
	signed, err := s.sign(by)
	if err != nil {
		return nil, fmt.Errorf("make %s statement: %w", s.kind, err)
	}
	if err := r.accept(signed); err != nil {
		return nil, fmt.Errorf("make %w", err)
	}
	r.release(signed.hash)
	return r.byHash[signed.hash], nil
}

func (r *Roster) say(by Signer, p payload, now time.Time) (*node, error) {
	return r.publish(by, r.draft(by, now), p)
}

func kindOf(p payload) kind {
	switch p.(type) {
	case genesis:
		return kindGenesis
	case admit:
		return kindAdmit
	case giveRole:
		return kindRole
	case revoke:
		return kindRevoke
	case cutList:
		return kindCuts
	case newFolder:
		return kindFolder
	case rename:
		return kindRename
	case newEpoch:
		return kindEpoch
	case envelopes:
		return kindEnvelopes
	}
	panic(fmt.Sprintf("mesh: no kind for %T", p))
}

// mayNow tells whether a signer has a right now.
func (r *Roster) mayNow(by Signer, x need) bool {
	if by.Device() == r.root {
		return true
	}
	d, ok := r.State().Device(by.Device())
	return ok && !d.Revoked && x.grantedBy(d.Role)
}

// Create begins a mesh: the root signs the genesis statement, makes the first epoch of the mesh itself (its keys seal names),
// and admits the first owner. The roster shows names to that owner. rand gives the secrets of the epoch.
func Create(root *Root, owner *Identity, ownerName string, rand io.Reader, now time.Time) (*Roster, error) {
	r := NewRoster()
	r.root = root.Device()
	if _, err := r.publish(root, &statement{signer: root.Device(), time: now.UnixNano()}, genesis{rootHPKE: root.HPKEPublic()}); err != nil {
		return nil, fmt.Errorf("create mesh: %w", err)
	}
	if _, err := r.makeEpoch(root, meshScope, nil, now, rand); err != nil {
		return nil, fmt.Errorf("create mesh: %w", err)
	}
	if err := r.Admit(root, owner.Device(), owner.HPKEPublic(), ownerName, RoleOwner, now); err != nil {
		return nil, fmt.Errorf("create mesh: %w", err)
	}
	r.OpenNames(owner)
	return r, nil
}

// sealNameNow seals a name under the current epoch of the mesh itself. ErrNoKey: by has no key to seal it with; Tend, or an
// envelope from another device, helps.
func (r *Roster) sealNameNow(by Signer, subject []byte, name string) (sealedName, error) {
	if err := ValidateName(name); err != nil {
		return sealedName{}, err
	}
	ring := r.ring(by, meshScope)
	n := r.currentEpoch(ring, meshScope)
	if n == nil {
		return sealedName{}, fmt.Errorf("seal name: %w", ErrNoKey)
	}
	epoch := shoal.EpochID(n.hash)
	return sealName(r.mesh, epoch, ring.roots[epoch], subject, name), nil
}

// makeEpoch begins a new epoch for all who are to have it, and seals its root to each. A statement for the epoch comes first, then
// as many as its envelopes take.
func (r *Roster) makeEpoch(by Signer, f shoal.FolderID, life *lifeSecret, now time.Time, rand io.Reader) (*node, error) {
	var root epochRoot
	if _, err := io.ReadFull(rand, root[:]); err != nil {
		return nil, fmt.Errorf("read randomness for epoch: %w", err)
	}
	s := r.draft(by, now)
	before := r.viewsOf(s)
	recipients := r.recipients(before.members)
	if len(recipients) > maxRecipients {
		return nil, fmt.Errorf("epoch for %d recipients: %w", len(recipients), ErrFull)
	}
	links := r.ring(by, f).chain(r.exactEpochs(f))
	links.life = life
	e := newEpoch{folder: f, number: r.nextNumber(before, f), recipients: recipients, commitment: root.commitment(r.mesh, f)}
	e.chain = links.seal(root, r.mesh, f, e.number)
	n, err := r.publish(by, s, e)
	if err != nil {
		return nil, err
	}
	var list []envelope
	for _, d := range recipients {
		sealed, err := r.sealRoot(n, root, d)
		if err != nil {
			return nil, err
		}
		list = append(list, sealed)
	}
	return n, r.send(by, list, now)
}

func (r *Roster) viewsOf(s *statement) views {
	v := views{members: emptyPast, folders: emptyPast}
	for _, h := range s.names() {
		v = v.union(r.byHash[h].upto)
	}
	return v
}

// sealRoot makes the envelope with which a device, or the root, opens an epoch.
func (r *Roster) sealRoot(epoch *node, root epochRoot, to shoal.DeviceID) (envelope, error) {
	id, f := shoal.EpochID(epoch.hash), epoch.payload.(newEpoch).folder
	sealed, err := sealEnvelope(r.hpkeOf(to), envelopeInfo(r.mesh, f, id, to), root[:])
	if err != nil {
		return envelope{}, fmt.Errorf("seal epoch to %s: %w", to, err)
	}
	return envelope{epoch: id, recipient: to, sealed: sealed}, nil
}

// hpkeOf returns the public HPKE key of a device by its admission, or of the root; nil when there is none.
func (r *Roster) hpkeOf(d shoal.DeviceID) []byte {
	if d == r.root {
		return r.byHash[Hash(r.mesh)].payload.(genesis).rootHPKE
	}
	if n := r.evaluation().admission(d); n != nil {
		return n.payload.(admit).hpke
	}
	return nil
}

// send publishes envelopes, as many to a statement as fit.
func (r *Roster) send(by Signer, list []envelope, now time.Time) error {
	slices.SortFunc(list, compareEnvelope)
	for some := range slices.Chunk(list, maxEnvelopes) {
		if _, err := r.say(by, envelopes{list: some}, now); err != nil {
			return err
		}
	}
	return nil
}

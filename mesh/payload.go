package mesh

import (
	"bytes"
	"cmp"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh/internal/meshpb"
)

// payload is what a statement says, one type per kind.
type payload interface {
	validate() error
	message() proto.Message // nil for a kind that this version does not know
}

type genesis struct{ rootHPKE []byte }

type admit struct {
	device shoal.DeviceID
	hpke   []byte
	role   Role
	name   sealedName
}

// taking is what statements that take rights away have in common: how much of the device counts nevertheless.
type taking struct {
	device   shoal.DeviceID
	last     []Hash // last statements that count; with forks of its chain there are several
	cutLists []Hash // Cuts statements of the same signer
}

type giveRole struct {
	taking
	role Role
}

type revoke struct{ taking }

// takingOf returns that part of a Role or Revoke statement; false for other kinds.
func takingOf(p payload) (taking, bool) {
	switch p := p.(type) {
	case giveRole:
		return p.taking, true
	case revoke:
		return p.taking, true
	}
	return taking{}, false
}

// subjectOf returns the device that a membership statement is about.
func subjectOf(p payload) shoal.DeviceID {
	if a, ok := p.(admit); ok {
		return a.device
	}
	t, _ := takingOf(p)
	return t.device
}

type cutList struct {
	device shoal.DeviceID
	cuts   []journalCut // ascending by nonce
}

type journalCut struct {
	nonce uint64
	Cut
}

type newFolder struct {
	lifeCommitment [32]byte
	name           sealedName
}

// rename names a device or a folder, never both.
type rename struct {
	device shoal.DeviceID
	folder shoal.FolderID
	name   sealedName
}

// subject returns the bytes of what is renamed.
func (r rename) subject() string {
	if r.device != (shoal.DeviceID{}) {
		return string(r.device[:])
	}
	return string(r.folder[:])
}

type newEpoch struct {
	folder     shoal.FolderID // zero: the mesh itself
	number     uint64
	recipients []shoal.DeviceID // ascending
	commitment [32]byte
	chain      []byte
}

type envelopes struct{ list []envelope } // ascending by (epoch, recipient)

type envelope struct {
	epoch     shoal.EpochID
	recipient shoal.DeviceID
	sealed    []byte
}

// unknown is the payload of a kind that this version does not know: kept, passed on, and counted for nothing.
type unknown struct{ raw []byte }

// sealedName is a name under the names key of an epoch of the mesh itself.
type sealedName struct {
	epoch shoal.EpochID
	box   []byte
}

func encodePayload(p payload) ([]byte, error) {
	if u, ok := p.(unknown); ok {
		return u.raw, nil
	}
	return marshal(p.message())
}

func decodePayload(k kind, b []byte) (payload, error) {
	switch k {
	case kindGenesis:
		return decodeAs(b, &meshpb.Genesis{}, decodeGenesis)
	case kindAdmit:
		return decodeAs(b, &meshpb.Admit{}, decodeAdmit)
	case kindRole:
		return decodeAs(b, &meshpb.Role{}, decodeRole)
	case kindRevoke:
		return decodeAs(b, &meshpb.Revoke{}, decodeRevoke)
	case kindCuts:
		return decodeAs(b, &meshpb.Cuts{}, decodeCuts)
	case kindFolder:
		return decodeAs(b, &meshpb.Folder{}, decodeFolder)
	case kindRename:
		return decodeAs(b, &meshpb.Rename{}, decodeRename)
	case kindEpoch:
		return decodeAs(b, &meshpb.Epoch{}, decodeEpoch)
	case kindEnvelopes:
		return decodeAs(b, &meshpb.Envelopes{}, decodeEnvelopes)
	}
	return unknown{raw: b}, nil
}

func decodeAs[M proto.Message](b []byte, m M, convert func(*decoder, M) payload) (payload, error) {
	if err := unmarshal(b, m); err != nil {
		return nil, err
	}
	var d decoder
	p := convert(&d, m)
	return p, d.err
}

func decodeGenesis(_ *decoder, m *meshpb.Genesis) payload { return genesis{rootHPKE: m.RootHpke} }

func (g genesis) message() proto.Message { return &meshpb.Genesis{RootHpke: g.rootHPKE} }

func (g genesis) validate() error { return validateHPKE(g.rootHPKE) }

func decodeAdmit(d *decoder, m *meshpb.Admit) payload {
	return admit{
		device: shoal.DeviceID(d.fixed("device", m.Device)), hpke: m.Hpke, role: decodeRoleNumber(d, m.Role),
		name: decodeName(d, m.Name),
	}
}

func (a admit) message() proto.Message {
	return &meshpb.Admit{Device: a.device[:], Hpke: a.hpke, Role: uint32(a.role), Name: a.name.message()}
}

func (a admit) validate() error { return validateHPKE(a.hpke) }

func decodeRole(d *decoder, m *meshpb.Role) payload {
	r := giveRole{taking: decodeTaking(d, m.Device, m.Last, m.CutLists), role: decodeRoleNumber(d, m.Role)}
	return r
}

func (r giveRole) message() proto.Message {
	return &meshpb.Role{Device: r.device[:], Role: uint32(r.role), Last: hashBytes(r.last), CutLists: hashBytes(r.cutLists)}
}

func (r giveRole) validate() error {
	if r.role == RoleVault {
		return malformed("a device that had keys cannot become a vault")
	}
	return nil
}

func decodeRevoke(d *decoder, m *meshpb.Revoke) payload {
	return revoke{decodeTaking(d, m.Device, m.Last, m.CutLists)}
}

func (r revoke) message() proto.Message {
	return &meshpb.Revoke{Device: r.device[:], Last: hashBytes(r.last), CutLists: hashBytes(r.cutLists)}
}

func (r revoke) validate() error { return nil }

func decodeTaking(d *decoder, device []byte, last, cutLists [][]byte) taking {
	return taking{
		device: shoal.DeviceID(d.fixed("device", device)), last: d.hashes("last statements", last, maxLast),
		cutLists: d.hashes("cut lists", cutLists, maxCutLists),
	}
}

func decodeCuts(d *decoder, m *meshpb.Cuts) payload {
	c := cutList{device: shoal.DeviceID(d.fixed("device", m.Device))}
	if len(m.Cuts) == 0 || len(m.Cuts) > maxCuts {
		d.fail("%d cuts", len(m.Cuts))
		return c
	}
	for i, e := range m.Cuts {
		if i > 0 && m.Cuts[i-1].Nonce >= e.Nonce {
			d.fail("cuts not in ascending order")
		}
		if e.Seq == 0 {
			d.fail("cut at 0")
		}
		c.cuts = append(c.cuts, journalCut{nonce: e.Nonce, Cut: Cut{Seq: shoal.Seq(e.Seq), Head: d.fixed("head", e.Head)}})
	}
	return c
}

func (c cutList) message() proto.Message {
	m := &meshpb.Cuts{Device: c.device[:]}
	for i := range c.cuts {
		e := &c.cuts[i]
		m.Cuts = append(m.Cuts, &meshpb.Cut{Nonce: e.nonce, Seq: uint64(e.Seq), Head: e.Head[:]})
	}
	return m
}

func (c cutList) validate() error { return nil }

func decodeFolder(d *decoder, m *meshpb.Folder) payload {
	return newFolder{lifeCommitment: d.fixed("life commitment", m.LifeCommitment), name: decodeName(d, m.Name)}
}

func (f newFolder) message() proto.Message {
	return &meshpb.Folder{LifeCommitment: f.lifeCommitment[:], Name: f.name.message()}
}

func (f newFolder) validate() error { return nil }

func decodeRename(d *decoder, m *meshpb.Rename) payload {
	r := rename{device: shoal.DeviceID(d.optional("device", m.Device)), name: decodeName(d, m.Name)}
	if len(m.Folder) > 0 {
		r.folder = d.folder("folder", m.Folder)
	}
	return r
}

func (r rename) message() proto.Message {
	m := &meshpb.Rename{Name: r.name.message()}
	if r.device != (shoal.DeviceID{}) {
		m.Device = r.device[:]
	}
	if r.folder != (shoal.FolderID{}) {
		m.Folder = r.folder[:]
	}
	return m
}

func (r rename) validate() error {
	if (r.device == (shoal.DeviceID{})) == (r.folder == (shoal.FolderID{})) {
		return malformed("renames not one device or folder")
	}
	return nil
}

func decodeEpoch(d *decoder, m *meshpb.Epoch) payload {
	return newEpoch{
		folder: d.folder("folder", m.Folder), number: m.Number,
		recipients: d.devices("recipients", m.Recipients, maxRecipients),
		commitment: d.fixed("commitment", m.Commitment), chain: m.Chain,
	}
}

func (e newEpoch) message() proto.Message {
	return &meshpb.Epoch{
		Folder: e.folder[:], Number: e.number, Recipients: hashBytes(e.recipients), Commitment: e.commitment[:], Chain: e.chain,
	}
}

func (e newEpoch) validate() error {
	if e.number == 0 || len(e.recipients) == 0 {
		return malformed("epoch without number or recipients")
	}
	if n := len(e.chain) - boxOverhead; n < 0 || n > lifeBytes+maxChained*chainEntryBytes {
		return malformed("chain of %d bytes", len(e.chain))
	}
	return nil
}

func decodeEnvelopes(d *decoder, m *meshpb.Envelopes) payload {
	var p envelopes
	if len(m.Envelopes) == 0 || len(m.Envelopes) > maxEnvelopes {
		d.fail("%d envelopes", len(m.Envelopes))
		return p
	}
	for _, e := range m.Envelopes {
		p.list = append(p.list, envelope{
			epoch: shoal.EpochID(d.fixed("epoch", e.Epoch)), recipient: shoal.DeviceID(d.fixed("recipient", e.Recipient)),
			sealed: e.Sealed,
		})
	}
	return p
}

func (p envelopes) message() proto.Message {
	m := &meshpb.Envelopes{}
	for i := range p.list {
		e := &p.list[i]
		m.Envelopes = append(m.Envelopes, &meshpb.Envelope{Epoch: e.epoch[:], Recipient: e.recipient[:], Sealed: e.sealed})
	}
	return m
}

func (p envelopes) validate() error {
	for i, e := range p.list {
		if len(e.sealed) != envelopeBytes {
			return malformed("envelope of %d bytes", len(e.sealed))
		}
		if i > 0 && compareEnvelope(p.list[i-1], e) >= 0 {
			return malformed("envelopes not in ascending order")
		}
	}
	return nil
}

func compareEnvelope(a, b envelope) int {
	return cmp.Or(bytes.Compare(a.epoch[:], b.epoch[:]), a.recipient.Compare(b.recipient))
}

func (u unknown) message() proto.Message { return nil }

func (u unknown) validate() error { return nil }

func decodeName(d *decoder, m *meshpb.SealedName) sealedName {
	if m == nil {
		d.fail("no name")
		return sealedName{}
	}
	if n := len(m.Box) - boxOverhead; n <= 0 || n > MaxNameBytes || n%namePadding != 0 {
		d.fail("sealed name of %d bytes", len(m.Box))
	}
	return sealedName{epoch: shoal.EpochID(d.fixed("names epoch", m.Epoch)), box: m.Box}
}

func (n sealedName) message() *meshpb.SealedName {
	return &meshpb.SealedName{Epoch: n.epoch[:], Box: n.box}
}

func decodeRoleNumber(d *decoder, n uint32) Role {
	if n < uint32(RoleOwner) || n > uint32(RoleVault) {
		d.fail("role %d", n)
		return 0
	}
	return Role(n)
}

func validateHPKE(public []byte) error {
	if _, err := parseHPKE(public); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

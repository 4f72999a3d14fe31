package mesh

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
)

// makeVectors lives the life of a small mesh in which every kind of statement occurs.
func makeVectors(tb testing.TB) *vectors {
	ann := newMesh(tb, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleOwner)
	cat, eve := ann.admits("cat", RoleMember), ann.admits("eve", RoleMember)
	ann.admits("vault", RoleVault)
	ann.setsRole(cat, RoleReader, 12)
	ann.must(ann.RenameDevice(ann.Identity, cat.Device(), "bob", ann.tick())) // becomes bob-2
	bob.learn(ann)
	bob.must(bob.RenameFolder(bob.Identity, photos, "Pictures", bob.tick()))
	bob.revokes(eve, 3, 4)
	ann.revokes(eve, 5)
	ann.revokes(bob) // had not heard of what bob said last: it is void
	ann.learn(bob)
	ann.tends()
	v := &vectors{State: strings.Split(describe(ann.State()), "\n")}
	root := theRoot(tb)
	v.Phrase, _ = NewPhrase(make([]byte, 32))
	v.Root, v.RootHPKE = root.Device().String(), root.HPKEPublic()
	for _, name := range []string{"ann", "bob", "cat", "eve", "vault"} {
		id := identity(tb, name)
		v.Identities = append(v.Identities, identityVector{Name: name, Device: id.Device().String(), Secret: id.secret[:], HPKE: id.HPKEPublic()})
	}
	for i, n := range ann.nodes {
		v.Statements = append(v.Statements, statementVector{Name: fmt.Sprintf("%d %s", i, n.kind), Hash: n.hash.String(), Hex: n.raw})
	}
	for _, name := range []string{"ann", "cat", "eve"} {
		id := identity(tb, name)
		for _, f := range []shoal.FolderID{meshScope, photos} {
			k, err := ann.FolderKeys(id, f)
			if err != nil {
				tb.Fatal(err)
			}
			var order []epochVector
			for _, n := range ann.exactEpochs(f) {
				order = append(order, epochVector{ID: n.hash.String()})
			}
			v.Keys = append(v.Keys, describeKeys(id, f, k, order))
		}
	}
	return v
}

// makeInvalid makes one statement for each thing that can be wrong.
func makeInvalid(tb testing.TB, v *vectors) []invalidVector {
	ann := &device{Identity: v.identities(tb)[0], Roster: v.roster(tb), tb: tb, name: "ann", now: start}
	cat := v.identities(tb)[2]
	var out []invalidVector
	add := func(name, kind string, raw []byte) {
		out = append(out, invalidVector{Name: name, Error: kind, Hex: raw})
	}
	name := sealedName{epoch: shoal.EpochID{1}, box: make([]byte, boxOverhead+namePadding)}
	good := rename{device: ann.Device(), name: name}
	raw := func() []byte { return rawOf(tb, ann, ann.drafted(good)) }

	add("nothing", "malformed", nil)
	add("no body", "malformed", raw()[:1+signatureBytes])
	future := raw()
	future[0] = 2
	add("format 2", "malformed", future)
	bent := raw()
	bent[5] ^= 1
	add("signature altered", "forged", bent)
	altered := raw()
	altered[len(altered)-1] ^= 1
	add("name altered", "forged", altered)
	add("signed by another", "forged", rawOf(tb, cat, ann.drafted(good)))

	body := raw()[1+signatureBytes:]
	add("field that nobody knows", "malformed", rawBody(ann, protowire.AppendVarint(protowire.AppendTag(body, 15, protowire.VarintType), 1)))
	add("field twice", "malformed", rawBody(ann, protowire.AppendVarint(protowire.AppendTag(raw()[1+signatureBytes:], 2, protowire.VarintType), 7)))
	add("cut short", "malformed", rawBody(ann, raw()[1+signatureBytes:len(body)-1]))

	for _, c := range ann.crookedStatements(cat, name) {
		add(c.name, c.error, rawOf(tb, ann, c.statement))
	}
	return out
}

type crooked struct {
	name, error string
	*statement
}

func (d *device) crookedStatements(cat *Identity, name sealedName) []crooked {
	var out []crooked
	say := func(what, kind string, p payload) { out = append(out, crooked{what, kind, d.drafted(p)}) }
	bend := func(what, kind string, change func(*statement)) {
		s := d.drafted(rename{device: d.Device(), name: name})
		s.kind = kindRename
		change(s)
		out = append(out, crooked{what, kind, s})
	}
	bend("no kind", "malformed", func(s *statement) { s.kind, s.payload = 0, unknown{} })
	bend("no signer", "malformed", func(s *statement) { s.signer = shoal.DeviceID{} })
	bend("no mesh", "malformed", func(s *statement) { s.mesh = shoal.MeshID{} })
	bend("another mesh", "other mesh", func(s *statement) { s.mesh = shoal.MeshID{1} })
	bend("names nothing before it", "malformed", func(s *statement) { s.previous, s.heads = Hash{}, nil })
	bend("heads not in order", "malformed", func(s *statement) { s.heads = []Hash{{2}, {1}} })
	bend("head twice", "malformed", func(s *statement) { s.heads = []Hash{{1}, {1}} })
	bend("previous among the heads", "malformed", func(s *statement) { s.heads = []Hash{s.previous} })
	bend("too many heads", "malformed", func(s *statement) {
		for i := range maxHeads + 1 {
			s.heads = append(s.heads, Hash{1, byte(i)})
		}
	})
	bend("payload of another kind", "malformed", func(s *statement) { s.kind = kindEpoch })
	bend("genesis of another mesh", "other mesh", func(s *statement) {
		*s = statement{kind: kindGenesis, signer: d.Device(), payload: genesis{rootHPKE: cat.HPKEPublic()}}
	})
	bend("genesis that names something", "malformed", func(s *statement) {
		s.kind, s.payload, s.mesh = kindGenesis, genesis{rootHPKE: cat.HPKEPublic()}, shoal.MeshID{}
	})
	dev, key := shoal.DeviceID{1}, cat.HPKEPublic()
	say("role 0", "malformed", admit{device: dev, hpke: key, name: name})
	say("role 5", "malformed", admit{device: dev, hpke: key, role: 5, name: name})
	say("HPKE key too short", "malformed", admit{device: dev, hpke: key[1:], role: RoleMember, name: name})
	say("HPKE key that is none", "malformed", admit{device: dev, hpke: append([]byte{255, 255, 255}, key[3:]...), role: RoleMember, name: name})
	say("name without padding", "malformed", rename{device: dev, name: sealedName{epoch: name.epoch, box: make([]byte, boxOverhead+5)}})
	say("name too long", "malformed", rename{device: dev, name: sealedName{epoch: name.epoch, box: make([]byte, boxOverhead+MaxNameBytes+namePadding)}})
	say("becomes a vault", "malformed", giveRole{taking: taking{device: dev}, role: RoleVault})
	say("cuts not in order", "malformed", cutList{device: dev, cuts: []journalCut{{2, Cut{1, [32]byte{1}}}, {1, Cut{1, [32]byte{1}}}}})
	say("cut at 0", "malformed", cutList{device: dev, cuts: []journalCut{{1, Cut{0, [32]byte{1}}}}})
	say("no cuts", "malformed", cutList{device: dev})
	say("renames both", "malformed", rename{device: dev, folder: shoal.FolderID{1}, name: name})
	say("renames nothing", "malformed", rename{name: name})
	say("epoch without number", "malformed", newEpoch{recipients: []shoal.DeviceID{dev}, commitment: [32]byte{1}, chain: make([]byte, boxOverhead)})
	say("epoch without recipients", "malformed", newEpoch{number: 1, commitment: [32]byte{1}, chain: make([]byte, boxOverhead)})
	say("recipients not in order", "malformed", newEpoch{number: 1, recipients: []shoal.DeviceID{{2}, {1}}, commitment: [32]byte{1}, chain: make([]byte, boxOverhead)})
	say("chain too short", "malformed", newEpoch{number: 1, recipients: []shoal.DeviceID{dev}, commitment: [32]byte{1}, chain: make([]byte, boxOverhead-1)})
	say("envelope too short", "malformed", envelopes{list: []envelope{{shoal.EpochID{1}, dev, make([]byte, envelopeBytes-1)}}})
	say("no envelopes", "malformed", envelopes{})
	say("revokes the root", "refused", revoke{taking{device: d.Root()}})
	say("revokes a stranger", "refused", revoke{taking{device: dev}})
	say("revokes itself", "refused", revoke{taking{device: d.Device()}})
	say("epoch number left out", "refused", newEpoch{number: 9, recipients: []shoal.DeviceID{dev}, commitment: [32]byte{1}, chain: make([]byte, boxOverhead)})
	return out
}

package mesh

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// rawOf encodes and signs a statement without any check: what a hostile program can make.
func rawOf(tb testing.TB, by Signer, s *statement) []byte {
	tb.Helper()
	if _, is := s.payload.(unknown); !is && s.kind == 0 {
		s.kind = kindOf(s.payload)
	}
	body, err := s.encodeBody()
	if err != nil {
		tb.Fatal(err)
	}
	return rawBody(by, body)
}

func rawBody(by Signer, body []byte) []byte {
	raw := append([]byte{formatByte}, by.Sign(labelStatement, body)...)
	return append(raw, body...)
}

// drafted returns a draft with a payload.
func (d *device) drafted(p payload) *statement {
	s := d.draft(d, d.tick())
	s.payload = p
	return s
}

// refusesAndStays adds a statement that has to be refused, and checks that nothing changed.
func refusesAndStays(t *testing.T, d *device, name string, raw []byte, want error) {
	t.Helper()
	count, before := d.Count(), describe(d.State())
	added, err := d.Add(raw)
	if added || !errors.Is(err, want) {
		t.Errorf("%s: added %v, %v; want %v", name, added, err, want)
	}
	if d.Count() != count || describe(d.State()) != before {
		t.Errorf("%s: the roster changed", name)
	}
}

func TestDoorRefusesWhatCanNeverCount(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, vault, cat := ann.admits("bob", RoleOwner), ann.admits("vault", RoleVault), identity(t, "cat")
	bob.learn(ann)
	name := sealedName{epoch: ann.current(meshScope).ID, box: make([]byte, boxOverhead+namePadding)}
	list, err := ann.say(ann, cutList{device: vault.Device(), cuts: []journalCut{{nonce: 1, Cut: Cut{Seq: 1, Head: [32]byte{1}}}}}, ann.tick())
	ann.must(err)
	bob.learn(ann)
	annTip, folder := ann.signers[ann.Device()].tips[0], ann.made[photos].hash
	newCat := admit{device: cat.Device(), hpke: cat.HPKEPublic(), role: RoleMember, name: name}
	epoch := newEpoch{folder: photos, number: 2, recipients: ann.recipientsNow(), commitment: [32]byte{1}, chain: make([]byte, boxOverhead+lifeBytes)}
	for name, p := range map[string]payload{
		"admits the root":                     admit{device: ann.Root(), hpke: cat.HPKEPublic(), role: RoleOwner, name: name},
		"revokes the root":                    revoke{taking{device: ann.Root()}},
		"revokes itself":                      revoke{taking{device: bob.Device()}},
		"revokes a stranger":                  revoke{taking{device: cat.Device()}},
		"lets count what is another's":        revoke{taking{device: vault.Device(), last: []Hash{annTip.hash}}},
		"cuts by a list of another":           revoke{taking{device: vault.Device(), cutLists: []Hash{list.hash}}},
		"cuts by what is no list":             revoke{taking{device: vault.Device(), cutLists: []Hash{bob.byHash[Hash(bob.Mesh())].hash}}},
		"gives the root a role":               giveRole{taking: taking{device: ann.Root()}, role: RoleReader},
		"gives a vault a role":                giveRole{taking: taking{device: vault.Device()}, role: RoleMember},
		"lists cuts of a stranger":            cutList{device: cat.Device(), cuts: []journalCut{{nonce: 1, Cut: Cut{Seq: 1, Head: [32]byte{1}}}}},
		"renames a stranger":                  rename{device: cat.Device(), name: name},
		"renames an unknown folder":           rename{folder: shoal.FolderID{1}, name: name},
		"begins an epoch of nothing":          newEpoch{folder: shoal.FolderID{1}, number: 1, recipients: epoch.recipients, commitment: epoch.commitment, chain: epoch.chain},
		"leaves an epoch number out":          newEpoch{folder: photos, number: 3, recipients: epoch.recipients, commitment: epoch.commitment, chain: epoch.chain},
		"uses an epoch number again":          newEpoch{folder: photos, number: 1, recipients: epoch.recipients, commitment: epoch.commitment, chain: epoch.chain},
		"seals an unknown epoch":              envelopes{list: []envelope{{epoch: shoal.EpochID(folder), recipient: bob.Device(), sealed: make([]byte, envelopeBytes)}}},
		"seals to a stranger":                 envelopes{list: []envelope{{epoch: ann.current(photos).ID, recipient: cat.Device(), sealed: make([]byte, envelopeBytes)}}},
		"a second beginning, but not genesis": genesis{rootHPKE: cat.HPKEPublic()},
	} {
		s := bob.drafted(p)
		want := ErrRefused
		if _, is := p.(genesis); is {
			s = &statement{signer: bob.Device(), payload: p}
			want = ErrOtherMesh
		}
		refusesAndStays(t, bob, name, rawOf(t, bob, s), want)
	}
	stolen := bob.drafted(newCat)
	stolen.previous, stolen.heads = annTip.hash, nil
	refusesAndStays(t, bob, "continues another's chain", rawOf(t, bob, stolen), ErrRefused)
	stranger := bob.drafted(newCat)
	stranger.signer, stranger.previous, stranger.heads = cat.Device(), Hash{}, bob.Heads()
	refusesAndStays(t, bob, "by a stranger", rawOf(t, cat, stranger), ErrRefused)
	forged := bob.drafted(newCat)
	forged.signer = ann.Device()
	refusesAndStays(t, bob, "signed by another", rawOf(t, bob, forged), ErrForged)
	other := bob.drafted(newCat)
	other.mesh = shoal.MeshID{1}
	refusesAndStays(t, bob, "of another mesh", rawOf(t, bob, other), ErrOtherMesh)
}

func TestAlteredStatementNeverChangesTheState(t *testing.T) {
	ann := newMesh(t, "ann")
	ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleOwner)
	bob.learn(ann)
	heads := bob.Heads()
	ann.revokes(bob, 1, 2)
	ann.admits("cat", RoleMember)
	fresh := ann.Since(heads)
	rapid.Check(t, func(rt *rapid.T) {
		raw := slices.Clone(fresh[rapid.IntRange(0, len(fresh)-1).Draw(rt, "statement")])
		at := rapid.IntRange(0, len(raw)-1).Draw(rt, "byte")
		raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		count, before := bob.Count(), describe(bob.State())
		added, err := bob.Add(raw)
		if added || err == nil || bob.Count() != count || len(bob.held.byHash) != 0 || describe(bob.State()) != before {
			rt.Fatalf("added %v, %v", added, err)
		}
	})
}

func TestAddingAgainChangesNothing(t *testing.T) {
	ann := newMesh(t, "ann")
	ann.admits("bob", RoleMember)
	before := describe(ann.State())
	for _, raw := range ann.Statements() {
		if added, err := ann.Add(raw); added || err != nil {
			t.Errorf("added %v, %v", added, err)
		}
	}
	count := ann.Count()
	ann.must(ann.accept(ann.nodes[count-1].statement)) // made here, while it was also on its way from elsewhere
	if describe(ann.State()) != before || ann.Count() != count {
		t.Error("the state changed")
	}
}

func TestHeldStatementsCountForNothingAndAreAskedFor(t *testing.T) {
	ann := newMesh(t, "ann")
	ann.admits("bob", RoleMember)
	all := ann.Statements()
	r := NewRoster()
	for _, raw := range slices.Backward(all[2:]) {
		if added, err := r.Add(raw); added || err != nil {
			t.Fatalf("added %v, %v", added, err)
		}
	}
	second, _ := decodeStatement(all[1])
	if got := r.Missing(); r.Count() != 0 || len(got) != 2 || !slices.Contains(got, second.hash) || !slices.Contains(got, Hash(ann.Mesh())) {
		t.Errorf("%d accepted, missing %v", r.Count(), got)
	}
	for _, raw := range all[:2] {
		if added, err := r.Add(raw); !added || err != nil {
			t.Fatalf("added %v, %v", added, err)
		}
	}
	if r.Count() != len(all) || len(r.Missing()) != 0 || len(r.held.byHash) != 0 || r.held.bytes != 0 {
		t.Errorf("%d accepted, %d held", r.Count(), len(r.held.byHash))
	}
}

func TestHeldStatementsAreBoundedAndTheOldestGo(t *testing.T) {
	h := newHeld()
	number := func(i int) Hash { return Hash{1, byte(i), byte(i >> 8)} }
	for i := range 3 * maxHeld {
		h.hold(&statement{hash: number(i), raw: []byte{1}}, Hash{9, byte(i)})
	}
	if len(h.byHash) != maxHeld || h.bytes != maxHeld || h.has(number(2*maxHeld-1)) || !h.has(number(2*maxHeld)) {
		t.Errorf("%d held, %d bytes", len(h.byHash), h.bytes)
	}
	waiting := 0
	for _, list := range h.waiting {
		waiting += len(list)
	}
	if waiting != maxHeld || len(h.oldest) > 2*maxHeld {
		t.Errorf("%d wait, %d in line", waiting, len(h.oldest))
	}
}

func TestHeldBytesAreBounded(t *testing.T) {
	h := newHeld()
	for i := range 2 * maxHeldBytes / MaxStatementBytes {
		h.hold(&statement{hash: Hash{byte(i), byte(i >> 8)}, raw: make([]byte, MaxStatementBytes)}, Hash{9})
	}
	if h.bytes != maxHeldBytes || len(h.take(Hash{9})) != maxHeldBytes/MaxStatementBytes || h.bytes != 0 {
		t.Errorf("%d bytes held", h.bytes)
	}
}

func TestOneSignerCannotFillTheRosterAndTheRootAlwaysHasRoom(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	root, r := bob.rootWith()
	for _, tc := range []struct {
		name string
		fill func(r *Roster)
	}{
		{"statements of one", func(r *Roster) { r.signers[bob.Device()] = &signerShare{count: maxPerSigner} }},
		{"bytes of one", func(r *Roster) { r.signers[bob.Device()] = &signerShare{bytes: maxBytesPerSigner} }},
		{"membership statements of one", func(r *Roster) {
			r.signers[bob.Device()] = &signerShare{members: slices.Repeat(r.members[:1], maxMembersPerSigner)}
		}},
		{"takers of one", func(r *Roster) { r.signers[bob.Device()] = &signerShare{takers: maxTakersPerSigner} }},
		{"bytes of all", func(r *Roster) { r.bytes = MaxRosterBytes }},
	} {
		r := filled(t, r.Statements())
		tc.fill(r)
		n := r.place(&statement{kind: kindRevoke, signer: bob.Device(), raw: make([]byte, 100)})
		if err := r.checkRoom(n); !errors.Is(err, ErrFull) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := r.Revoke(root, bob.Device(), nil, ann.tick(), ann.dice); err != nil {
			t.Errorf("%s: the root: %v", tc.name, err)
		}
	}
}

func TestStatementOfAKindFromTheFutureIsKeptPassedOnAndIgnored(t *testing.T) {
	ann := newMesh(t, "ann")
	s := ann.draft(ann, ann.tick())
	s.kind, s.payload = 99, unknown{raw: []byte("something new")}
	if added, err := ann.Add(rawOf(t, ann, s)); !added || err != nil {
		t.Fatalf("added %v, %v", added, err)
	}
	bob := ann.admits("bob", RoleMember)
	if got := inMesh(bob.State()); got != "ann:owner bob:member " {
		t.Errorf("in the mesh: %q", got)
	}
	p := bob.State().Problems()
	if len(p) != 1 || p[0].Kind != "kind 99" || p[0].Reason != reasonTexts[voidUnknownKind] {
		t.Errorf("problems: %v", p)
	}
}

func TestLargestStatementsFitAndLargerOnesAreRefused(t *testing.T) {
	ann := newMesh(t, "ann")
	full := func(n int) (out []Hash) {
		for i := range n {
			out = append(out, Hash{1, byte(i >> 8), byte(i), 1})
		}
		return out
	}
	var recipients []shoal.DeviceID
	for _, h := range full(maxRecipients) {
		recipients = append(recipients, shoal.DeviceID(h))
	}
	cuts := cutList{device: shoal.DeviceID{1}}
	var sealed envelopes
	for i := range maxCuts {
		cuts.cuts = append(cuts.cuts, journalCut{nonce: 1<<63 + uint64(i), Cut: Cut{Seq: 1 << 62, Head: [32]byte{1}}})
	}
	for _, h := range full(maxEnvelopes) {
		sealed.list = append(sealed.list, envelope{epoch: shoal.EpochID(h), recipient: shoal.DeviceID{1}, sealed: make([]byte, envelopeBytes)})
	}
	chain := make([]byte, boxOverhead+lifeBytes+maxChained*chainEntryBytes)
	if _, err := decodeStatement(make([]byte, MaxStatementBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
	for name, p := range map[string]payload{
		"epoch":     newEpoch{number: 1 << 60, recipients: recipients, commitment: [32]byte{1}, chain: chain},
		"revoke":    revoke{taking{device: shoal.DeviceID{1}, last: full(maxLast), cutLists: full(maxCutLists)}},
		"cuts":      cuts,
		"envelopes": sealed,
	} {
		s := ann.drafted(p)
		s.heads = full(maxHeads)
		if _, err := decodeStatement(rawOf(t, ann, s)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

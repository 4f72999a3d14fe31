package mesh

import (
	"errors"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

// recipientsNow returns who a new epoch by d has to be for.
func (d *device) recipientsNow() []shoal.DeviceID {
	return d.recipients(d.viewsOf(d.draft(d, d.now)).members)
}

// publishEpoch makes an epoch for others than it should be for, as a hostile writer would.
func (d *device) publishEpoch(f shoal.FolderID, root epochRoot, recipients []shoal.DeviceID, commitment [32]byte) *node {
	d.tb.Helper()
	s := d.draft(d, d.tick())
	e := newEpoch{folder: f, number: d.nextNumber(d.viewsOf(s), f), recipients: recipients, commitment: commitment}
	links := d.ring(d, f).chain(d.exactEpochs(f))
	links.life = d.ring(d, f).life
	e.chain = links.seal(root, d.Mesh(), f, e.number)
	n, err := d.publish(d, s, e)
	d.must(err)
	return n
}

func TestEpochIsVoidUnlessItsRecipientsAreExact(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, vault := ann.admits("bob", RoleMember), ann.admits("vault", RoleVault)
	exactly := ann.recipientsNow()
	add := func(d shoal.DeviceID) []shoal.DeviceID { return sortedSet(append(slices.Clone(exactly), d)) }
	drop := func(d shoal.DeviceID) []shoal.DeviceID {
		return slices.DeleteFunc(slices.Clone(exactly), func(o shoal.DeviceID) bool { return o == d })
	}
	for name, tc := range map[string]struct {
		recipients []shoal.DeviceID
		counts     bool
	}{
		"exact":            {exactly, true},
		"without bob":      {drop(bob.Device()), false},
		"without the root": {drop(ann.Root()), false},
		"with the vault":   {add(vault.Device()), false},
		"with a stranger":  {add(identity(t, "stranger").Device()), false},
	} {
		d := ann.as("ann")
		root := epochRoot{7}
		n := d.publishEpoch(photos, root, tc.recipients, root.commitment(d.Mesh(), photos))
		env, err := d.sealRoot(n, root, d.Device())
		d.must(err)
		d.must(d.send(d, []envelope{env}, d.tick()))
		_, readable := d.keys(photos).Epoch(shoal.EpochID(n.hash))
		if counted := d.evaluation().judge(n) == counts; counted != tc.counts || readable != tc.counts {
			t.Errorf("%s: counts %v, readable %v", name, counted, readable)
		}
		if current := d.current(photos); (current.ID == shoal.EpochID(n.hash)) != tc.counts {
			t.Errorf("%s: current is number %d", name, current.Number)
		}
	}
}

func TestRootThatDoesNotMatchTheCommitmentIsRefused(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	before := ann.current(photos)
	promised, given := epochRoot{7}, epochRoot{8}
	n := ann.publishEpoch(photos, promised, ann.recipientsNow(), promised.commitment(ann.Mesh(), photos))
	for _, root := range []epochRoot{given, promised} {
		env, err := ann.sealRoot(n, root, ann.Device())
		ann.must(err)
		ann.must(ann.send(ann, []envelope{env}, ann.tick()))
		wrong := root == given
		if _, opened := ann.keys(photos).Epoch(shoal.EpochID(n.hash)); opened == wrong {
			t.Errorf("wrong root %v: opened %v", wrong, opened)
		}
		if current := ann.current(photos); (current == before) != wrong {
			t.Errorf("wrong root %v: writes under %d", wrong, current.Number)
		}
	}
}

func TestChainedRootThatDoesNotMatchTheCommitmentIsRefused(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	hidden := epochRoot{9}
	n := ann.publishEpoch(photos, hidden, ann.recipientsNow(), hidden.commitment(ann.Mesh(), photos))
	s := ann.draft(ann, ann.tick())
	root := epochRoot{7}
	links := chain{life: ann.ring(ann, photos).life, roots: []chainedRoot{{epoch: shoal.EpochID(n.hash), root: epochRoot{1}}}}
	e := newEpoch{folder: photos, number: 3, recipients: ann.recipientsNow(), commitment: root.commitment(ann.Mesh(), photos)}
	e.chain = links.seal(root, ann.Mesh(), photos, e.number)
	liar, err := ann.publish(ann, s, e)
	ann.must(err)
	env, err := ann.sealRoot(liar, root, ann.Device())
	ann.must(err)
	ann.must(ann.send(ann, []envelope{env}, ann.tick()))
	if _, opened := ann.keys(photos).Epoch(shoal.EpochID(liar.hash)); !opened {
		t.Error("the epoch itself was refused")
	}
	if _, opened := ann.keys(photos).Epoch(shoal.EpochID(n.hash)); opened {
		t.Error("took over a root that was not committed to")
	}
}

func TestChainedRootOfAnEpochThatArrivesLaterIsTakenOver(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	cat := ann.admits("cat", RoleMember)
	hidden := epochRoot{9}
	late := bob.publishEpoch(photos, hidden, bob.recipientsNow(), hidden.commitment(bob.Mesh(), photos)) // no envelopes
	_, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice)
	ann.must(err)
	s, root := ann.draft(ann, ann.tick()), epochRoot{7}
	links := chain{life: ann.ring(ann, photos).life, roots: []chainedRoot{{epoch: shoal.EpochID(late.hash), root: hidden}}}
	e := newEpoch{folder: photos, number: 3, recipients: ann.recipientsNow(), commitment: root.commitment(ann.Mesh(), photos)}
	e.chain = links.seal(root, ann.Mesh(), photos, e.number)
	n, err := ann.publish(ann, s, e)
	ann.must(err)
	env, err := ann.sealRoot(n, root, cat.Device())
	ann.must(err)
	ann.must(ann.send(ann, []envelope{env}, ann.tick()))
	cat.learn(ann)
	if _, has := cat.keys(photos).Epoch(shoal.EpochID(late.hash)); has {
		t.Error("has the keys of an epoch that has not arrived")
	}
	cat.learn(bob)
	if _, has := cat.keys(photos).Epoch(shoal.EpochID(late.hash)); !has {
		t.Error("lacks the keys of an epoch whose root was in a chain")
	}
}

func TestEnvelopeOpensForOneMeshFolderEpochAndRecipientOnly(t *testing.T) {
	ann, bob := identity(t, "ann"), identity(t, "bob")
	m, f, e := shoal.MeshID{1}, shoal.FolderID{2}, shoal.EpochID{3}
	sealed, err := sealEnvelope(ann.HPKEPublic(), envelopeInfo(m, f, e, ann.Device()), make([]byte, rootBytes))
	if err != nil || len(sealed) != envelopeBytes {
		t.Fatalf("%d bytes, %v", len(sealed), err)
	}
	for name, tc := range map[string]struct {
		by    Signer
		info  []byte
		opens bool
	}{
		"as sealed":         {ann, envelopeInfo(m, f, e, ann.Device()), true},
		"another mesh":      {ann, envelopeInfo(shoal.MeshID{9}, f, e, ann.Device()), false},
		"another folder":    {ann, envelopeInfo(m, shoal.FolderID{9}, e, ann.Device()), false},
		"another epoch":     {ann, envelopeInfo(m, f, shoal.EpochID{9}, ann.Device()), false},
		"another recipient": {bob, envelopeInfo(m, f, e, bob.Device()), false},
		"posing as another": {bob, envelopeInfo(m, f, e, ann.Device()), false},
	} {
		if _, err := tc.by.openEnvelope(tc.info, sealed); (err == nil) != tc.opens {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnvelopeMovedToAnotherEpochOpensNothing(t *testing.T) {
	ann := newMesh(t, "ann")
	photos, music := ann.addsFolder("Photos"), ann.addsFolder("Music")
	eve := ann.admits("eve", RoleMember)
	bob := eve.admitsAs(ann, "bob")
	var moved []envelope
	for _, s := range ann.sealed[bob.Device()] {
		if e := ann.byHash[Hash(s.epoch)].payload.(newEpoch); e.folder == photos {
			s.envelope.epoch = ann.current(music).ID
			moved = append(moved, s.envelope)
		}
	}
	bare := eve.as("bob") // knows of the admission alone
	bare.must(bare.send(eve, moved, eve.tick()))
	if _, err := bare.FolderKeys(bare.Identity, music); !errors.Is(err, ErrNoKey) {
		t.Errorf("keys from a moved envelope: %v", err)
	}
	bare.learn(ann)
	if bare.current(music) != ann.current(music) {
		t.Error("a bad envelope hides a good one")
	}
}

// admitsAs lets ann admit a device, of which d hears but for the envelopes.
func (d *device) admitsAs(ann *device, name string) *device {
	d.tb.Helper()
	o := ann.admits(name, RoleMember)
	for _, raw := range ann.Since(d.Heads()) {
		if s, _ := decodeStatement(raw); s.kind != kindEnvelopes {
			_, err := d.Add(raw)
			d.must(err)
		}
	}
	return o
}

func TestEpochStaysReadableWhenItsMakerIsRevoked(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	id, err := bob.NewEpoch(bob.Identity, photos, bob.tick(), bob.dice)
	bob.must(err)
	ann.revokes(bob) // has not heard of the epoch: it is void
	cat := ann.admits("cat", RoleMember)
	ann.learn(bob)
	ann.tends()
	cat.learn(ann)
	for _, d := range []*device{ann, cat} {
		if _, ok := d.keys(photos).Epoch(id); !ok {
			t.Errorf("%s cannot read what others wrote under the epoch", d.name)
		}
		if d.current(photos).ID == id {
			t.Errorf("%s writes under the epoch", d.name)
		}
	}
}

func TestNothingToWriteUnderUntilSomebodyTends(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve := ann.admits("bob", RoleMember), ann.admits("eve", RoleMember)
	bob.learn(ann)
	_, err := ann.say(ann, revoke{taking{device: eve.Device()}}, ann.tick()) // and then a crash
	ann.must(err)
	bob.learn(ann)
	if _, ok := bob.keys(photos).Current(); ok {
		t.Error("bob writes under an epoch that eve has")
	}
	if _, err := bob.AddFolder(bob.Identity, "Music", bob.tick(), bob.dice); !errors.Is(err, ErrNoKey) {
		t.Errorf("sealed a name for eve too: %v", err)
	}
	if bob.tends() == 0 || bob.current(photos).Number != 2 {
		t.Error("tending brought no epoch")
	}
	bob.addsFolder("Music")
	if bob.tends() != 0 {
		t.Error("tending does not end")
	}
}

func TestEpochBeforeAnAdmissionIsNotWrittenUnderAfterTheRevocation(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos") // eve is no recipient of this epoch, but got it when she came
	eve := ann.admits("eve", RoleMember)
	first := ann.current(photos)
	ann.revokes(eve)
	if ann.current(photos).ID == first.ID {
		t.Error("eve has the epoch that is written under")
	}
}

func TestRevokedOwnerCannotStirUpTheMeshByAdmittingOthers(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	eve := ann.admits("eve", RoleOwner)
	ann.revokes(eve)
	before := ann.current(photos)
	eve.admits("mallory", RoleMember)
	ann.learn(eve)
	if ann.current(photos) != before || ann.tends() != 0 {
		t.Error("a void admission made a new epoch necessary")
	}
}

func TestEpochForADeviceWhoseAdmissionBecameVoidIsNotWrittenUnder(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleOwner)
	eve := bob.admits("eve", RoleMember)
	ann.learn(bob)
	id, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice)
	ann.must(err)
	eve.learn(ann)
	if eve.current(photos).ID != id {
		t.Fatal("eve has no key")
	}
	_, err = ann.say(ann, giveRole{taking: taking{device: bob.Device()}, role: RoleMember}, ann.tick()) // keeps nothing of bob's
	ann.must(err)
	if ann.State().Admitted(eve.Device()) || ann.tends() == 0 || ann.current(photos).ID == id {
		t.Error("eve is in, or has the epoch that is written under")
	}
}

func TestVaultLeavesWithoutNewEpochs(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	vault := ann.admits("vault", RoleVault)
	before := ann.current(photos)
	ann.revokes(vault)
	if ann.current(photos) != before || ann.State().Admitted(vault.Device()) {
		t.Error("a vault has no keys, so nothing had to be renewed")
	}
}

func TestDeviceAdmittedConcurrentlyWithAnEpochGetsIt(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve := ann.admits("bob", RoleOwner), ann.admits("eve", RoleMember)
	bob.learn(ann)
	ann.revokes(eve)
	cat := bob.admits("cat", RoleMember) // bob has not heard of eve
	cat.learn(ann)
	if _, ok := cat.keys(photos).Current(); ok {
		t.Error("cat writes under an epoch that eve has")
	}
	if cat.tends() != 0 {
		t.Error("cat does not wait for the epoch that is there")
	}
	ann.learn(bob)
	if ann.tends() != 1 {
		t.Error("one statement of envelopes was lacking")
	}
	cat.learn(ann)
	if cat.current(photos) != ann.current(photos) {
		t.Error("cat still has no epoch")
	}
}

func TestRootOpensEverythingFromThePhrase(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	ann.admits("bob", RoleMember)
	_, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice)
	ann.must(err)
	root, r := ann.rootWith()
	dan := identity(t, "dan")
	if err := r.Admit(root, dan.Device(), dan.HPKEPublic(), "dan", RoleOwner, ann.tick()); err != nil {
		t.Fatal(err)
	}
	k, err := r.FolderKeys(dan, photos)
	if err != nil || len(k.epochs) != 2 || k.Chunker != ann.keys(photos).Chunker {
		t.Errorf("%v, %v", k, err)
	}
	if n, err := r.Tend(root, ann.tick(), ann.dice); n != 0 || err != nil {
		t.Errorf("tended %d, %v", n, err)
	}
}

func TestOneEnvelopePerFolderOpensALongHistory(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	epochs := maxChained + 20 // more than one chain holds
	if testing.Short() {
		epochs = 20
	}
	for i := range epochs - 1 { // without the cost of envelopes
		root := epochRoot{byte(i), byte(i >> 8), 1}
		n := ann.publishEpoch(photos, root, ann.recipientsNow(), root.commitment(ann.Mesh(), photos))
		ann.ring(ann, photos).roots[shoal.EpochID(n.hash)] = root
	}
	_, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice)
	ann.must(err)
	bob := ann.admits("bob", RoleMember)
	if got := len(bob.sealed[bob.Device()]); got != 2 { // the mesh itself, and Photos
		t.Errorf("%d envelopes", got)
	}
	if len(bob.keys(photos).epochs) != len(ann.keys(photos).epochs) {
		t.Errorf("bob has %d epochs of %d", len(bob.keys(photos).epochs), len(ann.keys(photos).epochs))
	}
}

func TestFolderAndEpochKeysAllDiffer(t *testing.T) {
	ann := newMesh(t, "ann")
	photos, music := ann.addsFolder("Photos"), ann.addsFolder("Music")
	_, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice)
	ann.must(err)
	seen := map[[32]byte]bool{}
	for _, f := range []shoal.FolderID{photos, music, meshScope} {
		k := ann.keys(f)
		all := [][32]byte{k.Chunker, k.BlockID}
		if f == meshScope {
			all = nil
		}
		for _, e := range k.epochs {
			all = append(all, e.Seal, e.Record, e.Nonce, e.Rendezvous)
		}
		for _, key := range all {
			if seen[key] || key == ([32]byte{}) {
				t.Errorf("a key is used twice or zero: %x", key)
			}
			seen[key] = true
		}
	}
}

func TestKeysOfNoFolderAndOfNobodyAreErrors(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	if _, err := ann.FolderKeys(ann.Identity, shoal.FolderID{1}); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown folder: %v", err)
	}
	if _, err := ann.FolderKeys(identity(t, "stranger"), photos); !errors.Is(err, ErrNoKey) {
		t.Errorf("stranger: %v", err)
	}
	if _, err := ann.NewEpoch(ann.Identity, shoal.FolderID{1}, ann.tick(), ann.dice); !errors.Is(err, ErrUnknown) {
		t.Errorf("epoch of an unknown folder: %v", err)
	}
	if k := ann.keys(photos); k != ann.keys(photos) {
		t.Error("keys are derived again although nothing changed")
	}
}

package mesh

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

// agree lets all learn from all and checks that they see the same devices in the mesh.
func agree(t *testing.T, want string, all ...*device) {
	t.Helper()
	for range 2 {
		for _, d := range all {
			d.learn(all...)
		}
	}
	for _, d := range all {
		if got := inMesh(d.State()); got != want {
			t.Errorf("%s sees %q, want %q", d.name, got, want)
		}
	}
}

func TestSeniorOfTwoOwnersRevokingEachOtherStays(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	ann.revokes(bob)
	bob.revokes(ann)
	agree(t, "ann:owner ", ann, bob)
}

func TestAmongEquallySeniorOwnersTheLowerHashStays(t *testing.T) {
	ann := newMesh(t, "ann")
	bob, eve := ann.admits("bob", RoleOwner), ann.admits("eve", RoleOwner)
	bob.learn(ann)
	bob.revokes(eve)
	eve.revokes(bob)
	e := ann.evaluation()
	want := "ann:owner bob:owner "
	if compareHash(e.admission(eve.Device()).hash, e.admission(bob.Device()).hash) < 0 {
		want = "ann:owner eve:owner "
	}
	agree(t, want, ann, bob, eve)
}

func TestFirstOfTwoRevocationsInOrderHolds(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	bob.revokes(ann)
	ann.learn(bob)
	if err := ann.Revoke(ann.Identity, bob.Device(), nil, ann.tick(), ann.dice); !errors.Is(err, ErrNotAllowed) {
		t.Fatalf("revoked by one who was revoked: %v", err)
	}
	_, err := ann.say(ann, revoke{taking{device: bob.Device()}}, ann.tick()) // a program that does not care
	ann.must(err)
	agree(t, "bob:owner ", ann, bob)
	if p := bob.State().Problems(); len(p) != 1 || p[0].Kind != "revoke" || p[0].Signer != ann.Device() || p[0].Reason == "" {
		t.Errorf("problems: %v", p)
	}
}

func TestRootWinsAgainstEveryOwner(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	root, r := ann.rootWith()
	if err := r.Revoke(root, ann.Device(), nil, ann.tick(), ann.dice); err != nil {
		t.Fatal(err)
	}
	ann.revokes(bob)
	rooted := bob.as("bob")
	for _, raw := range r.Statements() {
		if _, err := rooted.Add(raw); err != nil {
			t.Fatal(err)
		}
	}
	agree(t, "bob:owner ", ann, bob, rooted)
}

func TestNobodyRevokesTheRootOrItself(t *testing.T) {
	ann := newMesh(t, "ann")
	for _, d := range []shoal.DeviceID{ann.Root(), ann.Device()} {
		if err := ann.Revoke(ann.Identity, d, nil, ann.tick(), ann.dice); err == nil {
			t.Errorf("revoked %s", d)
		}
		if _, err := ann.say(ann, revoke{taking{device: d}}, ann.tick()); !errors.Is(err, ErrRefused) {
			t.Errorf("statement about %s: %v", d, err)
		}
	}
}

func TestAccompliceOfTheRevokedDoesNotSaveIt(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	eve := bob.admits("eve", RoleOwner)
	eve.revokes(ann)
	ann.revokes(bob)
	agree(t, "ann:owner ", ann, bob, eve)
}

func TestRevocationReachesBackToTheStatementsThatItLetsCount(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	cat := bob.admits("cat", RoleMember)
	kept := bob.signers[bob.Device()].tips[0].hash
	eve := bob.admits("eve", RoleOwner) // by a thief who has bob's device
	eve.revokes(cat)
	ann.learn(eve)
	if got := inMesh(ann.State()); got != "ann:owner bob:owner eve:owner " {
		t.Fatalf("before: %q", got)
	}
	_, err := ann.say(ann, revoke{taking{device: bob.Device(), last: []Hash{kept}}}, ann.tick())
	ann.must(err)
	agree(t, "ann:owner cat:member ", ann, bob, cat, eve)
}

func TestRevokedIsOutWhoeverAdmitsItConcurrently(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	eve := ann.admits("eve", RoleMember)
	id := eve.Identity
	bob.must(bob.Admit(bob.Identity, id.Device(), id.HPKEPublic(), "eve", RoleOwner, bob.tick())) // bob has not heard of eve
	bob.learn(ann)
	ann.revokes(eve)
	agree(t, "ann:owner bob:owner ", ann, bob)
}

func TestOfConcurrentAdmissionsTheFewestRightsAndTheSeniorNameHold(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	eve := ann.admits("eve", RoleReader)
	bob.must(bob.Admit(bob.Identity, eve.Device(), eve.HPKEPublic(), "evelyn", RoleOwner, bob.tick()))
	agree(t, "ann:owner bob:owner eve:reader ", ann, bob)
}

func TestOfConcurrentRolesTheFewestRightsHoldAndLaterOnesReplaceBoth(t *testing.T) {
	ann := newMesh(t, "ann")
	bob, cat := ann.admits("bob", RoleOwner), ann.admits("cat", RoleMember)
	bob.learn(ann)
	ann.setsRole(cat, RoleOwner)
	bob.setsRole(cat, RoleReader)
	agree(t, "ann:owner bob:owner cat:reader ", ann, bob)
	ann.setsRole(cat, RoleOwner)
	agree(t, "ann:owner bob:owner cat:owner ", ann, bob, cat)
}

func TestDemotedOwnerActsNoMore(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	ann.setsRole(bob, RoleMember)
	bob.admits("eve", RoleMember) // had not heard of it
	agree(t, "ann:owner bob:member ", ann, bob)
	if err := bob.Admit(bob.Identity, identity(t, "cat").Device(), identity(t, "cat").HPKEPublic(), "cat", RoleMember, bob.tick()); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("knowing it: %v", err)
	}
}

func TestOwnerWhoWasAReaderInBetweenActsAgain(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	ann.setsRole(bob, RoleReader)
	ann.setsRole(bob, RoleOwner)
	bob.learn(ann)
	bob.admits("cat", RoleMember)
	photos := bob.addsFolder("Photos")
	agree(t, "ann:owner bob:owner cat:member ", ann, bob)
	if _, ok := ann.State().Folder(photos); !ok || len(ann.State().Problems()) != 0 {
		t.Errorf("folder %v, problems %v", ok, ann.State().Problems())
	}
}

func TestOnlyOwnersGovern(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve := ann.admits("bob", RoleMember), identity(t, "eve")
	for _, role := range []Role{RoleMember, RoleReader, RoleVault} {
		d := ann.admits("a "+role.String(), role)
		for what, err := range map[string]error{
			"admit":         d.Admit(d.Identity, eve.Device(), eve.HPKEPublic(), "eve", RoleMember, d.tick()),
			"revoke":        d.Revoke(d.Identity, bob.Device(), nil, d.tick(), d.dice),
			"role":          d.SetRole(d.Identity, bob.Device(), RoleOwner, nil, d.tick()),
			"rename device": d.RenameDevice(d.Identity, bob.Device(), "robert", d.tick()),
		} {
			if !errors.Is(err, ErrNotAllowed) {
				t.Errorf("%s by a %s: %v", what, role, err)
			}
		}
		_, epochErr := d.NewEpoch(d.Identity, photos, d.tick(), d.dice)
		_, folderErr := d.AddFolder(d.Identity, "more", d.tick(), d.dice)
		for what, err := range map[string]error{"epoch": epochErr, "folder": folderErr, "rename folder": d.RenameFolder(d.Identity, photos, "pictures", d.tick())} {
			if (err == nil) != role.Writes() {
				t.Errorf("%s by a %s: %v", what, role, err)
			}
		}
		// What operations do not make, the door does not let in either.
		_, err := d.say(d, admit{device: eve.Device(), hpke: eve.HPKEPublic(), role: RoleMember, name: sealedName{epoch: shoal.EpochID{1}, box: make([]byte, boxOverhead+namePadding)}}, d.tick())
		if !errors.Is(err, ErrRefused) {
			t.Errorf("admission by a %s: %v", role, err)
		}
	}
}

func TestLowestOfSeveralCutsHolds(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve := ann.admits("bob", RoleOwner), ann.admits("eve", RoleMember)
	bob.learn(ann)
	ann.revokes(eve, 9, 4, 5)
	bob.revokes(eve, 7, 6)
	ann.learn(bob)
	for n, want := range map[int]shoal.Seq{1: 7, 2: 4, 3: 0, 4: 0} {
		seq, head, cut := ann.State().Cut(photos, journal(eve.Device(), n))
		if !cut || seq != want || want > 0 && head != journalCuts(eve.Device(), int(want))[journal(eve.Device(), 1)].Head {
			t.Errorf("journal %d is cut at %d (%v), head %x", n, seq, cut, head)
		}
	}
	if _, _, cut := ann.State().Cut(photos, journal(bob.Device(), 1)); cut {
		t.Error("bob is cut")
	}
	if seq, _, cut := ann.State().Cut(photos, journal(identity(t, "stranger").Device(), 1)); !cut || seq != 0 {
		t.Error("a stranger's journal counts")
	}
	if seq, _, cut := ann.State().Cut(shoal.FolderID{1}, journal(ann.Device(), 1)); !cut || seq != 0 {
		t.Error("a journal in an unknown folder counts")
	}
}

func TestReaderIsCutUntilItMayWriteAgain(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	ann.setsRole(bob, RoleReader, 5)
	s := ann.State()
	if seq, _, cut := s.Cut(photos, journal(bob.Device(), 1)); !cut || seq != 5 || s.MayWrite(bob.Device(), photos) || !s.Admitted(bob.Device()) {
		t.Errorf("cut at %d (%v)", seq, cut)
	}
	count := ann.Count()
	ann.setsRole(bob, RoleMember, 5)
	if ann.Count() != count+1 {
		t.Error("published cuts that nothing asks for")
	}
	if _, _, cut := ann.State().Cut(photos, journal(bob.Device(), 2)); cut || !ann.State().MayWrite(bob.Device(), photos) {
		t.Error("still cut")
	}
	if seq, _, _ := s.Cut(photos, journal(bob.Device(), 1)); seq != 5 {
		t.Error("a state changed after it was given out")
	}
}

func TestAnyNumberOfJournalsCanBeCut(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	cuts := map[shoal.JournalID]Cut{}
	for n := range 2*maxCuts + 10 {
		cuts[journal(bob.Device(), n)] = Cut{Seq: shoal.Seq(n + 1), Head: [32]byte{1}}
	}
	ann.must(ann.Revoke(ann.Identity, bob.Device(), cuts, ann.tick(), ann.dice))
	for j, want := range cuts {
		if seq, _, cut := ann.State().Cut(photos, j); !cut || seq != want.Seq {
			t.Fatalf("journal %s cut at %d, want %d", j, seq, want.Seq)
		}
	}
	if err := ann.Revoke(ann.Identity, bob.Device(), journalCuts(ann.Device(), 1), ann.tick(), ann.dice); !errors.Is(err, shoal.ErrInvalid) {
		t.Errorf("cut of another device's journal: %v", err)
	}
}

func TestAdmissionRefusesWhatCannotBe(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := identity(t, "bob")
	for name, err := range map[string]error{
		"nobody":    ann.Admit(ann.Identity, shoal.DeviceID{}, bob.HPKEPublic(), "bob", RoleMember, start),
		"no role":   ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic(), "bob", 0, start),
		"no key":    ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic()[1:], "bob", RoleMember, start),
		"no name":   ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic(), "", RoleMember, start),
		"two lines": ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic(), "bo\nb", RoleMember, start),
		"no UTF-8":  ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic(), "\xff", RoleMember, start),
		"a space":   ann.Admit(ann.Identity, bob.Device(), bob.HPKEPublic(), " bob", RoleMember, start),
	} {
		if !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, d := range map[string]shoal.DeviceID{"itself": ann.Device(), "the root": ann.Root()} {
		if err := ann.Admit(ann.Identity, d, bob.HPKEPublic(), "bob", RoleMember, start); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ann.Count() != 5 { // genesis, epoch of the mesh, envelope to the root, ann, envelope to ann
		t.Errorf("%d statements were made", ann.Count())
	}
}

func TestVaultStaysAVaultAndNothingBecomesOne(t *testing.T) {
	ann := newMesh(t, "ann")
	vault, bob := ann.admits("vault", RoleVault), ann.admits("bob", RoleMember)
	for name, err := range map[string]error{
		"vault to member": ann.SetRole(ann.Identity, vault.Device(), RoleMember, nil, ann.tick()),
		"member to vault": ann.SetRole(ann.Identity, bob.Device(), RoleVault, nil, ann.tick()),
	} {
		if !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := ann.say(ann, giveRole{taking: taking{device: vault.Device()}, role: RoleMember}, ann.tick())
	if !errors.Is(err, ErrRefused) {
		t.Errorf("statement: %v", err)
	}
}

func TestSinceGivesWhatTheOtherLacks(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	heads := bob.Heads()
	ann.addsFolder("Photos")
	bob.must(bob.RenameDevice(bob.Identity, bob.Device(), "robert", bob.tick()))
	lacking := ann.Since(heads)
	if len(lacking) != 3 { // folder, epoch, envelopes
		t.Errorf("%d statements", len(lacking))
	}
	if got := ann.Since(bob.Heads()); len(got) != ann.Count() && len(got) < 3 {
		t.Errorf("with an unknown head: %d", len(got))
	}
	agree(t, "ann:owner bob:owner ", ann, bob)
	if !slices.Equal(ann.Heads(), bob.Heads()) || len(ann.Since(bob.Heads())) != 0 {
		t.Error("heads differ")
	}
}

func TestForkedChainOfARestoredDeviceStillCounts(t *testing.T) {
	ann := newMesh(t, "ann")
	image := ann.as("ann")
	ann.admits("bob", RoleMember)
	image.dice = chance("after the restore")
	image.admits("cat", RoleMember)
	agree(t, "ann:owner bob:member cat:member ", ann, image)
	ann.admits("dan", RoleMember)
	root, r := ann.rootWith()
	if err := r.Revoke(root, ann.Device(), nil, ann.tick(), ann.dice); err != nil {
		t.Fatal(err)
	}
	bob := ann.as("bob")
	for _, raw := range r.Statements() {
		_, err := bob.Add(raw)
		bob.must(err)
	}
	if got := inMesh(bob.State()); got != "bob:member cat:member dan:member " {
		t.Errorf("after the revocation: %q", got)
	}
}

func ExampleRole() {
	r, _ := ParseRole("reader")
	fmt.Println(r, r.Reads(), r.Writes())
	// Output: reader true false
}

func TestCrowdOfHeadsHidesNobodysRevocation(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve, mallory := ann.admits("bob", RoleOwner), ann.admits("eve", RoleMember), ann.admits("mallory", RoleMember)
	bob.learn(ann)
	mallory.learn(ann)
	name, err := mallory.sealNameNow(mallory, mallory.device[:], "mallory")
	mallory.must(err)
	for range 3 * maxHeads {
		s := mallory.drafted(rename{device: mallory.Device(), name: name})
		s.previous, s.heads = Hash{}, ann.Heads()
		_, err := mallory.Add(rawOf(t, mallory, s))
		mallory.must(err)
	}
	_, err = bob.say(bob, revoke{taking{device: eve.Device()}}, bob.tick())
	bob.must(err)
	ann.learn(bob, mallory)
	if _, err := ann.NewEpoch(ann.Identity, photos, ann.tick(), ann.dice); err != nil {
		t.Fatal(err)
	}
	if got := ann.current(photos).Number; got != 2 || len(ann.State().Problems()) != 0 {
		t.Errorf("epoch %d, problems %v", got, ann.State().Problems())
	}
}

func TestFolderWhoseMakerWasRevokedBeforeCountsForNothing(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleMember)
	music := bob.addsFolder("Music")
	ann.revokes(bob) // has not heard of the folder
	ann.learn(bob)
	if _, known := ann.State().Folder(music); known || len(ann.State().Folders()) != 0 {
		t.Error("the folder is there")
	}
	if _, err := ann.FolderKeys(ann.Identity, music); !errors.Is(err, ErrUnknown) {
		t.Errorf("keys: %v", err)
	}
}

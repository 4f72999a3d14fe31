package mesh

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestNewMeshHasItsOwnerAndNoProblems(t *testing.T) {
	ann := newMesh(t, "ann")
	s := ann.State()
	if got := inMesh(s); got != "ann:owner " {
		t.Errorf("in the mesh: %q", got)
	}
	if len(s.Problems()) != 0 || s.Mesh() == (shoal.MeshID{}) || s.Mesh() != ann.Mesh() {
		t.Errorf("mesh %s, problems %v", s.Mesh(), s.Problems())
	}
	if ann.tends() != 0 {
		t.Error("a new mesh lacks something")
	}
}

func TestAdmittedDeviceReadsEverything(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	if got := inMesh(bob.State()); got != "ann:owner bob:member " {
		t.Errorf("in the mesh: %q", got)
	}
	if f, _ := bob.State().Folder(photos); f.Name != "Photos" {
		t.Errorf("folder is called %q", f.Name)
	}
	if bob.current(photos) != ann.current(photos) || bob.keys(photos).Chunker != ann.keys(photos).Chunker {
		t.Error("keys differ")
	}
	if !bob.State().MayWrite(bob.Device(), photos) {
		t.Error("bob may not write")
	}
}

func TestVaultHasNoKeysAndSeesNoNames(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	vault := ann.admits("vault", RoleVault)
	if _, err := vault.FolderKeys(vault.Identity, photos); !errors.Is(err, ErrNoKey) {
		t.Errorf("vault: %v", err)
	}
	d, _ := vault.State().Device(ann.Device())
	f, _ := vault.State().Folder(photos)
	if d.Name != "device-"+ann.Device().Short() || f.Name != "folder-"+photos.String()[:6] {
		t.Errorf("vault sees %q and %q", d.Name, f.Name)
	}
	if d, _ := ann.State().Device(vault.Device()); d.Name != "vault" {
		t.Errorf("ann sees %q", d.Name)
	}
}

func TestRevocationBeginsNewEpochsThatTheRevokedCannotOpen(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, eve := ann.admits("bob", RoleMember), ann.admits("eve", RoleMember)
	old := ann.current(photos)
	ann.revokes(eve, 7)
	bob.learn(ann)
	eve.learn(ann)
	if now := bob.current(photos); now.Number != old.Number+1 || now != ann.current(photos) {
		t.Errorf("epoch %d after %d", now.Number, old.Number)
	}
	if _, ok := bob.keys(photos).Epoch(old.ID); !ok {
		t.Error("bob lost the old epoch")
	}
	if _, ok := eve.keys(photos).Epoch(ann.current(photos).ID); ok {
		t.Error("eve opens the new epoch")
	}
	s := bob.State()
	if seq, _, cut := s.Cut(photos, journal(eve.Device(), 1)); !cut || seq != 7 {
		t.Errorf("journal 1 cut at %d (%v)", seq, cut)
	}
	if seq, _, cut := s.Cut(photos, journal(eve.Device(), 2)); !cut || seq != 0 {
		t.Errorf("journal 2, not named, cut at %d (%v)", seq, cut)
	}
	if s.Admitted(eve.Device()) || s.MayWrite(eve.Device(), photos) {
		t.Error("eve is still in")
	}
	if err := ann.Admit(ann.Identity, eve.Device(), eve.HPKEPublic(), "eve", RoleMember, ann.tick()); !errors.Is(err, ErrExists) {
		t.Errorf("admit again: %v", err)
	}
}

func TestOwnersRevokingEachOther(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleOwner)
	ann.revokes(bob)
	bob.revokes(ann)
	ann.learn(bob)
	bob.learn(ann)
	for _, d := range []*device{ann, bob} {
		if got := inMesh(d.State()); got != "ann:owner " {
			t.Errorf("%s sees %q", d.name, got)
		}
	}
}

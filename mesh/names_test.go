package mesh

import (
	"errors"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestNamesAreUniqueAndTheEarlierKeepsItsName(t *testing.T) {
	ann := newMesh(t, "ann")
	one, two := identity(t, "laptop one"), identity(t, "laptop two")
	for _, id := range []*Identity{one, two} {
		ann.must(ann.Admit(ann.Identity, id.Device(), id.HPKEPublic(), "laptop", RoleMember, ann.tick()))
	}
	photos, more := ann.addsFolder("Photos"), ann.addsFolder("Photos")
	s := ann.State()
	for id, want := range map[shoal.DeviceID]string{one.Device(): "laptop", two.Device(): "laptop-2"} {
		if d, _ := s.Device(id); d.Name != want || d.AdmittedAs != "laptop" || d.AdmittedBy != ann.Device() || d.AdmittedAt.Before(start) {
			t.Errorf("%+v, want name %s", d, want)
		}
	}
	for f, want := range map[shoal.FolderID]string{photos: "Photos", more: "Photos-2"} {
		if got, _ := s.Folder(f); got.Name != want {
			t.Errorf("%q, want %q", got.Name, want)
		}
	}
}

func TestRenamingChangesTheNameOnlyAndTheLastHolds(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleReader)
	bob.must(bob.RenameDevice(bob.Identity, bob.Device(), "Bob's phone", bob.tick()))
	ann.learn(bob)
	ann.must(ann.RenameDevice(ann.Identity, bob.Device(), "phone", ann.tick()))
	ann.must(ann.RenameFolder(ann.Identity, photos, "Pictures", ann.tick()))
	bob.learn(ann)
	d, _ := bob.State().Device(bob.Device())
	f, _ := bob.State().Folder(photos)
	if d.Name != "phone" || d.AdmittedAs != "bob" || f.Name != "Pictures" {
		t.Errorf("%q, %q, %q", d.Name, d.AdmittedAs, f.Name)
	}
	for name, err := range map[string]error{
		"device": ann.RenameDevice(ann.Identity, identity(t, "stranger").Device(), "x", ann.tick()),
		"folder": ann.RenameFolder(ann.Identity, shoal.FolderID{9}, "x", ann.tick()),
	} {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
}

func TestNamesArePaddedAndBoundToWhatTheyName(t *testing.T) {
	m, e, root := shoal.MeshID{1}, shoal.EpochID{2}, epochRoot{3}
	short := sealName(m, e, root, []byte("subject"), "a")
	if other := sealName(m, e, root, []byte("subject"), strings.Repeat("b", namePadding)); len(other.box) != len(short.box) {
		t.Errorf("boxes of %d and %d bytes tell names apart", len(short.box), len(other.box))
	}
	if got, err := openName(m, root, []byte("subject"), short); got != "a" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	moved := short
	moved.epoch = shoal.EpochID{9}
	for name, open := range map[string]func() (string, error){
		"another mesh":    func() (string, error) { return openName(shoal.MeshID{9}, root, []byte("subject"), short) },
		"another root":    func() (string, error) { return openName(m, epochRoot{9}, []byte("subject"), short) },
		"another subject": func() (string, error) { return openName(m, root, []byte("object"), short) },
		"another epoch":   func() (string, error) { return openName(m, root, []byte("subject"), moved) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
}

func TestNameThatIsNoneIsNotShown(t *testing.T) {
	ann := newMesh(t, "ann")
	bob := ann.admits("bob", RoleMember)
	epoch := ann.current(meshScope).ID
	root, id := ann.ring(ann, meshScope).roots[epoch], bob.Device()
	for _, bad := range []string{"line\nbreak", " ", "\xff\xfe"} {
		_, err := ann.say(ann, rename{device: id, name: sealName(ann.Mesh(), epoch, root, id[:], bad)}, ann.tick())
		ann.must(err)
		if d, _ := ann.State().Device(id); d.Name != "bob" {
			t.Errorf("%q is shown as %q", bad, d.Name)
		}
	}
}

func TestNamesStayShutUntilTheyAreOpened(t *testing.T) {
	ann := newMesh(t, "ann")
	r := filled(t, ann.Statements())
	shut, _ := r.State().Device(ann.Device())
	r.OpenNames(ann.Identity)
	open, _ := r.State().Device(ann.Device())
	r.OpenNames(nil)
	again, _ := r.State().Device(ann.Device())
	if want := "device-" + ann.Device().Short(); shut.Name != want || open.Name != "ann" || again.Name != want {
		t.Errorf("%q, %q, %q", shut.Name, open.Name, again.Name)
	}
}

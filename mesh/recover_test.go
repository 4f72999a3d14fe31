package mesh

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// recovers returns a new device that somebody with the words let in, with what d's roster knew.
func (d *device) recovers(name string) *device {
	d.tb.Helper()
	root, r := d.rootWith()
	o := &device{Identity: identity(d.tb, name), Roster: r, tb: d.tb, name: name, now: d.now, dice: chance("dice of " + name)}
	_, err := r.Recover(root, o.Device(), o.HPKEPublic(), name, o.tick(), o.dice)
	o.must(err)
	o.OpenNames(o.Identity)
	return o
}

func TestRecoveredDeviceIsAnOwnerWithEveryKey(t *testing.T) {
	ann := newMesh(t, "ann")
	photos, letters := ann.addsFolder("Photos"), ann.addsFolder("Letters")
	first := ann.current(photos)
	bob := ann.admits("bob", RoleMember)
	ann.revokes(bob)
	dan := ann.recovers("dan")
	if me, ok := dan.State().Device(dan.Device()); !ok || me.Role != RoleOwner || me.AdmittedBy != theRoot(t).Device() {
		t.Errorf("in the mesh as %+v, %v", me, ok)
	}
	for _, f := range []shoal.FolderID{photos, letters} {
		if got, want := dan.current(f), ann.current(f); got != want {
			t.Errorf("writes under epoch %d, others under %d", got.Number, want.Number)
		}
	}
	if _, ok := dan.keys(photos).Epoch(first.ID); !ok {
		t.Error("an epoch from before a revocation is lost")
	}
	if info, _ := dan.State().Folder(letters); info.Name != "Letters" {
		t.Errorf("the folder is called %q", info.Name)
	}
	// It acts as an owner like any other, and the others take it for one.
	dan.revokes(ann)
	ann.learn(dan)
	agree(t, inMesh(dan.State()), ann, dan)
	if ann.State().Admitted(ann.Device()) {
		t.Error("the recovered owner can revoke nobody")
	}
}

func TestRecoveryMakesTheEpochThatIsLacking(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob, carl := ann.admits("bob", RoleOwner), ann.admits("carl", RoleOwner)
	// Two revocations at once: no epoch knows of both.
	bob.learn(ann)
	bob.revokes(carl)
	ann.revokes(bob)
	ann.learn(bob)
	dan := ann.recovers("dan")
	if e := dan.current(photos); e.Number == 0 {
		t.Error("nothing to write under")
	}
	ann.learn(dan)
	agree(t, inMesh(ann.State()), ann, dan)
}

func TestRecoveryCanBeRepeated(t *testing.T) {
	ann := newMesh(t, "ann")
	ann.addsFolder("Photos")
	dan := ann.recovers("dan")
	before := dan.Count()
	if _, err := dan.Recover(theRoot(t), dan.Device(), dan.HPKEPublic(), "dan", dan.tick(), dan.dice); err != nil || dan.Count() != before {
		t.Errorf("a second time made %d statements, %v", dan.Count()-before, err)
	}
	ann.learn(dan)
	if before := ann.Count(); ann.tends() != 0 || dan.tends() != 0 {
		t.Errorf("a recovery leaves %d statements to make", ann.Count()-before)
	}
}

func TestRecoveryRefusesWhatIsNotItsMesh(t *testing.T) {
	ann := newMesh(t, "ann")
	words, err := NewPhrase([]byte(strings.Repeat("x", 32)))
	ann.must(err)
	other, err := RootFromPhrase(words)
	ann.must(err)
	dan := identity(t, "dan")
	if _, err := ann.Recover(other, dan.Device(), dan.HPKEPublic(), "dan", ann.tick(), ann.dice); !errors.Is(err, ErrOtherRoot) {
		t.Errorf("with the words of another mesh: %v", err)
	}
	bob := ann.admits("bob", RoleMember)
	ann.revokes(bob)
	before := ann.Count()
	if _, err := ann.Recover(theRoot(t), bob.Device(), bob.HPKEPublic(), "bob", ann.tick(), ann.dice); !errors.Is(err, ErrExists) || ann.Count() != before {
		t.Errorf("a revoked device comes back: %v", err)
	}
}

// A peer that shows an old roster delays what it hides, and no more: when the newer statements come the sets merge, and nothing is written under
// a key that somebody has who was out.
func TestRecoveryFromAnOldRosterIsMended(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	dan := ann.recovers("dan") // with a roster in which bob is still in
	ann.revokes(bob)
	dan.learn(ann)
	if dan.State().Admitted(bob.Device()) {
		t.Fatal("the revocation did not count")
	}
	ann.learn(dan)
	ann.tends() // it made an epoch without knowing of the recovery
	dan.learn(ann)
	best := ann.current(photos)
	if dan.current(photos) != best {
		t.Error("the recovered device and the others do not write under one epoch")
	}
	bob.learn(dan)
	if k, err := bob.FolderKeys(bob.Identity, photos); err == nil {
		if _, has := k.Epoch(best.ID); has {
			t.Error("the revoked device has the epoch that is written under")
		}
	}
}

// The same, and nobody is left who could give the keys of the epochs that were hidden: the words can, again.
func TestWordsGiveKeysOfWhatWasHiddenFromTheRecovery(t *testing.T) {
	ann := newMesh(t, "ann")
	photos := ann.addsFolder("Photos")
	bob := ann.admits("bob", RoleMember)
	dan := ann.recovers("dan")
	ann.revokes(bob)
	hidden := ann.current(photos)
	dan.learn(ann)
	dan.tends()
	if _, ok := dan.keys(photos).Epoch(hidden.ID); ok {
		t.Fatal("nothing was hidden")
	}
	_, err := dan.Recover(theRoot(t), dan.Device(), dan.HPKEPublic(), "dan", dan.tick(), dan.dice)
	dan.must(err)
	if _, ok := dan.keys(photos).Epoch(hidden.ID); !ok || dan.current(photos) != hidden {
		t.Error("the words do not give the keys")
	}
}

func TestFolderWhoseKeysNobodyGaveTheRootIsNamed(t *testing.T) {
	ann := newMesh(t, "ann")
	ann.addsFolder("Photos")
	// A hostile maker: a folder whose only epoch has an envelope for the root that opens nothing.
	commitment := [32]byte{7}
	sealed, err := ann.sealNameNow(ann.Identity, commitment[:], "Trap")
	ann.must(err)
	n, err := ann.say(ann.Identity, newFolder{lifeCommitment: commitment, name: sealed}, ann.tick())
	ann.must(err)
	trap := folderIDOf(n.hash)
	ann.publishEpoch(trap, epochRoot{1}, ann.recipientsNow(), epochRoot{2}.commitment(ann.Mesh(), trap))
	root, r := ann.rootWith()
	dan := identity(t, "dan")
	closed, err := r.Recover(root, dan.Device(), dan.HPKEPublic(), "dan", ann.tick(), ann.dice)
	if err != nil || len(closed) != 1 || closed[0] != trap {
		t.Errorf("closed folders %v, %v; want %s", closed, err, trap)
	}
}

// Whatever happened in a mesh: what any of its devices can read, the words bring back, epochs that became void included.
func TestWordsBringBackEveryKeyOfAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := settledTown(rt, t)
		all := w.devices[0].as("archivist") // all that anybody knows: a vault keeps it
		all.learn(w.devices...)
		dan := all.recovers("dan")
		for _, d := range w.devices {
			d.learn(dan)
			if !dan.State().Admitted(d.Device()) {
				continue
			}
			for _, f := range w.folders {
				rt.Log(d.name, f)
				checkRecovered(rt, dan, d, f)
			}
		}
	})
}

func checkRecovered(t *rapid.T, dan, d *device, f shoal.FolderID) {
	want, err := d.FolderKeys(d.Identity, f)
	if err != nil {
		return // a vault, or a folder that counts for nothing
	}
	got, err := dan.FolderKeys(dan.Identity, f)
	if err != nil {
		t.Fatalf("%s reads the folder, the recovered device does not: %v", d.name, err)
	}
	for id := range want.epochs {
		if _, ok := got.Epoch(id); !ok {
			t.Fatalf("%s opens epoch %d, the recovered device does not", d.name, want.epochs[id].Number)
		}
	}
	if _, ok := got.Current(); !ok || got.BlockID != want.BlockID || got.Chunker != want.Chunker {
		t.Fatal("the recovered device has other keys, or none to write under")
	}
}

func TestEveryWordOfTheListIsKnownByItsNumber(t *testing.T) {
	for i, word := range bip39.GetWordList() {
		for _, form := range []string{word, strings.ToUpper(word)} {
			if n, known := phraseWord([]byte(form)); !known || n != i {
				t.Fatalf("%q is word %d, %v; want %d", form, n, known, i)
			}
		}
	}
}

func TestWordsStandForTheBitsOfBIP39(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "entropy"))
		words, err := bip39.NewMnemonic(want[:])
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := phraseEntropy([]byte(words)); err != nil || got != want {
			rt.Fatalf("%x, %v; want %x", got, err, want)
		}
	})
}

func TestErasedRootHasNoKey(t *testing.T) {
	root := theRoot(t)
	key := root.signing
	root.Erase()
	if fmt.Sprintf("%x", key) != strings.Repeat("0", 128) || root.sealing != nil {
		t.Error("a key is left")
	}
}

package vault

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
)

// scene is a block that ann wrote, which bob has too; mal is a member that lies. All are of the same mesh and asked in the order mal, ann, bob.
func scene(t *testing.T, test func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef)) {
	inMesh(t, []string{"mal", "ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		mal, ann, bob := m.members[0], m.members[1], m.members[2]
		ref := ann.write("x", "what ann wrote")[0]
		bob.content[ref.ID] = ann.content[ref.ID]
		test(t, m, v, mal, ann, bob, ref)
	})
}

func TestAGoodCopyFindsItsWayPastAnyNumberOfBadOnes(t *testing.T) {
	scene(t, func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef) {
		asked := mal.askedFor(ref, garbage)
		m.set(func() { ann.away, bob.away = true, true })
		m.must(ann.tell(v))
		for range 20 { // bob reads, reports, and reads what mal gives then
			pass(time.Minute)
			bob.read(v, ref)
		}
		if n := len(v.copies(ref)); n != 1 {
			t.Errorf("%d copies of one member are kept, want one", n)
		}
		if *asked < 2 || *asked > 12 {
			t.Errorf("mal was asked %d times in 20 minutes", *asked)
		}
		v.whole(false)
		m.set(func() { ann.away = false })
		pass(time.Minute)
		v.whole(true)
		if !bob.read(v, ref) {
			t.Error("bob does not get the block")
		}
		v.whole(true)
	})
}

// Who gives the same doubted copy again and again is not asked again and again, and somebody else is asked next.
func TestADoubtedCopyThatComesAgainCountsAgainstItsSource(t *testing.T) {
	scene(t, func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef) {
		same := garbage()
		asked := mal.askedFor(ref, func() []byte { return same })
		m.set(func() { ann.away, bob.away = true, true })
		m.must(ann.tell(v))
		pass(time.Second)
		bob.read(v, ref)
		pass(time.Hour)
		if *asked < 3 || *asked > 10 {
			t.Errorf("mal was asked %d times in an hour", *asked)
		}
		v.whole(false)
		before := *asked
		m.set(func() { bob.away = false })
		pass(time.Minute)
		v.whole(true)
		if *asked > before+1 {
			t.Errorf("mal was asked %d times more", *asked-before)
		}
		if !bob.read(v, ref) {
			t.Error("bob does not get the block")
		}
	})
}

// A member that says of every copy that it does not open can't have a good one dropped, nor have blocks fetched without end.
func TestWhoDoubtsEverythingHarmsNobody(t *testing.T) {
	for name, alone := range map[string]bool{"one has the block": true, "two have it": false} {
		t.Run(name, func(t *testing.T) {
			scene(t, func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef) {
				m.set(func() { bob.away = alone })
				m.must(ann.tell(v))
				for range 24 * 60 {
					pass(time.Minute)
					for _, h := range v.copies(ref) {
						mal.doubt(v, ref, h)
					}
					if v.good(ref) == 0 {
						t.Fatal("the good copy is gone")
					}
				}
				if n := ann.asked + bob.asked; n > 30 {
					t.Errorf("the block was asked for %d times in a day", n)
				}
				if n := len(v.copies(ref)); n > 2 {
					t.Errorf("%d copies are kept", n)
				}
				if !ann.read(v, ref) || !bob.read(v, ref) {
					t.Error("the others don't get the block")
				}
			})
		})
	}
}

// A member that doubts what another gave, and gives garbage itself, and takes back what it gave, alone makes no good copy go.
func TestOneMemberAloneMakesNoGoodCopyGo(t *testing.T) {
	scene(t, func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef) {
		bad := false
		mal.content[ref.ID] = ann.content[ref.ID]
		mal.give = func(w blockexchange.Want) []byte {
			if bad {
				return garbage()
			}
			return mal.seal(w, mal.content[w.Block])
		}
		m.set(func() { ann.away, bob.away = true, true })
		m.must(ann.tell(v))
		pass(time.Minute)
		v.whole(true) // the only copy is mal's, and good
		m.set(func() { bad = true })
		for range 100 {
			for _, h := range v.copies(ref) {
				mal.doubt(v, ref, h)
			}
			pass(time.Hour)
			bob.read(v, ref)
			if v.good(ref) == 0 {
				t.Fatal("the good copy is gone")
			}
		}
		if n := len(v.copies(ref)); n > maxBadCopies+1 {
			t.Errorf("%d copies are kept", n)
		}
		if !bob.read(v, ref) {
			t.Error("bob does not get the block")
		}
	})
}

// After a restart what did not open is not served first.
func TestDoubtsSurviveARestart(t *testing.T) {
	scene(t, func(t *testing.T, m *fakeMesh, v *fakeVault, mal, ann, bob *member, ref block.EpochRef) {
		mal.askedFor(ref, garbage)
		m.set(func() { ann.away = true })
		m.must(ann.tell(v))
		pass(time.Second)
		bob.read(v, ref)  // it gets garbage, reports it
		pass(time.Minute) // another copy comes, of bob's
		v.whole(true)
		if n := len(v.copies(ref)); n != 2 {
			t.Fatalf("%d copies, want a bad and a good one", n)
		}
		for range 5 {
			v.restart()
			pass(time.Second)
			sealed, err := v.tenant.Sealed(t.Context(), blockexchange.Want{Folder: m.folder, Block: ref.ID, Epoch: ref.Epoch}, func([32]byte) bool { return false })
			if err != nil || !bob.opens(ref, sealed) {
				t.Fatalf("after a restart the bad copy is served first (%v)", err)
			}
		}
	})
}

func TestTheDoubtsOfARevokedMemberCountForNothing(t *testing.T) {
	inMesh(t, []string{"ann", "mal"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann, mal := m.members[0], m.members[1]
		ref := ann.write("x", "what ann wrote")[0]
		m.must(ann.tell(v))
		pass(time.Second)
		m.set(func() { ann.away = true })
		mal.doubt(v, ref, v.copies(ref)[0])
		pass(time.Minute)
		v.whole(false)
		m.must(m.roster.Revoke(ann.id, mal.id.Device(), nil, time.Now(), rand.Reader))
		m.refresh()
		pass(2 * time.Minute)
		v.whole(true)
	})
}

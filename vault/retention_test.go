package vault

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

func TestWhatIsSupersededIsKeptForTheRetentionAndThenGoes(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann, bob := m.members[0], m.members[1]
		own := ann.write("x", "first")
		m.must(ann.tell(v))
		pass(time.Second)
		ann.write("x", "second") // supersedes
		m.must(ann.bring(bob.f))
		other := ann.write("y", "third")
		m.must(ann.bring(bob.f))
		bob.write("y", "fourth") // replaces
		m.must(ann.tell(v))
		pass(time.Second)
		m.must(bob.tell(v))
		pass(time.Second)
		v.whole(true)
		v.has(true, append(own, other...)...)
		pass(keepFor - time.Hour)
		v.has(true, append(own, other...)...)
		pass(2 * time.Hour)
		v.has(false, append(own, other...)...)
		v.whole(true)
		if k := v.kept(); k.Blocks != 2 || k.Retained != 0 {
			t.Errorf("%+v is kept", k)
		}
	})
}

func TestNothingGoesInTheDayAfterAJumpOfTheClock(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		refs := ann.write("x", "first")
		m.must(ann.tell(v))
		pass(time.Second)
		ann.write("x", "second")
		m.must(ann.tell(v))
		pass(time.Minute)
		v.clock.Store(int64(365 * day))
		pass(12 * time.Hour)
		v.has(true, refs...)
		v.restart()
		pass(11 * time.Hour)
		v.has(true, refs...)
		pass(2 * time.Hour)
		v.has(false, refs...) // the hold is over, and by the vault's clock a year has passed
	})
}

// A thief has a device with valid keys. It says all that a device can say: the vault keeps what was there for as long as it would have. Once the
// device is revoked it can say nothing.
func TestAStolenDeviceMakesAVaultForgetNothing(t *testing.T) {
	inMesh(t, []string{"ann", "thief", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann, thief, bob := m.members[0], m.members[1], m.members[2]
		refs := ann.write("ann's", "what ann wrote")
		refs = append(refs, ann.write("long", lines(0, 120)...)...)
		refs = append(refs, thief.write("thief's", "what the owner of the thief's device wrote")...)
		for _, d := range []*member{ann, thief} {
			m.must(d.tell(v))
			pass(time.Second)
		}
		m.must(ann.bring(thief.f))
		m.must(ann.bring(bob.f))
		v.whole(true)
		before := v.disk.Stats().Live
		began := time.Now()
		for name, attack := range attacks {
			attack(t, m, v, thief)
			pass(time.Minute)
			v.has(true, refs...)
			if live := v.disk.Stats().Live; live < before {
				t.Errorf("%s: %d bytes are left of %d", name, live, before)
			}
			m.must(v.db.Check(t.Context()))
		}
		pass(time.Until(began.Add(keepFor - time.Hour)))
		v.has(true, refs...)
		// Revoked, it changes nothing any more.
		keep := bob.write("bob's", "what bob wrote after that")
		m.must(bob.tell(v))
		pass(time.Second)
		thief.sees = m.State()
		m.must(m.roster.Revoke(ann.id, thief.id.Device(), nil, time.Now(), rand.Reader))
		m.refresh()
		m.must(v.index().Update(t.Context(), func(tx *index.Tx) error { _, err := tx.ApplyCuts(); return err }))
		pass(time.Second)
		frontier := v.frontier()
		m.must(bob.bring(thief.f))
		thief.write("bob's")
		thief.write("new", "what the thief wrote later")
		if err := thief.tell(v); err == nil {
			t.Error("the vault takes what a revoked device writes")
		}
		for _, h := range v.copies(keep[0]) {
			thief.doubt(v, keep[0], h)
		}
		pass(time.Minute)
		for j, seq := range v.frontier() {
			if j.Device == thief.id.Device() && seq > frontier[j] {
				t.Errorf("the journal of a revoked device grew to %d", seq)
			}
		}
		v.whole(true)
		v.has(true, keep...)
		pass(2 * keepFor)
		v.has(true, keep...)
	})
}

func (v *fakeVault) frontier() map[shoal.JournalID]shoal.Seq {
	v.m.t.Helper()
	out := map[shoal.JournalID]shoal.Seq{}
	v.m.must(v.index().View(func(tx *index.Tx) error {
		for j, p := range tx.Frontier() {
			out[j] = p.Seq
		}
		return nil
	}))
	return out
}

// attacks is what a device with valid keys can say to a vault.
var attacks = map[string]func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member){
	"supersede and delete everything": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		for _, p := range []shoal.Path{"ann's", "long", "thief's"} {
			thief.write(p, "ransom "+string(p))
			thief.write(p)
		}
		m.must(thief.tell(v))
	},
	"take it back and do it again": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		for range 20 {
			thief.write("ann's", "again")
			thief.write("ann's")
			m.must(thief.tell(v))
		}
	},
	"doubt every copy": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		var refs []block.EpochRef
		m.must(v.index().View(func(tx *index.Tx) (err error) { refs, _, err = tx.Held(block.EpochRef{}, 1000); return err }))
		for _, r := range refs {
			for _, h := range v.copies(r) {
				thief.doubt(v, r, h)
			}
		}
	},
	"doubt copies that are not there": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		thief.doubt(v, block.EpochRef{ID: block.ID{3}, Epoch: shoal.EpochID{4}}, [32]byte{5})
		v.tenant.Doubted(t.Context(), thief.id.Device(), shoal.FolderID{9}, block.EpochRef{}, [32]byte{})
	},
	"forge another's head": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		m.members[0].view(func(tx *index.Tx) error {
			for id, pos := range tx.Frontier() {
				if pos.Seq == 0 || id.Device == thief.id.Device() {
					continue
				}
				b, err := tx.ReadAfter(id, 0, 1<<30)
				m.must(err)
				b.Head[len(b.Head)-3] ^= 1
				if err := thief.push(v, b); err == nil {
					t.Error("a forged head is taken in")
				}
			}
			return nil
		})
	},
	"leave records of another out": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		ann := m.members[0]
		before := v.frontier()
		ann.write("new 1", "one that the vault has not heard of")
		ann.write("new 2", "and another")
		ann.view(func(tx *index.Tx) error {
			id, _ := tx.Own()
			b, err := tx.ReadAfter(id, before[id], 1<<30)
			m.must(err)
			b.Records = b.Records[1:]
			if err := thief.push(v, b); err == nil {
				t.Error("a batch that leaves records out is taken in")
			}
			return nil
		})
		m.must(ann.tell(v))
	},
	"a second history of its own journal": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		image := thief.clone()
		thief.write("fork", "the first")
		m.must(thief.tell(v))
		image.write("fork")
		_ = image.tell(v) // refused, or kept as evidence
	},
	"statuses that say all is well without it": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		var raw []byte
		thief.update(func(tx *index.Tx) (err error) { raw, err = tx.SignStatus(index.Standing{Complete: true}); return err })
		_ = v.index().Update(t.Context(), func(tx *index.Tx) error { _, err := tx.PutStatus(thief.id.Device(), raw); return err })
	},
	"cut journals off by revoking others": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		if err := m.roster.Revoke(thief.id, m.members[0].id.Device(), map[shoal.JournalID]mesh.Cut{}, time.Now(), rand.Reader); err == nil {
			t.Error("a member revokes an owner")
		}
	},
	"garbage for whatever it is asked": func(t *testing.T, m *fakeMesh, v *fakeVault, thief *member) {
		m.set(func() { thief.give = func(blockexchange.Want) []byte { return garbage() } })
		pass(10 * time.Minute)
		m.set(func() { thief.give = nil })
	},
}

// push brings a batch to a vault.
func (d *member) push(v *fakeVault, b index.Batch) error {
	return v.index().Update(context.Background(), func(tx *index.Tx) error { _, err := tx.Accept(b); return err })
}

func TestAScrubFindsFlippedBitsAndHasThemRepaired(t *testing.T) {
	for name, byVault := range map[string]bool{"from a member": false, "from another vault": true} {
		t.Run(name, func(t *testing.T) {
			inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
				ann := m.members[0]
				other := m.newVault()
				other.open()
				refs := ann.write("x", lines(0, 40)...)
				for _, v := range m.vaults {
					m.must(ann.tell(v))
				}
				pass(time.Second)
				v.whole(true)
				other.whole(true)
				m.set(func() { ann.away = byVault })
				v.close()
				flip(t, v)
				v.open()
				if lost := v.lost(refs); lost == 0 {
					t.Fatal("the flipped bit hit nothing")
				}
				v.tenant.AskScrub()
				pass(time.Minute)
				if r := v.tenant.ScrubReport(); r.Damaged == 0 || r.Problem != "" || r.Running {
					t.Errorf("%+v", r)
				}
				if lost := v.lost(refs); lost != 0 {
					t.Errorf("%d blocks are not repaired", lost)
				}
				v.whole(true)
				v.m.must(v.disk.Check(t.Context()))
				if !m.members[1].read(v, refs[0]) {
					t.Error("bob does not get the block")
				}
			})
		})
	}
}

func (v *fakeVault) lost(refs []block.EpochRef) (n int) {
	for _, r := range refs {
		if v.good(r) == 0 {
			n++
		}
	}
	return n
}

// flip flips a bit in the middle of a vault's pack.
func flip(t *testing.T, v *fakeVault) {
	packs, err := filepath.Glob(filepath.Join(v.dir, "packs", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	data, err := os.ReadFile(packs[0])
	if err == nil {
		data[128+144+20] ^= 8 // in the first block
		err = os.WriteFile(packs[0], data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
)

func TestAVaultFetchesWhatRecordsNeed(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		refs := ann.write("small", "one")
		refs = append(refs, ann.write("long", lines(0, 200)...)...) // its blocks stand in a tree
		m.must(ann.tell(v))
		pass(time.Second)
		v.whole(true)
		v.has(true, refs...)
		if k := v.kept(); k.Blocks != 202 || k.Nodes == 0 {
			t.Errorf("%+v is kept", k)
		}
		if n := ann.asked; n > 202+int(v.kept().Nodes) {
			t.Errorf("asked %d times for 202 blocks", n)
		}
		v.restart()
		pass(time.Second)
		v.whole(true)
		v.has(true, refs...)
	})
}

func TestWhatNobodyHasIsLackingAndComesLater(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		refs := ann.write("x", "one", "two")
		m.set(func() { ann.away = true })
		m.must(ann.tell(v))
		pass(time.Minute)
		v.whole(false)
		m.set(func() { ann.away = false })
		pass(time.Minute)
		v.whole(true)
		v.has(true, refs...)
	})
}

// A disk that is full, or a store that can't be synced: it is said, nothing counts that is not durable, and it goes on by itself.
func TestADiskThatIsFullOnceLosesNothing(t *testing.T) {
	full := errors.New("no space left on device")
	for name, fill := range map[string]func(*faultyPacks, error){
		"puts fail":       func(p *faultyPacks, err error) { p.putFails = err },
		"syncs fail once": func(p *faultyPacks, err error) { p.syncs = err },
	} {
		t.Run(name, func(t *testing.T) {
			inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
				set := func(err error) {
					v.disk.mu.Lock()
					defer v.disk.mu.Unlock()
					fill(v.disk, err)
				}
				set(full)
				refs := m.members[0].write("x", "one", "two")
				m.must(m.members[0].tell(v))
				pass(2 * time.Second)
				if v.disk.putFails != nil { // else it is tried again by now
					if st, err := v.standing(); err != nil || st.Trouble != index.TroubleDisk {
						t.Errorf("with a full disk: %+v, %v", st, err)
					}
					v.whole(false)
				}
				set(nil)
				pass(time.Minute)
				if st, err := v.standing(); err != nil || st.Trouble != index.TroubleNone {
					t.Errorf("later: %+v, %v", st, err)
				}
				v.whole(true)
				v.has(true, refs...)
			})
		})
	}
}

// A store that takes longer for a block than a fetch waits for the next, as a bucket far away does.
func TestAFetchIsNotGivenUpWhileABlockIsPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		in := &intake{arrived: make(chan struct{}, 1)}
		wake := make(chan struct{}, 1)
		go in.watch(ctx, cancel, wake)
		in.taking.Store(true)
		nudge(wake)
		pass(3 * pullWait)
		if ctx.Err() != nil {
			t.Error("it was given up")
		}
		in.taking.Store(false)
		nudge(in.arrived)
		pass(newsWait)
		if err := context.Cause(ctx); !errors.Is(err, errNothingCame) {
			t.Errorf("when nothing came for a while: %v", err)
		}
	})
}

// A block that comes in the moment in which a fetch is given up is fetched again.
func TestABlockThatComesTooLateIsFetchedAgain(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		v.late.Store(true)
		refs := m.members[0].write("x", "one", "two")
		m.must(m.members[0].tell(v))
		pass(time.Minute)
		if v.late.Load() {
			t.Error("nothing came late")
		}
		v.whole(true)
		v.has(true, refs...)
	})
}

// A vault that has stopped pulling says so: it was connected, counted and good for nothing.
func TestAVaultNeverStopsWithoutAWord(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		v.broken.Store(true)
		m.members[0].write("x", "one")
		m.must(m.members[0].tell(v))
		pass(time.Second)
		if err := v.end(); err == nil {
			t.Error("it ended as if it had been told to")
		}
	})
}

func (v *fakeVault) standing() (st index.Standing, err error) {
	err = v.index().View(func(tx *index.Tx) (err error) { st, err = v.tenant.Standing(v.m.folder, tx); return err })
	return st, err
}

func TestBeyondTheQuotaNothingIsHalfStored(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		first := ann.write("x", "one")
		m.must(ann.tell(v))
		pass(time.Second)
		k := v.kept()
		m.must(v.tenant.SetQuota(m.t.Context(), k.Bytes()+1500))
		var refs []block.EpochRef
		for i := range 10 {
			refs = append(refs, ann.write(shoal.Path(fmt.Sprint("f", i)), fmt.Sprint(i, string(make([]byte, 900))))...)
		}
		m.must(ann.tell(v))
		pass(time.Minute)
		if st, err := v.standing(); err != nil || st.Trouble != index.TroubleQuota {
			t.Errorf("beyond the quota: %+v, %v", st, err)
		}
		v.whole(false)
		v.has(true, first...)
		here := 0
		for _, r := range refs {
			n := v.good(r)
			var d index.Demand
			m.must(v.index().View(func(tx *index.Tx) (err error) { d, err = tx.DemandFor(r); return err }))
			if here += n; n > 0 != d.Held || d.Held && d.Stored == 0 {
				t.Errorf("a block has %d copies in the store, and counts as %+v", n, d)
			}
		}
		if here == len(refs) {
			t.Error("all is here, beyond the quota")
		}
		m.must(v.tenant.SetQuota(m.t.Context(), 0))
		pass(time.Minute)
		v.whole(true)
		v.has(true, refs...)
	})
}

// Blocks whose demand went between their coming and a crash are in the store, and nobody counts them.
func TestBlocksThatNobodyCountsAreFoundKeptAndDeleted(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		live := ann.write("x", "one")
		m.must(ann.tell(v))
		pass(time.Second)
		epoch := live[0].Epoch
		var orphans []block.EpochRef
		for i := range 2000 {
			id := block.ID{1, byte(i), byte(i >> 8)}
			r := block.EpochRef{ID: id, Epoch: epoch}
			m.must(v.disk.Put(t.Context(), v.key(r), garbage()))
			orphans = append(orphans, r)
		}
		m.must(v.disk.Store.Sync(t.Context()))
		v.restart()
		pass(2 * time.Minute)
		if k := v.kept(); k.Blocks != 2001 {
			t.Errorf("%d blocks count, want 2001", k.Blocks)
		}
		v.whole(true)
		count := func() (n int) {
			for _, r := range orphans {
				n += len(v.copies(r))
			}
			return n
		}
		pass(keepFor - 10*time.Minute)
		if n := count(); n != len(orphans) {
			t.Fatalf("%d of %d are left before the retention has passed", n, len(orphans))
		}
		pass(20 * time.Minute)
		if n := count(); n != 0 {
			t.Errorf("%d are left after the retention", n)
		}
		v.has(true, live...)
		v.whole(true)
	})
}

// A pack that the disk lost: the index went on saying that its blocks are here.
func TestBlocksThatAreGoneFromTheStoreAreFetchedAgain(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		refs := m.members[0].write("x", lines(0, 50)...)
		m.must(m.members[0].tell(v))
		pass(time.Second)
		for _, r := range refs[:7] {
			m.must(v.disk.Delete(t.Context(), v.key(r)))
		}
		v.restart()
		pass(time.Minute)
		v.whole(true)
		v.has(true, refs...)
	})
}

func TestReferenceNodesAreCheckedAndBlocksThatNobodyDemandsAreKeptForTheRetention(t *testing.T) {
	inMesh(t, []string{"ann", "bob"}, func(t *testing.T, m *fakeMesh, v *fakeVault) {
		ann := m.members[0]
		refs := ann.write("long", lines(0, 100)...)
		m.must(ann.tell(v))
		pass(time.Second)
		v.whole(true)
		ann.write("long") // deleted
		m.must(ann.tell(v))
		pass(keepFor - time.Hour)
		v.has(true, refs...)
		pass(2 * time.Hour)
		v.has(false, refs...)
		v.whole(true)
		if k := v.kept(); k.Blocks != 0 || k.BlockBytes != 0 || k.Nodes != 0 || k.Retained != 0 {
			t.Errorf("%+v is left", k)
		}
	})
}

// askedFor counts how often a member is asked for one block.
func (d *member) askedFor(ref block.EpochRef, give func() []byte) *int {
	n := new(int)
	d.give = func(w blockexchange.Want) []byte {
		if w.Block != ref.ID {
			return nil
		}
		*n++
		return give()
	}
	return n
}

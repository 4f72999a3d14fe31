package s3store

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

// TestManyProcessesShareOneBucket lets three stores on one bucket do random things, each in turn, and die and begin again. The model is what is durable, and for
// each store what it has put or deleted since its last Sync.
func TestManyProcessesShareOneBucket(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { newShared(t, rt).run() })
}

// shared is the model: key to bytes. A nil in pending is a deletion.
type shared struct {
	t       *testing.T
	rt      *rapid.T
	rig     *rig
	configs []Config
	stores  []*Store
	durable map[block.Key][]byte
	pending []map[block.Key][]byte
}

func newShared(t *testing.T, rt *rapid.T) *shared {
	m := &shared{t: t, rt: rt, rig: newRig(t), durable: make(map[block.Key][]byte)}
	for range 3 {
		c := m.rig.config()
		m.configs = append(m.configs, c)
		m.stores = append(m.stores, m.rig.open(c))
		m.pending = append(m.pending, make(map[block.Key][]byte))
	}
	return m
}

func (m *shared) pick(rt *rapid.T) (int, *Store) {
	i := rapid.IntRange(0, len(m.stores)-1).Draw(rt, "store")
	return i, m.stores[i]
}

func drawBlock(rt *rapid.T) (block.Key, []byte) {
	return blocktest.Block(rapid.IntRange(0, 9).Draw(rt, "block"), 2000)
}

// synced tells the model that everything store i waited with is durable.
func (m *shared) synced(i int) {
	for k, sealed := range m.pending[i] {
		if sealed == nil {
			delete(m.durable, k)
		} else {
			m.durable[k] = sealed
		}
	}
	clear(m.pending[i])
}

func (m *shared) run() {
	ctx := context.Background()
	m.rt.Repeat(map[string]func(*rapid.T){
		"put": func(rt *rapid.T) {
			i, s := m.pick(rt)
			k, sealed := drawBlock(rt)
			must(m.t, s.Put(ctx, k, sealed))
			m.pending[i][k] = sealed
		},
		"delete": func(rt *rapid.T) {
			i, s := m.pick(rt)
			k, _ := drawBlock(rt)
			must(m.t, s.Refresh(ctx)) // what it does not know of it does not delete
			must(m.t, s.Delete(ctx, k))
			if delete(m.pending[i], k); m.durable[k] != nil {
				m.pending[i][k] = nil
			}
		},
		"sync": func(rt *rapid.T) {
			i, s := m.pick(rt)
			must(m.t, s.Sync(ctx))
			m.synced(i)
		},
		"compact": func(rt *rapid.T) {
			_, s := m.pick(rt)
			_, err := s.Compact(ctx, rapid.SampledFrom([]float64{0.3, 0.9}).Draw(rt, "part"))
			must(m.t, err)
		},
		"die": func(rt *rapid.T) {
			i, s := m.pick(rt)
			abandon(s)
			clear(m.pending[i])
			if rapid.Bool().Draw(rt, "cache lost") {
				must(m.t, removeIndex(m.configs[i].Dir, indexName))
			}
			m.stores[i] = m.rig.open(m.configs[i])
		},
		"get": func(rt *rapid.T) {
			i, s := m.pick(rt)
			k, _ := drawBlock(rt)
			must(m.t, s.Refresh(ctx))
			m.get(i, s, k)
		},
	})
	for i, s := range m.stores {
		must(m.t, s.Refresh(ctx))
		for n := range 10 {
			k, _ := blocktest.Block(n, 2000)
			m.get(i, s, k)
		}
	}
	for i, s := range m.stores {
		must(m.t, s.Sync(ctx))
		m.synced(i)
	}
	for _, s := range m.stores {
		if err := s.Check(ctx); err != nil {
			m.rt.Error(err)
		}
	}
}

// get compares one block with the model.
func (m *shared) get(i int, s *Store, k block.Key) {
	want, waits := m.pending[i][k]
	if !waits {
		want = m.durable[k]
	}
	got, err := s.Get(context.Background(), k)
	if !bytes.Equal(got, want) || want == nil && !errors.Is(err, block.ErrNotFound) {
		m.rt.Fatalf("store %d gives %d bytes of block %x, want %d (%v)", i, len(got), k.ID[:3], len(want), err)
	}
}

func TestABlockDeletedByAnotherBeforeTheSyncIsUploaded(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	puts(t, a, 0, 5)
	must(t, b.Refresh(t.Context()))
	k := put(t, b, 3) // b has it in its index
	must(t, a.Delete(t.Context(), k))
	must(t, a.Sync(t.Context()))
	must(t, b.Refresh(t.Context()))
	must(t, b.Sync(t.Context()))
	holds(t, a, seq(0, 5)...)
}

// b does not hear of the deletions before its Syncs: the first has nothing to write as far as b knows, the second less than it has.
func TestABlockDeletedUnheardByAnotherIsUploaded(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	puts(t, a, 0, 5)
	must(t, b.Refresh(t.Context()))
	must(t, a.Delete(t.Context(), one(3)))
	must(t, a.Sync(t.Context()))
	puts(t, b, 3, 4)
	holds(t, a, seq(0, 5)...)

	must(t, a.Delete(t.Context(), one(3)))
	must(t, a.Sync(t.Context()))
	puts(t, b, 3, 6)
	holds(t, a, seq(0, 6)...)
}

func TestAPinnedBlockIsNotDeleted(t *testing.T) {
	r := newRig(t)
	clock := time.Now()
	config := func() Config {
		c := r.config()
		c.Now = func() time.Time { return clock }
		return c
	}
	a, b := r.open(config()), r.open(config())
	puts(t, a, 0, 5)
	must(t, b.Refresh(t.Context()))
	k, _ := blocktest.Block(3, 1000)
	missing, _ := blocktest.Block(9, 1000)

	// a decides to delete it; b answers "have" before that is durable.
	must(t, a.Delete(t.Context(), k))
	have, err := b.PinFor(t.Context(), []block.Key{k, missing}, time.Hour)
	if err != nil || !have[0] || have[1] {
		t.Fatalf("have %v, %v", have, err)
	}
	must(t, a.Sync(t.Context()))
	holds(t, b, seq(0, 5)...)
	holds(t, a, seq(0, 5)...)
	if err := a.Delete(t.Context(), k); !errors.Is(err, ErrPinned) {
		t.Errorf("delete: %v", err)
	}
	// A moved block keeps its pin, and a checkpoint has it.
	for range 8 {
		puts(t, b, 4, 6)
		must(t, b.Delete(t.Context(), one(5)))
		must(t, b.Sync(t.Context()))
	}
	_, err = b.Compact(t.Context(), 1)
	must(t, err)
	c := r.open(config())
	if err := c.Delete(t.Context(), k); !errors.Is(err, ErrPinned) {
		t.Errorf("delete after a checkpoint: %v", err)
	}
	clock = clock.Add(time.Hour + time.Hour/4 + ClockSlack + time.Second)
	must(t, c.Delete(t.Context(), k))
	must(t, c.Sync(t.Context()))
	holds(t, a, 0, 1, 2, 4)
	have, err = b.PinFor(t.Context(), []block.Key{k}, time.Hour)
	if err != nil || have[0] != false {
		t.Errorf("deleted by another: have %v, %v", have, err)
	}
}

func one(n int) block.Key { return must1(blocktest.Block(n, 1000)) }

func TestWhatIsPutIsPinned(t *testing.T) {
	r := newRig(t)
	clock := time.Now()
	config := func() Config {
		c := r.config()
		c.Now, c.Pin = func() time.Time { return clock }, time.Hour
		return c
	}
	a, b := r.open(config()), r.open(config())
	puts(t, a, 0, 3)
	clock = clock.Add(2 * time.Hour)
	must(t, b.Refresh(t.Context()))
	puts(t, b, 1, 4) // 1 and 2 are there, and pinned anew
	must(t, a.Refresh(t.Context()))
	for n, want := range map[int]error{0: nil, 1: ErrPinned, 2: ErrPinned, 3: ErrPinned} {
		if err := a.Delete(t.Context(), one(n)); !errors.Is(err, want) {
			t.Errorf("delete %d: %v, want %v", n, err, want)
		}
	}
	must(t, a.Sync(t.Context()))
	holds(t, b, 1, 2, 3)
}

func TestADeletionThatSleptStopsBeforeALaterPin(t *testing.T) {
	r := newRig(t)
	clock := time.Now()
	config := func() Config {
		c := r.config()
		c.Now = func() time.Time { return clock }
		return c
	}
	a, b := r.open(config()), r.open(config())
	puts(t, a, 0, 3)
	must(t, b.Refresh(t.Context()))
	must(t, a.Delete(t.Context(), one(0)))
	asOf := clock // a knows what was told until here
	must(t, a.DeleteAsOf(t.Context(), one(1), asOf))
	clock = clock.Add(time.Minute)
	have, err := b.PinFor(t.Context(), []block.Key{one(1), one(2)}, time.Hour)
	if err != nil || !have[0] || !have[1] {
		t.Fatalf("have %v, %v", have, err)
	}
	// The pin is over when a goes on; but what b counted on the block for was told after a had decided.
	clock = clock.Add(5 * time.Hour)
	must(t, a.Refresh(t.Context()))
	if err := a.DeleteAsOf(t.Context(), one(2), asOf); !errors.Is(err, ErrPinned) {
		t.Errorf("delete by what was known before the pin: %v", err)
	}
	must(t, a.Sync(t.Context()))
	holds(t, b, 1, 2)
	must(t, a.DeleteAsOf(t.Context(), one(2), clock))
	must(t, a.Sync(t.Context()))
	holds(t, b, 1)
}

func TestHeldTellsTheCopiesAndTheirSizes(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	puts(t, a, 0, 1)
	k := one(0)
	held, err := b.Held(t.Context(), k)
	if err != nil || len(held) != 1 || held[0].Sealed != k.Sealed || held[0].Size != len(must2(blocktest.Block(0, 1000))) {
		t.Errorf("held %v, %v", held, err)
	}
	if copies, err := b.Copies(t.Context(), k); err != nil || len(copies) != 1 || copies[0] != k.Sealed {
		t.Errorf("copies %x, %v", copies, err)
	}
	if held, err := b.Held(t.Context(), one(1)); err != nil || len(held) != 0 {
		t.Errorf("held %v, %v of a block that is not there", held, err)
	}
}

func TestReadersFollowWhatIsCompactedAway(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	for n := range 6 {
		puts(t, a, n, n+1)
	}
	must(t, b.Refresh(t.Context()))
	_, err := a.Compact(t.Context(), 0.5)
	must(t, err)
	if st := a.Stats(); st.Packs != 1 {
		t.Errorf("small packs were not put together: %+v", st)
	}
	for n := range 6 { // b still has the old places
		if _, err := b.Get(t.Context(), one(n)); err != nil {
			t.Errorf("block %d: %v", n, err)
		}
	}
	holds(t, b, seq(0, 6)...)
}

func TestDeletedBlocksGiveTheirRoomBack(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	puts(t, s, 0, 60)
	for n := range 60 {
		if n%4 != 0 {
			must(t, s.Delete(t.Context(), one(n)))
		}
	}
	must(t, s.Sync(t.Context()))
	before := s.Stats()
	freed, err := s.Compact(t.Context(), 0.5)
	must(t, err)
	if after := s.Stats(); freed != before.Bytes-after.Bytes || after.Bytes > after.Live*11/10 || freed < 40_000 {
		t.Errorf("freed %d: %+v, then %+v", freed, before, after)
	}
	if items, err := s.bucket.List(t.Context(), "packs/", ""); err != nil || len(items) != s.Stats().Packs {
		t.Errorf("%d objects of %d packs, %v", len(items), s.Stats().Packs, err)
	}
}

func TestALeaseIsTakenOverAfterItsTime(t *testing.T) {
	r := newRig(t)
	clock := time.Now()
	config := func() Config {
		c := r.config()
		c.Now = func() time.Time { return clock }
		return c
	}
	a, b := r.open(config()), r.open(config())
	puts(t, a, 0, 3)
	dead, err := a.objects("lease/").Acquire(t.Context(), "compact", time.Minute)
	must(t, err)
	if _, err := b.Compact(t.Context(), 0.5); !errors.Is(err, ErrHeld) {
		t.Errorf("held: %v", err)
	}
	clock = clock.Add(50 * time.Second)
	must(t, dead.Renew(t.Context()))
	clock = clock.Add(50 * time.Second)
	if _, err := b.Compact(t.Context(), 0.5); !errors.Is(err, ErrHeld) {
		t.Errorf("renewed: %v", err)
	}
	clock = clock.Add(11 * time.Second)
	_, err = b.Compact(t.Context(), 0.5)
	must(t, err)
	if err := dead.Renew(t.Context()); !errors.Is(err, ErrHeld) {
		t.Errorf("the former holder: %v", err)
	}
	_, err = a.Compact(t.Context(), 0.5) // released
	must(t, err)
}

// Whoever compacts may be slow and not dead; then two do at once.
func TestTwoCompactorsAtOnceLoseNothing(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	for n := range 12 {
		puts(t, a, n, n+1)
	}
	must(t, b.Refresh(t.Context()))
	var slow atomic.Bool
	slow.Store(true)
	r.line.Fail(every(func(method, path string) s3test.Fault {
		if method == "PUT" && isPack(path) && slow.CompareAndSwap(true, false) {
			return s3test.Fault{Before: func() { // a's new pack is about to be uploaded; b does the whole work meanwhile
				must(t, b.compactGroup(t.Context(), b.sparse(0.9)[0]))
				must(t, b.sweep(t.Context()))
			}}
		}
		return s3test.Fault{}
	}))
	_, err := a.Compact(t.Context(), 0.9)
	must(t, err)
	r.line.Fail(nil)
	for _, s := range []*Store{a, b, r.open(r.config())} {
		holds(t, s, seq(0, 12)...)
	}
}

func isPack(path string) bool { return bytes.Contains([]byte(path), []byte("/packs/")) }
func isEntry(path string) bool {
	return bytes.Contains([]byte(path), []byte("/ledger/"))
}

// The pack that somebody is about to name in the ledger is swept away as one of a dead process.
func TestASweptPackIsUploadedAgain(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()), r.open(r.config())
	swept := false
	r.line.Fail(every(func(method, path string) s3test.Fault {
		if method == "PUT" && isPack(path) && !swept {
			swept = true
			return s3test.Fault{After: func() { must(t, b.sweep(t.Context())) }}
		}
		return s3test.Fault{}
	}))
	puts(t, a, 0, 5)
	r.line.Fail(nil)
	holds(t, b, seq(0, 5)...)
}

// A process sleeps between its look at the ledger and its entry, while others write many entries and a checkpoint removes them.
func TestAProcessThatSleptWritesNothingIntoThePast(t *testing.T) {
	r := newRig(t)
	c := r.config()
	a, b := r.open(c), r.open(r.config())
	puts(t, a, 0, 1)
	slept := false
	r.line.Fail(every(func(method, path string) s3test.Fault {
		if method == "PUT" && isEntry(path) && !slept {
			slept = true
			return s3test.Fault{Before: func() {
				r.line.Fail(nil)
				for n := range keptEntries + 10 {
					puts(t, b, 10+n%3, 11+n%3)
					must(t, b.Delete(t.Context(), one(10+n%3)))
					must(t, b.Sync(t.Context()))
				}
				_, err := b.Compact(t.Context(), 0.5)
				must(t, err)
			}}
		}
		return s3test.Fault{}
	}))
	puts(t, a, 1, 4)
	for _, s := range []*Store{a, b, r.open(r.config())} {
		holds(t, s, seq(0, 4)...)
	}
	must(t, a.Close())
	holds(t, r.open(c), seq(0, 4)...)
}

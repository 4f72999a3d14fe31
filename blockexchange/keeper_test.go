package blockexchange

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// memoryKeeper keeps sealed copies in memory, and serves the first that the asker did not refuse.
type memoryKeeper struct {
	mu      sync.Mutex
	copies  map[block.ID][][]byte // guarded by mu
	doubted int                   // guarded by mu
	hinted  int                   // guarded by mu; requests that told where in a file the block is, or how big
}

func (k *memoryKeeper) Sealed(_ context.Context, w Want, not func([32]byte) bool) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.Hint != (Hint{}) || w.Size != 0 {
		k.hinted++
	}
	for _, c := range k.copies[w.Block] {
		if !not(block.SealedHash(c)) {
			return append([]byte(nil), c...), nil
		}
	}
	return nil, ErrAbsent
}

func (k *memoryKeeper) Doubted(context.Context, shoal.DeviceID, shoal.FolderID, block.EpochRef, [32]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doubted++
}

// found is what an Exchange found out about the copies of others.
type found struct {
	mu      sync.Mutex
	proved  map[block.ID]bool // guarded by mu
	spoiled map[block.ID]bool // guarded by mu
}

func (f *found) effects() Effects {
	f.proved, f.spoiled = map[block.ID]bool{}, map[block.ID]bool{}
	note := func(set map[block.ID]bool) func(shoal.DeviceID, Want) {
		return func(_ shoal.DeviceID, w Want) {
			f.mu.Lock()
			defer f.mu.Unlock()
			set[w.Block] = true
		}
	}
	return Effects{Proved: note(f.proved), Spoiled: note(f.spoiled)}
}

func (f *found) is(set map[block.ID]bool, id block.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return set[id]
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !so(); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("it did not come to that")
		}
	}
}

// with runs an Exchange that is made of c.
func (b *bench) with(n int, c Config) *Exchange {
	c.Host = b.net.host(device(n))
	c.Keys = func(shoal.FolderID) *mesh.FolderKeys { return b.keys }
	c.IsKeeper = func(d shoal.DeviceID) bool { return d == device(1) }
	x := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = x.Run(ctx) })
	b.t.Cleanup(func() { cancel(); wg.Wait() })
	for running := false; !running; runtime.Gosched() { // before that it answers nobody
		x.mu.Lock()
		running = x.running
		x.mu.Unlock()
	}
	return x
}

func (b *bench) sealed(w Want, plaintext []byte) []byte {
	epoch, _ := b.keys.Epoch(b.epoch)
	out, err := block.Seal(nil, block.SealKey(epoch.Seal), b.epoch, w.Block, plaintext, block.Off, rand.Reader)
	must(b.t, err)
	return out
}

// A vault has a good copy, a bad one with a good one beside it, a bad one alone, and nothing.
func TestProbeTellsGoodCopiesFromBad(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(4, 5000)
	good := func(i int) []byte { return b.sealed(wants[i], blocks[wants[i].Block]) }
	rubbish := func() []byte { r := make([]byte, 6000); _, _ = rand.Read(r); return r }
	k := &memoryKeeper{copies: map[block.ID][][]byte{
		wants[0].Block: {good(0)},
		wants[1].Block: {rubbish(), good(1)},
		wants[2].Block: {rubbish(), rubbish()},
	}}
	b.with(1, Config{Keeper: k})
	x := b.with(2, Config{Source: newMemorySource()})
	got := map[block.ID]error{}
	must(t, x.Probe(t.Context(), device(1), wants, func(w Want, err error) error { got[w.Block] = err; return nil }))
	for i, want := range []error{nil, nil, ErrSpoiled, ErrAbsent} {
		if err, asked := got[wants[i].Block]; !asked || !errors.Is(err, want) {
			t.Errorf("block %d: %v, want %v", i, err, want)
		}
	}
	if k.doubted != 3 {
		t.Errorf("%d copies were reported, want 3", k.doubted)
	}
}

func TestACopyThatOpenedIsProvedAndOneThatDidNotIsSpoiled(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(2, 5000)
	rubbish := make([]byte, 6000) // bigger than the block can be: whoever gave it to the vault is to blame
	k := &memoryKeeper{copies: map[block.ID][][]byte{
		wants[0].Block: {b.sealed(wants[0], blocks[wants[0].Block])},
		wants[1].Block: {rubbish},
	}}
	b.with(1, Config{Keeper: k})
	honest := newMemorySource()
	honest.put(wants[1].Block, blocks[wants[1].Block])
	b.with(3, Config{Source: honest})
	var f found
	x := b.with(2, Config{Source: newMemorySource(), Effects: f.effects()})
	x.PeerUp(device(1), CostLAN)
	done := make(chan error, 1)
	var got map[block.ID][]byte
	go func() {
		var err error
		got, err = collect(t.Context(), x, wants)
		done <- err
	}()
	eventually(t, func() bool { return f.is(f.spoiled, wants[1].Block) })
	x.PeerUp(device(3), CostLAN)
	must(t, <-done)
	equalBlocks(t, got, blocks)
	if !f.is(f.proved, wants[0].Block) || f.is(f.proved, wants[1].Block) || !f.is(f.spoiled, wants[1].Block) || f.is(f.spoiled, wants[0].Block) {
		t.Errorf("proved %v, spoiled %v", f.proved, f.spoiled)
	}
}

func TestWhatAVaultWasGivenIsProved(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(50, 5000)
	src := newMemorySource()
	for id, data := range blocks {
		src.put(id, data)
	}
	var f found
	b.with(2, Config{Source: src, Effects: f.effects()})
	v := b.with(1, Config{Keeper: &memoryKeeper{}})
	v.PeerUp(device(2), CostLAN)
	for i := range wants {
		wants[i].Size = 0
	}
	kept := 0
	must(t, v.FetchSealed(t.Context(), wants, func(Want, shoal.DeviceID, []byte) error { kept++; return nil }))
	for _, w := range wants {
		eventually(t, func() bool { return f.is(f.proved, w.Block) }) // told just after the block has left
	}
	if kept != 50 {
		t.Errorf("%d blocks kept", kept)
	}
}

// Devices that are no vaults prove nothing: they sign for themselves.
func TestOnlyTheCopiesOfVaultsAreProved(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(5, 5000)
	src := newMemorySource()
	for id, data := range blocks {
		src.put(id, data)
	}
	var given, opened found
	b.with(2, Config{Source: src, Effects: given.effects()})
	x := b.with(3, Config{Source: newMemorySource(), Effects: opened.effects()})
	x.PeerUp(device(2), CostLAN)
	_, err := collect(t.Context(), x, wants)
	must(t, err)
	for _, w := range wants {
		if given.is(given.proved, w.Block) || opened.is(opened.proved, w.Block) {
			t.Errorf("block %s is proved", w.Block.Short())
		}
	}
}

// Where a block is in a file is sealed from vaults, and its size is padded; whoever asks one for it does not tell either.
func TestAVaultIsNotToldSizesNorPlacesOfBlocks(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(40, 5000)
	k := &memoryKeeper{copies: map[block.ID][][]byte{}}
	for _, w := range wants {
		k.copies[w.Block] = [][]byte{b.sealed(w, blocks[w.Block])}
	}
	b.with(1, Config{Keeper: k})
	x := b.with(2, Config{Source: newMemorySource()})
	must(t, x.Probe(t.Context(), device(1), wants[:5], func(_ Want, err error) error { return err }))
	x.PeerUp(device(1), CostLAN)
	got, err := collect(t.Context(), x, wants)
	must(t, err)
	equalBlocks(t, got, blocks)
	if k.hinted > 0 {
		t.Errorf("%d requests said more than which block", k.hinted)
	}
}

package blockexchange

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

func equalBlocks(t *testing.T, got, want map[block.ID][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d blocks came, %d were wanted", len(got), len(want))
	}
	for id, data := range want {
		if !bytes.Equal(got[id], data) {
			t.Fatalf("block %s has other bytes", id.Short())
		}
	}
}

func TestFetchBringsEveryBlockFromSeveralSources(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(300, 50_000)
	one, two := newMemorySource(), newMemorySource()
	for i, w := range wants {
		if i%3 != 0 {
			one.put(w.Block, blocks[w.Block])
		}
		if i%3 != 1 {
			two.put(w.Block, blocks[w.Block])
		}
	}
	b.device(1, one)
	b.device(2, two)
	x, _ := b.device(3, newMemorySource())
	x.PeerUp(device(1), CostLAN)
	x.PeerUp(device(2), CostLAN)
	got, err := collect(t.Context(), x, wants)
	must(t, err)
	equalBlocks(t, got, blocks)
	if len(one.asked) == 0 || len(two.asked) == 0 {
		t.Errorf("asked: %d and %d", len(one.asked), len(two.asked))
	}
	if p := x.Progress(b.folder); p.Blocks != 0 || p.Bytes != 0 || p.Fetched != 300*50_000 {
		t.Errorf("progress %+v", p)
	}
	if in, _ := x.Traffic(); in < 300*50_000 {
		t.Errorf("traffic in: %d", in)
	}
}

func TestHintReachesTheSource(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(1, 10)
	seen := make(chan Want, 1)
	lib := newMemorySource()
	host := b.net.host(device(1))
	serve := New(Config{Host: host, Keys: func(shoal.FolderID) *mesh.FolderKeys { return b.keys },
		Source: sourceFunc(func(ctx context.Context, w Want) ([]byte, error) {
			seen <- w
			return blocks[w.Block], nil
		})})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	defer func() { cancel(); <-done }()
	go func() { done <- serve.Run(ctx) }()
	x, _ := b.device(2, lib)
	x.PeerUp(device(1), CostLAN)
	_, err := collect(t.Context(), x, wants)
	must(t, err)
	if w := <-seen; w != wants[0] {
		t.Errorf("source saw %+v instead of %+v", w, wants[0])
	}
}

type sourceFunc func(context.Context, Want) ([]byte, error)

func (f sourceFunc) Block(ctx context.Context, w Want, _ []byte) ([]byte, error) { return f(ctx, w) }

func TestAbsentBlockComesAsSoonAsTheSourceHasIt(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b := outside.inside(t)
		blocks, wants := b.blocks(20, 1000)
		lib := newMemorySource()
		src, _ := b.device(1, lib)
		x, _ := b.device(2, newMemorySource())
		x.PeerUp(device(1), CostLAN)
		begin := time.Now()
		result := make(chan error, 1)
		go func() {
			got, err := collect(t.Context(), x, wants)
			if err == nil {
				equalBlocks(t, got, blocks)
			}
			result <- err
		}()
		synctest.Wait() // everything was answered as absent
		for _, w := range wants {
			lib.put(w.Block, blocks[w.Block])
			src.NowHave(b.folder, []block.ID{w.Block})
		}
		must(t, <-result)
		if took := time.Since(begin); took >= time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestLyingSourceIsReplacedByAnHonestOne(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) { testLyingSource(t, outside.inside(t)) })
}

func testLyingSource(t *testing.T, b *bench) {
	blocks, wants := b.blocks(40, 5000)
	liar, honest := newMemorySource(), newMemorySource()
	for id, data := range blocks {
		honest.put(id, data)
		liar.put(id, append([]byte("x"), data[1:]...))
	}
	b.device(1, liar)
	b.device(2, honest)
	x, _ := b.device(3, newMemorySource())
	x.PeerUp(device(1), CostLAN)
	result := make(chan error)
	go func() {
		got, err := collect(t.Context(), x, wants)
		if err == nil {
			equalBlocks(t, got, blocks)
		}
		result <- err
	}()
	synctest.Wait() // the liar has answered
	x.mu.Lock()
	if f := x.planner.faults[device(1)]; f == nil || f.until.IsZero() {
		t.Errorf("the liar's faults are %+v: it is not left out", f)
	}
	x.mu.Unlock()
	x.PeerUp(device(2), CostRelay)
	must(t, <-result)
}

func TestFetchSurvivesBrokenStreams(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(400, 20_000)
	lib := newMemorySource()
	for id, data := range blocks {
		lib.put(id, data)
	}
	b.device(1, lib)
	x, _ := b.device(2, newMemorySource())
	x.PeerUp(device(1), CostLAN)
	n, got := 0, make(map[block.ID][]byte)
	err := x.Fetch(t.Context(), wants, func(w Want, plaintext []byte) error {
		if n++; n%100 == 50 {
			b.net.cut()
		}
		got[w.Block] = append([]byte(nil), plaintext...)
		return nil
	})
	must(t, err)
	equalBlocks(t, got, blocks)
}

func TestTwoFetchesShareWhatBothWant(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) { testSharing(t, outside.inside(t)) })
}

func testSharing(t *testing.T, b *bench) {
	blocks, wants := b.blocks(30, 2000)
	lib := newMemorySource()
	lib.gate = make(chan struct{})
	for id, data := range blocks {
		lib.put(id, data)
	}
	b.device(1, lib)
	x, _ := b.device(2, newMemorySource())
	x.PeerUp(device(1), CostLAN)
	results := make(chan error, 2)
	for range 2 {
		go func() {
			got, err := collect(t.Context(), x, append(wants, wants[:5]...))
			if err == nil {
				equalBlocks(t, got, blocks)
			}
			results <- err
		}()
	}
	synctest.Wait() // both have asked
	close(lib.gate)
	must(t, <-results)
	must(t, <-results)
	for id, n := range lib.asked {
		if n != 1 {
			t.Errorf("block %s was asked for %d times", id.Short(), n)
		}
	}
}

func TestFetchEndsWithItsContextAndWithDeliver(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(3, 100)
	lib := newMemorySource()
	lib.put(wants[0].Block, blocks[wants[0].Block])
	b.device(1, lib)
	x, stop := b.device(2, newMemorySource())
	x.PeerUp(device(1), CostLAN)

	ctx, cancel := context.WithCancel(t.Context())
	err := x.Fetch(ctx, wants, func(Want, []byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	full := errors.New("disk full")
	if err := x.Fetch(t.Context(), wants[:1], func(Want, []byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("with a failing deliver: %v", err)
	}
	bad := wants[0]
	bad.Epoch = shoal.EpochID{9}
	if _, err := collect(t.Context(), x, []Want{bad}); !errors.Is(err, ErrNoKey) {
		t.Errorf("with an unknown epoch: %v", err)
	}
	bad.Folder = shoal.FolderID{9}
	if _, err := collect(t.Context(), x, []Want{bad}); !errors.Is(err, ErrNoKey) {
		t.Errorf("with an unknown folder: %v", err)
	}
	if _, err := collect(t.Context(), x, []Want{{}}); !errors.Is(err, shoal.ErrInvalid) {
		t.Errorf("with an empty want: %v", err)
	}
	if _, err := collect(t.Context(), x, nil); err != nil {
		t.Errorf("with nothing wanted: %v", err)
	}
	stop()
	if _, err := collect(t.Context(), x, wants); !errors.Is(err, ErrStopped) {
		t.Errorf("after Run has ended: %v", err)
	}
}

func TestFetchEndsWithRun(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b := outside.inside(t)
		_, wants := b.blocks(3, 100)
		x, stop := b.device(1, newMemorySource())
		result := make(chan error, 1)
		go func() {
			_, err := collect(context.Background(), x, wants)
			result <- err
		}()
		synctest.Wait()
		stop()
		if err := <-result; !errors.Is(err, ErrStopped) {
			t.Errorf("after Run has ended: %v", err)
		}
		if p := x.Progress(b.folder); p.Blocks != 0 || p.Bytes != 0 {
			t.Errorf("left over: %+v", p)
		}
	})
}

func TestRefusedPeerGetsNothing(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b := outside.inside(t)
		blocks, wants := b.blocks(1, 100)
		lib := newMemorySource()
		lib.put(wants[0].Block, blocks[wants[0].Block])
		src, _ := b.device(1, lib)
		src.cfg.Allow = func(dev shoal.DeviceID, _ shoal.FolderID) bool { return dev == device(3) }
		x, _ := b.device(2, newMemorySource())
		y, _ := b.device(3, newMemorySource())
		x.PeerUp(device(1), CostLAN)
		y.PeerUp(device(1), CostLAN)
		_, err := collect(t.Context(), y, wants)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := collect(ctx, x, wants); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("fetched without leave: %v", err)
		}
	})
}

// TestBlockThatComesWhileItIsLookedUpIsTold has a block come to the source after it was looked for and before that is said.
func TestBlockThatComesWhileItIsLookedUpIsTold(t *testing.T) {
	outside := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b := outside.inside(t)
		blocks, wants := b.blocks(1, 1000)
		begun, answer, looked := make(chan struct{}), make(chan struct{}), false
		src, _ := b.device(1, sourceFunc(func(context.Context, Want) ([]byte, error) {
			if !looked {
				looked = true
				close(begun)
				<-answer
				return nil, ErrAbsent
			}
			return blocks[wants[0].Block], nil
		}))
		x, _ := b.device(2, newMemorySource())
		x.PeerUp(device(1), CostLAN)
		result := make(chan error, 1)
		go func() {
			_, err := collect(t.Context(), x, wants)
			result <- err
		}()
		<-begun // the first stream may have come before the source was ready for it
		src.NowHave(b.folder, []block.ID{wants[0].Block})
		begin := time.Now()
		close(answer)
		must(t, <-result)
		if took := time.Since(begin); took >= time.Second {
			t.Errorf("took %v", took)
		}
	})
}

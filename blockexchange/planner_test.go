package blockexchange

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

func TestOneSourceDeliversEverything(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 1000, 256*kib)
	w.source(1, CostLAN, 100, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	start := w.now
	w.mustComplete(time.Minute)
	if took := w.now.Sub(start); took > 2800*time.Millisecond {
		t.Errorf("262 MB at 100 MB/s took %v", took)
	}
	if blocks, bytes := w.planner.Open(); blocks != 0 || bytes != 0 {
		w.run(time.Second, func() bool { return false })
		if blocks, bytes := w.planner.Open(); blocks != 0 || bytes != 0 {
			t.Errorf("%d blocks and %d bytes are left over", blocks, bytes)
		}
	}
}

func TestManySmallBlocksKeep64RequestsInFlight(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 2000, 1*kib)
	s := w.source(1, CostLAN, 100, 5*time.Millisecond, keysOf(ws))
	w.want(1, ws)
	if n := len(w.inFlight[s.dev]); n < 64 {
		t.Errorf("%d requests in flight", n)
	}
	w.mustComplete(time.Second)
}

func TestLongFatLinkIsFilled(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 1000, 256*kib)
	w.source(1, CostDirect, 50, 100*time.Millisecond, keysOf(ws))
	w.want(1, ws)
	start := w.now
	w.mustComplete(time.Minute)
	if took := w.now.Sub(start); took > 6500*time.Millisecond {
		t.Errorf("262 MB at 50 MB/s with 100 ms took %v", took)
	}
}

func TestTwoSourcesAreBothAskedFromTheStart(t *testing.T) {
	for _, n := range []int{2, 6, 1000} {
		w := newWorld(t, Limits{})
		ws := wants(0, n, 256*kib)
		a := w.source(1, CostLAN, 50, time.Millisecond, keysOf(ws))
		b := w.source(2, CostLAN, 50, time.Millisecond, keysOf(ws))
		w.want(1, ws)
		if a.first == 0 || b.first == 0 {
			t.Errorf("%d blocks: first requests %d and %d", n, a.first, b.first)
		}
		w.mustComplete(time.Minute)
	}
}

func TestThreeEqualSourcesShareABigFileEvenly(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 3000, 256*kib)
	var all []*simSource
	for i := range 3 {
		all = append(all, w.source(i, CostLAN, 100, time.Millisecond, keysOf(ws)))
	}
	w.want(1, ws)
	start := w.now
	w.mustComplete(time.Minute)
	for _, s := range all {
		if share := float64(s.served) / (3000 * 256 * kib); share < 0.28 || share > 0.39 {
			t.Errorf("a source served %.0f %%", 100*share)
		}
	}
	if took := w.now.Sub(start); took > 2900*time.Millisecond {
		t.Errorf("786 MB at 3 × 100 MB/s took %v", took)
	}
}

func TestFastSourceTakesOverTheTailOfASlowOne(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 400, 256*kib)
	w.source(1, CostLAN, 100, time.Millisecond, keysOf(ws))
	w.source(2, CostLAN, 0.3, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	start := w.now
	w.mustComplete(time.Minute)
	// Alone the fast one needs 1.05 s. The slow one holds two megabytes from the start, which alone take it 7 s.
	if took := w.now.Sub(start); took > 2500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestStalledSourceHoldsNothingUp(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 100, 256*kib)
	mute := w.source(1, CostLAN, 100, time.Millisecond, keysOf(ws))
	mute.mute = true
	w.source(2, CostLAN, 100, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	start := w.now
	w.mustComplete(time.Minute)
	if took := w.now.Sub(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	w.run(time.Minute, func() bool { return false })
	if w.dropped[mute.dev] != Stalled {
		t.Errorf("the mute source was not dropped")
	}
}

func TestLyingSourceIsLeftOut(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 200, 256*kib)
	liar := w.source(1, CostLAN, 1000, time.Microsecond, keysOf(ws))
	liar.lies = true
	w.source(2, CostRelay, 10, 50*time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.mustComplete(time.Minute)
	if w.dropped[liar.dev] != Lying {
		t.Fatalf("dropped: %v", w.dropped)
	}
	if liar.lied != 2 {
		t.Errorf("it lied %d times before it was left out", liar.lied)
	}
	delete(w.dropped, liar.dev)
	w.up(liar, CostLAN)
	if w.dropped[liar.dev] != Lying {
		t.Errorf("the liar came back at once")
	}
	w.now = w.now.Add(2 * time.Hour)
	delete(w.dropped, liar.dev)
	w.up(liar, CostLAN)
	if len(w.dropped) != 0 {
		t.Errorf("the liar is left out for ever")
	}
}

func TestNoRequestIsLostWhenASourceGoesDown(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 300, 256*kib)
	a := w.source(1, CostLAN, 50, time.Millisecond, keysOf(ws))
	w.source(2, CostLAN, 50, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.run(200*time.Millisecond, w.complete)
	w.down(a)
	w.mustComplete(time.Minute)
}

func TestBlockThatIsAbsentEverywhereComesWithHave(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 1, kib)
	s := w.source(1, CostLAN, 50, time.Millisecond, map[Key]bool{})
	w.want(1, ws)
	w.run(10*time.Millisecond, w.complete)
	s.has[key(0)] = true
	w.step(Have{Peer: s.dev, Keys: []Key{key(0)}})
	w.mustComplete(10 * time.Millisecond)
}

func TestBlockThatIsAbsentEverywhereIsAskedForAgainLater(t *testing.T) {
	w := newWorld(t, Limits{})
	s := w.source(1, CostLAN, 50, time.Millisecond, map[Key]bool{})
	w.want(1, wants(0, 1, kib))
	w.run(time.Second, w.complete)
	s.has[key(0)] = true
	w.mustComplete(5 * time.Second)
	before := w.requests
	w.want(2, wants(1, 2, kib))
	w.run(10*time.Minute, w.complete)
	if n := w.requests - before; n > 20 {
		t.Errorf("asked %d times in 10 minutes for what nobody has", n)
	}
}

func TestPauseBeginsAnewWhenSomethingCame(t *testing.T) {
	w := newWorld(t, Limits{})
	s := w.source(1, CostLAN, 50, time.Millisecond, map[Key]bool{})
	w.want(1, wants(0, 2, kib))
	w.run(250*time.Second, w.complete) // it was asked for 2, 6, 14, 30, 62, 122, 182, 242 s after the start
	s.has[key(0)] = true
	w.step(Have{Peer: s.dev, Keys: []Key{key(0)}})
	w.run(10*time.Millisecond, w.complete)
	s.has[key(1)] = true
	w.mustComplete(firstPause + 10*time.Millisecond)
}

func TestNewSourceBringsWhatOthersLack(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 50, kib)
	w.source(1, CostLAN, 50, time.Millisecond, map[Key]bool{})
	w.want(1, ws)
	w.run(time.Second, w.complete)
	w.source(2, CostRelay, 50, time.Millisecond, keysOf(ws))
	w.mustComplete(100 * time.Millisecond)
}

func TestSourceThatLacksEverythingCostsFewRequests(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 4000, 256*kib)
	empty := w.source(1, CostLAN, 100, 100*time.Microsecond, map[Key]bool{})
	w.source(2, CostLAN, 100, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.mustComplete(time.Minute)
	if n := len(empty.absents); n > 100 {
		t.Errorf("the empty source was asked for %d blocks", n)
	}
}

func TestCostlyLinkIsUsedOnlyForWhatCheapOnesLack(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 200, 256*kib)
	w.source(1, CostLAN, 20, time.Millisecond, keysOf(ws[:150]))
	relay := w.source(2, CostRelay, 20, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.mustComplete(time.Minute)
	if relay.served != 50*256*kib {
		t.Errorf("%d KiB came over the relay, %d only it has", relay.served/kib, 50*256)
	}
}

func TestCostlyLinkHelpsWhenTheCheapOneStalls(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 20, 256*kib)
	w.source(1, CostLAN, 20, time.Millisecond, keysOf(ws)).mute = true
	w.source(2, CostRelay, 20, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.mustComplete(5 * time.Second)
}

func TestSmallFileDoesNotWaitForABigOne(t *testing.T) {
	w := newWorld(t, Limits{})
	big, small := wants(0, 4000, 256*kib), wants(5000, 5001, kib)
	w.source(1, CostLAN, 50, time.Millisecond, keysOf(slices.Concat(big, small)))
	w.want(1, big)
	w.run(2*time.Second, w.complete)
	w.want(2, small)
	start := w.now
	w.run(time.Minute, func() bool { return len(w.got[2]) == 1 })
	if took := w.now.Sub(start); took > 500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestReceiverThatDoesNotMoveLeavesRoomForOthers(t *testing.T) {
	w := newWorld(t, Limits{})
	big, small := wants(0, 400, 1024*kib), wants(5000, 5001, kib)
	w.source(1, CostLAN, 500, time.Millisecond, keysOf(slices.Concat(big, small)))
	w.slowness = time.Hour
	w.want(1, big)
	w.run(time.Second, w.complete)
	w.want(2, small)
	if !w.run(time.Second, func() bool { return len(w.got[2]) == 1 }) {
		t.Errorf("a stuck receiver holds up everybody: %s", w.describe())
	}
}

func TestSlowReceiversHoldLittle(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 400, 256*kib)
	w.source(1, CostLAN, 1000, time.Millisecond, keysOf(ws))
	w.slowness = 10 * time.Millisecond
	for i := range 4 {
		w.want(GroupID(i+1), ws[i*100:(i+1)*100])
	}
	w.mustComplete(time.Second)
	if w.peak > w.limits.InFlight/2 {
		t.Errorf("%d bytes are held or on the way to receivers that are slow, of %d that may be", w.peak, w.limits.InFlight)
	}
}

func TestCancelledGroupIsForgotten(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 100, 256*kib)
	w.source(1, CostLAN, 10, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.want(2, ws[50:])
	w.run(100*time.Millisecond, w.complete)
	delete(w.wanted, 1)
	w.step(Cancelled{Group: 1})
	w.mustComplete(time.Minute)
	if len(w.got[1]) > 10 {
		t.Errorf("group 1 got %d blocks", len(w.got[1]))
	}
	delete(w.wanted, 2)
	w.step(Cancelled{Group: 2})
	w.run(time.Second, func() bool { return false })
	if blocks, bytes := w.planner.Open(); blocks != 0 || bytes != 0 {
		t.Errorf("%d blocks, %d bytes left", blocks, bytes)
	}
}

func TestTwoGroupsShareOneRequest(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 10, kib)
	s := w.source(1, CostLAN, 10, time.Millisecond, keysOf(ws))
	w.want(1, ws)
	w.want(2, ws)
	w.mustComplete(time.Second)
	if s.served != 10*kib {
		t.Errorf("served %d bytes", s.served)
	}
}

func TestEqualEventsGiveEqualActions(t *testing.T) {
	trace := func() string {
		w := newWorld(t, Limits{})
		ws := wants(0, 300, 256*kib)
		for i := range 4 {
			w.source(i, CostLAN, float64(10*i+5), time.Duration(i)*time.Millisecond, keysOf(ws[10*i:]))
		}
		w.want(1, ws)
		w.want(2, ws[100:])
		w.mustComplete(time.Minute)
		return fmt.Sprint(w.now, w.requests, w.describe())
	}
	if a, b := trace(), trace(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestWhoIsNotToBeAskedIsNotAsked(t *testing.T) {
	w := newWorld(t, Limits{})
	ws := wants(0, 50, 256*kib)
	first := w.source(1, CostLAN, 100, time.Millisecond, keysOf(ws))
	other := w.source(2, CostDirect, 1, time.Millisecond, keysOf(ws[:40]))
	for i := range ws {
		ws[i].Not = DevicesOf([]shoal.DeviceID{{9}, first.dev})
	}
	w.want(1, ws)
	w.run(5*time.Minute, func() bool { return false })
	if blocks, _ := w.planner.Open(); first.first != 0 || blocks != 10 {
		t.Errorf("the one was asked for %d, and %d blocks are open, want 10", first.first, blocks)
	}
	if len(w.inFlight[first.dev]) != 0 || other.first == 0 {
		t.Error("not the other was asked")
	}
}

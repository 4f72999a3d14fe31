package blockexchange

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// world is a simulated network around one Planner: sources with a rate, a latency and habits, a receiver that takes its time,
// and one clock. It has no goroutine and no chance of its own.
type world struct {
	t       failer
	planner *Planner
	limits  Limits
	now     time.Time
	queue   happenings
	count   int
	wake    time.Time

	sources  map[shoal.DeviceID]*simSource
	inFlight map[shoal.DeviceID]map[Key]uint32 // requests without an answer
	held     map[Key]uint32
	wanted   map[GroupID]map[Key]bool
	got      map[GroupID]map[Key]int
	slowness time.Duration // of the receiver, per block
	dropped  map[shoal.DeviceID]DropReason
	requests int
	peak     int64
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// simSource answers one request after the other.
type simSource struct {
	dev     shoal.DeviceID
	up      bool
	life    int // counts PeerUp: answers of an earlier life are lost
	rate    float64
	latency time.Duration
	has     map[Key]bool
	lies    bool // sends rubbish
	mute    bool // answers nothing
	busy    time.Time
	asked   map[Key]bool // not cancelled
	served  int64
	first   int // the number of the request that reached it first
	absents map[Key]bool
}

type happening struct {
	at    time.Time
	order int
	do    func()
}

type happenings []happening

func (h happenings) Len() int      { return len(h) }
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h happenings) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].order < h[j].order
}
func (h *happenings) Push(x any) { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func newWorld(t failer, l Limits) *world {
	return &world{t: t, planner: NewPlanner(l), limits: l.withDefaults(), now: time.Unix(1_000_000, 0),
		sources: make(map[shoal.DeviceID]*simSource), inFlight: make(map[shoal.DeviceID]map[Key]uint32), held: make(map[Key]uint32),
		wanted: make(map[GroupID]map[Key]bool), got: make(map[GroupID]map[Key]int), dropped: make(map[shoal.DeviceID]DropReason)}
}

func device(n int) shoal.DeviceID { return shoal.DeviceID{31: byte(n), 0: 1} }

func key(n int) Key {
	return Key{Folder: shoal.FolderID{1}, Block: block.ID{0: 1, 1: byte(n >> 16), 2: byte(n >> 8), 3: byte(n)}}
}

func wants(from, to int, size uint32) (out []Want) {
	for n := from; n < to; n++ {
		out = append(out, Want{Folder: key(n).Folder, Block: key(n).Block, Size: size})
	}
	return out
}

func keysOf(ws []Want) map[Key]bool {
	m := make(map[Key]bool)
	for _, w := range ws {
		m[w.Key()] = true
	}
	return m
}

func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, happening{at: w.now.Add(d), order: w.count, do: do})
}

// source adds a source that is up.
func (w *world) source(n int, cost Cost, mbps float64, latency time.Duration, has map[Key]bool) *simSource {
	s := &simSource{dev: device(n), rate: mbps * 1e6, latency: latency, has: has, asked: make(map[Key]bool), absents: make(map[Key]bool)}
	w.sources[s.dev] = s
	w.up(s, cost)
	return s
}

func (w *world) up(s *simSource, cost Cost) {
	s.up, s.life, s.busy = true, s.life+1, w.now
	clear(s.asked)
	w.inFlight[s.dev] = make(map[Key]uint32)
	w.step(PeerUp{Peer: s.dev, Cost: cost})
}

func (w *world) down(s *simSource) {
	s.up = false
	clear(w.inFlight[s.dev])
	w.step(PeerDown{Peer: s.dev})
}

func (w *world) want(g GroupID, ws []Want) {
	if w.wanted[g] == nil {
		w.wanted[g], w.got[g] = make(map[Key]bool), make(map[Key]int)
	}
	for _, x := range ws {
		w.wanted[g][x.Key()] = true
	}
	w.step(Wanted{Group: g, Wants: ws})
}

func (w *world) step(ev Event) {
	for _, a := range w.planner.Step(w.now, ev) {
		switch a := a.(type) {
		case Request:
			w.request(a)
		case Cancel:
			for _, k := range a.Keys {
				delete(w.sources[a.Peer].asked, k)
			}
		case Deliver:
			w.deliver(a)
		case Drop:
			w.dropped[a.Peer] = a.Reason
			w.sources[a.Peer].up = false
			clear(w.inFlight[a.Peer])
		case WakeAt:
			w.wake = a.At
		}
	}
	w.check()
}

func (w *world) request(a Request) {
	w.t.Helper()
	s := w.sources[a.Peer]
	if !s.up {
		w.t.Fatalf("request to %s, which is down", a.Peer.Short())
	}
	for _, x := range a.Wants {
		w.requests++
		if s.first == 0 {
			s.first = w.requests
		}
		if _, twice := w.inFlight[s.dev][x.Key()]; twice {
			w.t.Fatalf("block asked for twice of one source")
		}
		w.inFlight[s.dev][x.Key()] = x.Size
		s.asked[x.Key()] = true
		w.answer(s, x)
	}
}

// answer plans the answer to one request.
func (w *world) answer(s *simSource, x Want) {
	if s.mute {
		return
	}
	life, k := s.life, x.Key()
	begin := s.busy
	if w.now.After(begin) {
		begin = w.now
	}
	work := time.Duration(float64(x.Size) / s.rate * float64(time.Second))
	if !s.has[k] {
		work = 10 * time.Microsecond
	}
	s.busy = begin.Add(work)
	w.after(s.busy.Sub(w.now)+s.latency, func() {
		if !s.up || s.life != life || s.mute {
			return
		}
		delete(w.inFlight[s.dev], k)
		switch {
		case !s.asked[k]:
			w.step(Ended{Peer: s.dev, Key: k})
		case !s.has[k]:
			s.absents[k] = true
			w.step(Absent{Peer: s.dev, Key: k})
		case s.lies:
			w.step(Bad{Peer: s.dev, Key: k})
		default:
			s.served += int64(x.Size)
			w.held[k] = x.Size
			w.step(Got{Peer: s.dev, Key: k})
			if !w.delivering(k) {
				delete(w.held, k)
			}
		}
	})
}

func (w *world) delivering(k Key) bool {
	e := w.planner.entries[k]
	return e != nil && e.held
}

func (w *world) deliver(a Deliver) {
	for _, g := range a.Groups {
		w.got[g][a.Key]++
		if w.got[g][a.Key] > 1 || !w.wanted[g][a.Key] {
			w.t.Fatalf("block delivered to group %d %d times, wanted %v", g, w.got[g][a.Key], w.wanted[g][a.Key])
		}
	}
	w.after(w.slowness, func() {
		if w.delivering(a.Key) {
			delete(w.held, a.Key)
			w.step(Delivered{Key: a.Key})
		}
	})
}

// check holds the bounds on what is in flight.
func (w *world) check() {
	w.t.Helper()
	total := int64(0)
	for _, s := range w.sources {
		mine := int64(0)
		for _, size := range w.inFlight[s.dev] {
			mine += int64(size)
		}
		if mine > w.limits.PerPeer || len(w.inFlight[s.dev]) > w.limits.Requests {
			w.t.Fatalf("%d requests, %d bytes in flight at one source", len(w.inFlight[s.dev]), mine)
		}
		total += mine
	}
	for _, size := range w.held {
		total += int64(size)
	}
	w.peak = max(w.peak, total)
	if total > w.limits.InFlight {
		w.t.Fatalf("%d bytes in flight, %d allowed", total, w.limits.InFlight)
	}
}

// run lets time pass until done, or for at most d. It tells whether done.
func (w *world) run(d time.Duration, done func() bool) bool {
	end := w.now.Add(d)
	for !done() {
		next := end
		isTick := !w.wake.IsZero() && w.wake.Before(next)
		if isTick {
			next = w.wake
		}
		if len(w.queue) > 0 && !w.queue[0].at.After(next) {
			h := heap.Pop(&w.queue).(happening)
			w.now = h.at
			h.do()
			continue
		}
		if next.After(w.now) {
			w.now = next
		}
		if !isTick {
			return done()
		}
		w.wake = time.Time{}
		w.step(Tick{})
	}
	return true
}

func (w *world) complete() bool {
	for g, ks := range w.wanted {
		if len(w.got[g]) < len(ks) {
			return false
		}
	}
	return true
}

func (w *world) mustComplete(d time.Duration) {
	w.t.Helper()
	if !w.run(d, w.complete) {
		w.t.Fatalf("not complete after %v: %s", d, w.describe())
	}
}

func (w *world) describe() string {
	blocks, bytes := w.planner.Open()
	s := fmt.Sprintf("%d blocks open, %d bytes in flight;", blocks, bytes)
	for _, src := range w.planner.sources {
		s += fmt.Sprintf(" %s: %d open, %d misses, %.0f B/s;", src.peer.Short(), len(src.open), src.misses, src.meter.rate)
	}
	return s
}

const kib = 1 << 10

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

// TestEveryWantIsDeliveredWhateverHappens lets sources come and go, lie, stall, lack and learn blocks, and lets fetches begin
// and end. As long as one honest source has everything in the end, everything is delivered, once, within the bounds that
// world.check holds.
func TestEveryWantIsDeliveredWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, Limits{InFlight: 4 << 20, PerPeer: 2 << 20, Requests: 32, Stall: 15 * time.Second})
		w.slowness = time.Duration(rapid.IntRange(0, 20).Draw(rt, "slowness")) * time.Millisecond
		size := rapid.SampledFrom([]uint32{kib, 64 * kib, 256 * kib, 1024 * kib}).Draw(rt, "size")
		total := rapid.IntRange(1, 120).Draw(rt, "blocks")
		var all []*simSource
		for i := range rapid.IntRange(1, 5).Draw(rt, "sources") {
			has := make(map[Key]bool)
			for n := range total {
				if rapid.IntRange(0, 3).Draw(rt, "has") > 0 {
					has[key(n)] = true
				}
			}
			s := w.source(i, Cost(rapid.IntRange(0, 2).Draw(rt, "cost")), rapid.Float64Range(0.1, 200).Draw(rt, "MB/s"),
				time.Duration(rapid.IntRange(0, 200).Draw(rt, "ms"))*time.Millisecond, has)
			s.lies = i > 0 && rapid.IntRange(0, 4).Draw(rt, "lies") == 0
			all = append(all, s)
		}
		groups := GroupID(0)
		for range rapid.IntRange(1, 25).Draw(rt, "acts") {
			s := all[rapid.IntRange(0, len(all)-1).Draw(rt, "source")]
			switch rapid.IntRange(0, 6).Draw(rt, "act") {
			case 0, 1:
				groups++
				from := rapid.IntRange(0, total-1).Draw(rt, "from")
				w.want(groups, wants(from, rapid.IntRange(from+1, total).Draw(rt, "to"), size))
			case 2:
				if s.up {
					w.down(s)
				} else {
					w.up(s, CostLAN)
				}
			case 3:
				s.mute = !s.mute
			case 4:
				if g := GroupID(rapid.IntRange(1, int(groups)+1).Draw(rt, "group")); w.wanted[g] != nil {
					delete(w.wanted, g)
					w.step(Cancelled{Group: g})
				}
			case 5:
				var news []Key
				for n := range total {
					if !s.has[key(n)] {
						s.has[key(n)] = true
						news = append(news, key(n))
					}
				}
				if s.up {
					w.step(Have{Peer: s.dev, Keys: news})
				}
			}
			w.run(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause"))*time.Millisecond, w.complete)
		}
		honest := all[0]
		honest.mute = false
		for n := range total {
			honest.has[key(n)] = true
		}
		w.down(honest)
		w.up(honest, CostLAN)
		w.mustComplete(30 * time.Minute)
		for g := range w.wanted {
			delete(w.wanted, g)
			w.step(Cancelled{Group: g})
		}
		for _, s := range all {
			w.down(s)
		}
		w.run(time.Minute, func() bool { return false })
		if blocks, bytes := w.planner.Open(); blocks != 0 || bytes != 0 {
			rt.Fatalf("%d blocks and %d bytes are left over", blocks, bytes)
		}
	})
}

package blockexchange

import (
	"container/heap"
	"fmt"
	"time"

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
	lied    int
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
			s.lied++
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

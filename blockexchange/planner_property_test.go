package blockexchange

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEveryWantIsDeliveredWhateverHappens lets sources come and go, lie, stall, lack and learn blocks, and lets fetches begin
// and end. As long as one honest source has everything in the end, everything is delivered, once, within the bounds that
// world.check holds.
func TestEveryWantIsDeliveredWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, Limits{InFlight: 4 << 20, PerPeer: 2 << 20, Requests: 32, Stall: 15 * time.Second})
		w.slowness = time.Duration(rapid.IntRange(0, 20).Draw(rt, "slowness")) * time.Millisecond
		size := rapid.SampledFrom([]uint32{kib, 64 * kib, 256 * kib, 1024 * kib}).Draw(rt, "size")
		total := rapid.IntRange(1, 120).Draw(rt, "blocks")
		all := w.drawSources(rt, total)
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
				w.giveUp(GroupID(rapid.IntRange(1, int(groups)+1).Draw(rt, "group")))
			case 5:
				w.learn(s, total)
			}
			w.run(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause"))*time.Millisecond, w.complete)
		}
		w.endWell(all, total)
	})
}

// drawSources makes sources of which the first never lies.
func (w *world) drawSources(rt *rapid.T, total int) (all []*simSource) {
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
	return all
}

func (w *world) giveUp(g GroupID) {
	if w.wanted[g] != nil {
		delete(w.wanted, g)
		w.step(Cancelled{Group: g})
	}
}

// learn gives a source everything that it lacks.
func (w *world) learn(s *simSource, total int) {
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

// endWell lets the honest source have everything, waits for everything, and looks for what is left over.
func (w *world) endWell(all []*simSource, total int) {
	honest := all[0]
	honest.mute = false
	for n := range total {
		honest.has[key(n)] = true
	}
	w.down(honest)
	w.up(honest, CostLAN)
	w.mustComplete(30 * time.Minute)
	for g := range w.wanted {
		w.giveUp(g)
	}
	for _, s := range all {
		w.down(s)
	}
	w.run(time.Minute, func() bool { return false })
	if blocks, bytes := w.planner.Open(); blocks != 0 || bytes != 0 {
		w.t.Fatalf("%d blocks and %d bytes are left over", blocks, bytes)
	}
}

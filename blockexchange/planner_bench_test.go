package blockexchange

import (
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// BenchmarkSchedule is what one block costs the planner, from wanted to delivered, with three sources.
func BenchmarkSchedule(b *testing.B) {
	for _, n := range []int{64, 4096} {
		b.Run(map[int]string{64: "one file", 4096: "4096 blocks wanted"}[n], func(b *testing.B) { benchmarkSchedule(b, n) })
	}
}

func benchmarkSchedule(b *testing.B, n int) {
	list := wants(0, n, 256*kib)
	now := time.Unix(1_700_000_000, 0)
	p := NewPlanner(Limits{})
	for i := range 3 {
		p.Step(now, PeerUp{Peer: device(i), Cost: CostLAN})
	}
	type asked struct {
		peer shoal.DeviceID
		key  Key
	}
	var open []asked
	var group GroupID
	take := func(acts []Action) {
		for _, a := range acts {
			if r, ok := a.(Request); ok {
				for _, w := range r.Wants {
					open = append(open, asked{r.Peer, w.Key()})
				}
			}
		}
	}
	b.ReportAllocs()
	for done := 0; b.Loop(); done++ {
		if len(open) == 0 {
			group++
			take(p.Step(now, Wanted{Group: group, Wants: list}))
		}
		next := open[0]
		open = open[1:]
		now = now.Add(time.Millisecond)
		take(p.Step(now, Got{Peer: next.peer, Key: next.key}))
		take(p.Step(now, Delivered{Key: next.key}))
	}
}

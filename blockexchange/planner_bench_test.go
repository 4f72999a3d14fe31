package blockexchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// feeder plays three sources that answer at once, and wants many blocks over and over.
type feeder struct {
	planner *Planner
	list    []Want
	group   GroupID
	now     time.Time
	open    []asked
}

type asked struct {
	peer shoal.DeviceID
	key  Key
}

func newFeeder(blocks int) *feeder {
	f := &feeder{planner: NewPlanner(Limits{}), list: wants(0, blocks, 256*kib), now: time.Unix(1_700_000_000, 0)}
	for i := range 3 {
		f.planner.Step(f.now, PeerUp{Peer: device(i), Cost: CostLAN})
	}
	return f
}

func (f *feeder) step(ev Event) {
	for _, a := range f.planner.Step(f.now, ev) {
		if r, ok := a.(Request); ok {
			for _, w := range r.Wants {
				f.open = append(f.open, asked{r.Peer, w.Key()})
			}
		}
	}
}

// oneBlock is the life of one block, from wanted to delivered.
func (f *feeder) oneBlock() {
	if len(f.open) == 0 {
		f.group++
		f.step(Wanted{Group: f.group, Wants: f.list})
	}
	next := f.open[0]
	f.open = f.open[1:]
	f.now = f.now.Add(time.Millisecond)
	f.step(Got{Peer: next.peer, Key: next.key})
	f.step(Delivered{Key: next.key})
}

func BenchmarkSchedule(b *testing.B) {
	for _, blocks := range []int{64, 4096} {
		b.Run(fmt.Sprint(blocks), func(b *testing.B) {
			f := newFeeder(blocks)
			b.ReportAllocs()
			for b.Loop() {
				f.oneBlock()
			}
		})
	}
}

// TestHotPathsAllocateLittle holds what a block costs the planner: its entry, the request, and the actions.
func TestHotPathsAllocateLittle(t *testing.T) {
	const most = 12
	f := newFeeder(4096)
	if n := testing.AllocsPerRun(20_000, f.oneBlock); n > most {
		t.Errorf("%v allocations per block, at most %d are expected", n, most)
	}
}

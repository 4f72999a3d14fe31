package simulation

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	schedules = flag.Int("sim.schedules", 2000, "random schedules to play")
	firstSeed = flag.Uint64("sim.from", 1, "the first seed")
	oneSeed   = flag.Uint64("sim.seed", 0, "play only this seed, and tell what happens")
	ops       = flag.Int("sim.ops", 80, "steps in a schedule")
)

func TestMeshConvergesAndLosesNothing(t *testing.T) {
	fam, err := newFamily()
	if err != nil {
		t.Fatal(err)
	}
	if *oneSeed != 0 {
		if err := run(fam, *oneSeed, *ops, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := uint64(*schedules)
	if raceEnabled {
		n = min(n, 300)
	}
	if testing.Short() {
		n = min(n, 100)
	}
	var next, failed atomic.Uint64
	next.Store(*firstSeed)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		own, err := newFamily() // a roster is not safe for concurrent use
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for failed.Load() < 3 {
				seed := next.Add(1) - 1
				if seed >= *firstSeed+n {
					return
				}
				if err := run(own, seed, *ops, func(string, ...any) {}); err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\nreplay: go test ./e2e/simulation -run MeshConverges -sim.seed=%d -sim.ops=%d -v", seed, err, seed, *ops)
				}
			}
		})
	}
	wg.Wait()
}

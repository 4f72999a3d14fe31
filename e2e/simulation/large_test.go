package simulation

import (
	"slices"
	"testing"
	"time"
)

// A mesh of many devices, each of which is linked with a few of the others: what one writes reaches most of them through others, on several ways.
const (
	largeMesh  = 100
	largeSteps = 1500
	neighbours = 4
	longRun    = 10_000 // schedules; with fewer the mesh is smaller, too
)

// TestALargeMesh plays a schedule on a mesh of a hundred devices, with users, partitions and crashes, and holds of it what is held of small ones.
func TestALargeMesh(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine: it is played without the race detector")
	}
	n, steps := largeMesh, largeSteps
	if testing.Short() || *schedules < longRun {
		n, steps = largeMesh*2/5, largeSteps*2/5
	}
	fam, err := newFamily(n)
	if err != nil {
		t.Fatal(err)
	}
	seed := *firstSeed
	t.Logf("-sim.from %d", seed)
	w := &world{
		ctx: t.Context(), seed: seed, r: random(seed, 0), fam: fam, trace: func(string, ...any) {},
		now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), oracle: newOracle(),
	}
	w.oracle.strict = true
	for i := range n {
		d, err := newDevice(w, i)
		if err != nil {
			t.Fatal(err)
		}
		w.devices = append(w.devices, d)
	}
	for i := range n {
		w.link(i, (i+1)%n)
		for range neighbours/2 - 1 {
			w.link(i, w.r.IntN(n))
		}
	}
	for i := range steps {
		w.r = random(seed, uint64(i)+1)
		if err := w.step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	start := time.Now()
	for _, do := range []func() error{w.settle, w.check, w.epilogue} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d names on %d devices over %d links; at rest after %v", len(w.devices[0].fs.User().Tree()), n, len(w.links), time.Since(start).Round(time.Millisecond))
}

// link makes a line between two devices, unless there is one.
func (w *world) link(i, k int) {
	a, b := w.devices[i], w.devices[k]
	if i != k && !slices.ContainsFunc(w.links, func(l *link) bool { return l.other(a) == b }) {
		w.links = append(w.links, &link{a: a, b: b, up: w.r.IntN(3) > 0})
	}
}

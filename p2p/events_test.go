package p2p

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

func TestEventsAlternateAreBoundedAndEndAtTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := newEventQueue()
		up := make(map[shoal.DeviceID]bool)   // the truth
		seen := make(map[shoal.DeviceID]bool) // what a reader believes
		read := func() bool {
			e, ok := q.pop()
			if ok && seen[e.Device] == e.Up {
				t.Fatalf("device %d: up=%v twice in a row", e.Device[0], e.Up)
			}
			if ok {
				seen[e.Device] = e.Up
			}
			return ok
		}
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 3), 0, 60).Draw(t, "steps") {
			if step == 3 {
				read()
				continue
			}
			d := shoal.DeviceID{byte(step)}
			up[d] = !up[d]
			q.push(Event{Device: d, Up: up[d]})
			if len(q.pending) > 2*3 {
				t.Fatalf("%d events pend for 3 devices", len(q.pending))
			}
		}
		for read() {
		}
		for d, is := range up {
			if seen[d] != is {
				t.Fatalf("reader believes up=%v of device %d", seen[d], d[0])
			}
		}
	})
}

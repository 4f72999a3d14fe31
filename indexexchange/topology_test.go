package indexexchange

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// TestDevicesBecomeEqualInEveryTopology lets up to five devices write, in a random connected graph whose wires break, lose
// what is under way, and deliver in any order between wires.
func TestDevicesBecomeEqualInEveryTopology(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, rapid.IntRange(2, 5).Draw(rt, "devices"))
		for i := 1; i < len(w.nodes); i++ { // a random tree, and some more
			w.connect(rapid.IntRange(0, i-1).Draw(rt, "parent"), i)
		}
		for range rapid.IntRange(0, 3).Draw(rt, "more") {
			a := rapid.IntRange(1, len(w.nodes)-1).Draw(rt, "a")
			b := rapid.IntRange(0, a-1).Draw(rt, "b")
			if !w.connected(a, b) {
				w.connect(a, b)
			}
		}
		for _, n := range w.nodes { // little: most goes by buckets
			n.core.batchBytes = rapid.SampledFrom([]int{500, 5000, 200 << 10}).Draw(rt, "batch bytes")
		}
		for range rapid.IntRange(1, 60).Draw(rt, "acts") {
			wi := w.wires[rapid.IntRange(0, len(w.wires)-1).Draw(rt, "wire")]
			n := w.nodes[rapid.IntRange(0, len(w.nodes)-1).Draw(rt, "node")]
			side := rapid.IntRange(0, 1).Draw(rt, "side")
			switch rapid.IntRange(0, 9).Draw(rt, "act") {
			case 0, 1:
				files := make(map[shoal.Path]string)
				for range rapid.IntRange(1, 4).Draw(rt, "files") {
					p := shoal.Path(rapid.SampledFrom([]string{"a", "b", "d/c", "d/e"}).Draw(rt, "path"))
					files[p] = rapid.StringN(1, 5, -1).Draw(rt, "content")
				}
				n.write(files)
			case 2:
				wi.restart()
			case 3:
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
				w.tick()
			case 4:
				n.many(fmt.Sprintf("m%d", n.number), rapid.IntRange(1, 40).Draw(rt, "count"))
			case 5:
				wi.again(side)
			default:
				for range rapid.IntRange(1, 6).Draw(rt, "moves") {
					wi.send(side)
					wi.deliver(side)
				}
			}
		}
		w.pass(2 * time.Minute)
		w.mustBeEqual(w.nodes...)
		for _, n := range w.nodes {
			if n.forks > 0 || len(n.leftOut) > 0 || len(n.rivals) > 0 {
				rt.Fatalf("device %d: %d forks, left out %v", n.number, n.forks, n.leftOut)
			}
		}
	})
}

// again has the first message come a second time, later, if it brings records: as if another had sent them too. (Within a
// session a stream never repeats itself, so positions need not survive that.)
func (wi *wire) again(side int) {
	if len(wi.queues[side]) == 0 {
		return
	}
	raw := wi.queues[side][0]
	switch m, _ := decode(raw); m.(type) {
	case batchMessage, digestsMessage, bucketMessage, statusesMessage, askMessage, askBucketsMessage, nothingMessage:
		wi.queues[side] = append(wi.queues[side], raw)
	}
}

func (w *world) connected(a, b int) bool {
	for _, wi := range w.wires {
		if wi.ends[0] == w.nodes[a] && wi.ends[1] == w.nodes[b] || wi.ends[0] == w.nodes[b] && wi.ends[1] == w.nodes[a] {
			return true
		}
	}
	return false
}

package blockexchange

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal/p2p/p2ptest"
)

// Enough is asked for ahead to fill a line of 200 Mbit/s with 50 ms each way, with big blocks and with small ones.
func TestAFarLineIsFilled(t *testing.T) {
	outside := newBench(t)
	for _, c := range []struct{ count, size int }{{64, 1 << 20}, {8000, 4 << 10}} {
		t.Run(fmt.Sprintf("%d KiB", c.size>>10), func(t *testing.T) {
			blocks, wants := outside.blocks(c.count, c.size)
			synctest.Test(t, func(t *testing.T) {
				b, lib := outside.inside(t), newMemorySource()
				for id, data := range blocks {
					lib.put(id, data)
				}
				line := p2ptest.Line{Rate: 25e6, Delay: 50 * time.Millisecond, Buffer: 4 << 20}
				var source *p2ptest.End
				b.net.connect = func() (net.Conn, net.Conn, error) {
					to, from := line.Open()
					source = from
					return to, from, nil
				}
				b.device(1, lib)
				x, _ := b.device(2, newMemorySource())
				synctest.Wait() // until both run: a stream that is refused is tried again only 200 ms later
				x.PeerUp(device(1), CostDirect)
				began := time.Now()
				must(t, x.Fetch(t.Context(), wants, func(Want, []byte) error { return nil }))
				share := float64(source.Sent()) / line.Rate / time.Since(began).Seconds()
				t.Logf("%.0f %% of the line", 100*share)
				if share < 0.85 {
					t.Errorf("fetching takes %.0f %% of the line", 100*share)
				}
			})
		})
	}
}

package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/shoalmesh/shoal/folder"
)

const (
	restAfter = 10 * time.Second // from the last work to rest
	worthIt   = 8 << 20          // bytes that nothing uses any more; for fewer the collector is not run
)

// giveBack returns memory to the system when the device has come to rest. The runtime keeps what its last collection found in use, and collects next when as
// much has come again, which on a device at rest takes minutes: a burst of work would be paid for long after it.
func (n *Node) giveBack(ctx context.Context) error {
	for comesToRest(ctx, &n.changed, n.idle) {
		if unused() >= worthIt {
			debug.FreeOSMemory()
		}
	}
	return nil
}

// comesToRest waits until b is rung, and then until idle some time later; false: ctx has ended. It does not wait for silence: duties ring, too.
func comesToRest(ctx context.Context, b *bell, idle func() bool) bool {
	rung := b.wait()
	for {
		select {
		case <-rung:
		case <-ctx.Done():
			return false
		}
		select {
		case <-time.After(restAfter):
		case <-ctx.Done():
			return false
		}
		if rung = b.wait(); idle() {
			return true
		}
	}
}

// idle tells whether no folder has anything to do.
func (n *Node) idle() bool {
	for _, f := range n.runsNow() {
		if f.snapshot().State != folder.StateIdle {
			return false
		}
	}
	return true
}

// unused is how many bytes of memory this process has that hold nothing, or what nothing refers to any more.
func unused() uint64 {
	const free, objects, live = 0, 1, 2
	samples := []metrics.Sample{
		free: {Name: "/memory/classes/heap/free:bytes"}, objects: {Name: "/memory/classes/heap/objects:bytes"}, live: {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	n := samples[free].Value.Uint64() // what the system has back already is not in it
	if o, l := samples[objects].Value.Uint64(), samples[live].Value.Uint64(); o > l {
		n += o - l
	}
	return n
}

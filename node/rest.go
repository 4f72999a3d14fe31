package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	restAfter = 10 * time.Second // without a change that anybody could wait for, a device has come to rest
	worthIt   = 8 << 20          // bytes that nothing uses any more; for fewer the collector is not run
)

// giveBack returns memory to the system when the device comes to rest. The runtime keeps what its last collection found in use, and collects next when as
// much has come again, which on a device at rest takes minutes: a burst of work would be paid for long after it.
func (n *Node) giveBack(ctx context.Context) error {
	for {
		select {
		case <-n.changed.wait():
		case <-ctx.Done():
			return nil
		}
		if !comesToRest(ctx, &n.changed) {
			return nil
		}
		if unused() >= worthIt {
			debug.FreeOSMemory()
		}
	}
}

// comesToRest waits until b was not rung for restAfter; false: ctx has ended. While b is rung often it looks once in that time.
func comesToRest(ctx context.Context, b *bell) bool {
	for {
		rung := b.wait()
		select {
		case <-time.After(restAfter):
		case <-ctx.Done():
			return false
		}
		select {
		case <-rung:
		default:
			return true
		}
	}
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

package node

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestADeviceComesToRestWhenItsWorkIsDone: not while it works, and not never because duties go on.
func TestADeviceComesToRestWhenItsWorkIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bell
		start, rested := time.Now(), make(chan time.Duration, 1)
		const works = time.Minute
		go func() {
			if comesToRest(t.Context(), &b, func() bool { return time.Since(start) > works }) {
				rested <- time.Since(start)
			}
		}()
		for range 20 { // on and on
			time.Sleep(5 * time.Second)
			b.ring()
		}
		if after := <-rested; after < works || after > works+3*restAfter {
			t.Errorf("the device came to rest after %v of %v of work", after, works)
		}
	})
}

func TestComingToRestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if comesToRest(ctx, new(bell), func() bool { return true }) {
		t.Error("a device that is stopped came to rest")
	}
}

func TestWhatIsUnusedCanBeGivenBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	debug.FreeOSMemory()
	const waste = 64 << 20
	before := unused()
	for range waste >> 20 {
		wasted = make([]byte, 1<<20)
	}
	wasted = nil
	after := unused()
	if after < before+waste*3/4 {
		t.Errorf("%d bytes are unused, %d after %d were wasted", before, after, waste)
	}
	debug.FreeOSMemory()
	if now := unused(); now > after-waste/2 {
		t.Errorf("%d bytes are unused, %d after they were given back", after, now)
	}
}

var wasted []byte

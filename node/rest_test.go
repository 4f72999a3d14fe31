package node

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

// TestADeviceComesToRestWhenNothingHasChangedForAWhile: not before, and not never because of what changed meanwhile.
func TestADeviceComesToRestWhenNothingHasChangedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bell
		start, rested := time.Now(), make(chan time.Duration, 1)
		go func() {
			if comesToRest(t.Context(), &b) {
				rested <- time.Since(start)
			}
		}()
		const rings, pause = 7, 3 * time.Second
		for range rings {
			time.Sleep(pause)
			b.ring()
		}
		if after := <-rested; after < rings*pause+restAfter/2 || after > rings*pause+2*restAfter {
			t.Errorf("the device came to rest after %v, its last change was after %v", after, rings*pause)
		}
	})
}

func TestComingToRestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if comesToRest(ctx, new(bell)) {
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

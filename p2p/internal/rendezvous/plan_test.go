package rendezvous

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

var (
	devA = shoal.DeviceID{1}
	devB = shoal.DeviceID{2}
)

func set(devs ...shoal.DeviceID) map[shoal.DeviceID]bool {
	out := map[shoal.DeviceID]bool{}
	for _, d := range devs {
		out[d] = true
	}
	return out
}

func TestAnIdlePlanIsIdle(t *testing.T) {
	t.Parallel()
	var p Plan
	p.Missing(noon, nil)
	if _, ok := p.Next(); ok {
		t.Fatal("there is something to do")
	}
}

func TestAMissingDeviceIsLookedForWithGrowingPauses(t *testing.T) {
	t.Parallel()
	var p Plan
	p.Missing(noon, set(devA))
	now := noon
	for i, want := range []time.Duration{grace, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour} {
		at, ok := p.Next()
		if !ok || at.Sub(now) != want {
			t.Fatalf("look %d after %s, want %s", i, at.Sub(now), want)
		}
		now = at
		if _, look := p.Due(now, 9, 0); len(look) != 1 || look[0] != devA {
			t.Fatalf("look %d: %v", i, look)
		}
		p.Missing(now, set(devA))
	}
	p.Anew(now)
	if at, _ := p.Next(); at.Sub(now) != grace {
		t.Fatalf("after a change of network %s", at.Sub(now))
	}
	p.Missing(now, set(devB))
	if _, look := p.Due(now.Add(grace), 9, 0); len(look) != 1 || look[0] != devB {
		t.Fatalf("looked for %v", look)
	}
}

func TestChangesAreToldTogetherAndNotTooOften(t *testing.T) {
	t.Parallel()
	var p Plan
	p.Changed(noon)
	if announce, _ := p.Due(noon, 9, 0); announce {
		t.Fatal("told before it has settled")
	}
	now := noon.Add(settleWait)
	if announce, _ := p.Due(now, 9, 0); !announce {
		t.Fatal("not told")
	}
	p.Announced(now, true, 0)
	p.Changed(now.Add(time.Second))
	if at, _ := p.Next(); at.Sub(now) != leastAnnouncePause {
		t.Fatalf("told again after %s", at.Sub(now))
	}
}

func TestARecordIsRefreshedBeforeItEndsAndOnANewDay(t *testing.T) {
	t.Parallel()
	var p Plan
	p.Changed(noon)
	p.Due(noon.Add(settleWait), 9, 0)
	p.Announced(noon, true, 0)
	if at, _ := p.Next(); at.Sub(noon) != refreshPause {
		t.Fatalf("refreshed after %s", at.Sub(noon))
	}
	evening := noon.Add(8 * time.Hour)
	p.Announced(evening, true, 0.5)
	if at, _ := p.Next(); at.Sub(evening) != 4*time.Hour+midnightJitter/2 {
		t.Fatalf("the next day's record after %s", at.Sub(evening))
	}
}

func TestAnAttemptThatFailedIsRepeatedWithGrowingPauses(t *testing.T) {
	t.Parallel()
	var p Plan
	p.Changed(noon)
	now := noon.Add(settleWait)
	for _, want := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour, time.Hour} {
		if announce, _ := p.Due(now, 9, 0); !announce {
			t.Fatal("given up")
		}
		p.Announced(now, false, 0)
		at, _ := p.Next()
		if at.Sub(now) != want {
			t.Fatalf("again after %s, want %s", at.Sub(now), want)
		}
		now = at
	}
	p.Due(now, 9, 0)
	p.Announced(now, false, 0)
	p.Anew(now)
	if at, _ := p.Next(); at.Sub(now) != settleWait {
		t.Fatalf("on another network after %s", at.Sub(now))
	}
}

// Whatever happens, a device that is alone for a day does no more than some tens of things.
func TestADayCostsLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var p Plan
		now, did := noon, 0
		p.Changed(now)
		p.Missing(now, set(devA))
		for now.Before(noon.Add(24 * time.Hour)) {
			at, ok := p.Next()
			if !ok {
				break
			}
			if at.After(now) {
				now = at
			}
			announce, look := p.Due(now, 9, 0)
			if did += len(look); announce {
				did++
				p.Announced(now, rapid.Bool().Draw(t, "works"), 0)
			}
		}
		if did > 60 {
			t.Fatalf("%d puts and gets in a day", did)
		}
	})
}

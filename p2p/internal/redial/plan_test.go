package redial

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

var (
	a, b = shoal.DeviceID{1}, shoal.DeviceID{2}
	both = map[shoal.DeviceID]bool{a: true, b: true}
	t0   = time.Unix(1_000_000, 0)
)

func TestPausesGrowToTheCapAndBeginAnewWithNews(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.SetMembers(t0, map[shoal.DeviceID]bool{a: true})
	now := t0
	var got []time.Duration
	for range 9 {
		if d := p.Due(now, 9); len(d) != 1 {
			t.Fatalf("due %v after %v", d, got)
		}
		p.Failed(now, a, 0)
		at, ok := p.Next()
		if !ok {
			t.Fatal("given up")
		}
		got = append(got, at.Sub(now))
		now = at
	}
	for i, want := range []time.Duration{200, 500, 1000, 2000, 5000, 10000, 30000, 30000, 30000} {
		if got[i] != want*time.Millisecond {
			t.Fatalf("pauses %v", got)
		}
	}
	p.Due(now, 9)
	p.Failed(now, a, 0)
	now = now.Add(time.Second)
	p.News(now, a)
	if d := p.Due(now, 9); len(d) != 1 {
		t.Fatal("news do not make it due")
	}
	p.Failed(now, a, 0)
	if at, _ := p.Next(); at.Sub(now) != 200*time.Millisecond {
		t.Fatalf("after news the pause is %s", at.Sub(now))
	}
}

func TestAMemberReachedByADetourIsDialedOnButRarely(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.SetMembers(t0, both)
	p.Due(t0, 9)
	p.Detour(t0, a, 0)
	p.Up(b)
	now := t0
	for _, want := range []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour, time.Hour} {
		at, ok := p.Next()
		if !ok || at.Sub(now) != want {
			t.Fatalf("next after %s, %v; want %s", at.Sub(now), ok, want)
		}
		now = at
		if d := p.Due(now, 9); len(d) != 1 || d[0] != a {
			t.Fatalf("due %v", d)
		}
		p.Failed(now, a, 0)
	}
	p.News(now.Add(time.Second), a)
	if d := p.Due(now.Add(time.Second), 9); len(d) != 1 {
		t.Fatal("a new address does not make it due")
	}
	p.Up(a)
	if _, ok := p.Next(); ok {
		t.Fatal("it is dialed although it is reached directly")
	}
	p.SetMembers(now, nil)
	p.SetMembers(now, both)
	if _, ok := p.Next(); ok {
		t.Fatal("members that are reached directly are dialed again")
	}
}

func TestNewsDuringADialIsNotLost(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.SetMembers(t0, map[shoal.DeviceID]bool{a: true})
	p.Due(t0, 1)
	p.News(t0.Add(time.Second), a)
	p.Failed(t0.Add(2*time.Second), a, 0)
	if d := p.Due(t0.Add(2*time.Second), 1); len(d) != 1 {
		t.Fatal("a dial to old addresses swallowed the news of a new one")
	}
}

func TestLiarsCannotMakeItDialWithoutPause(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.SetMembers(t0, map[shoal.DeviceID]bool{a: true})
	dials := 0
	for now := t0; now.Before(t0.Add(time.Second)); now = now.Add(time.Millisecond) {
		p.News(now, a)
		for range p.Due(now, 1) {
			dials++
			p.Failed(now, a, 0)
		}
	}
	if dials > 11 {
		t.Fatalf("%d dials in a second", dials)
	}
}

func TestConnectedMembersAreNotDialed(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.Up(a) // a link from a device that becomes a member only now
	p.SetMembers(t0, both)
	if d := p.Due(t0, 9); len(d) != 1 || d[0] != b {
		t.Fatalf("due %v", d)
	}
	p.News(t0, a)
	p.NewsOfAll(t0)
	if d := p.Due(t0.Add(time.Hour), 9); len(d) != 0 {
		t.Fatalf("due %v", d)
	}
	p.Down(t0, a, 0)
	if d := p.Due(t0.Add(199*time.Millisecond), 9); len(d) != 0 {
		t.Fatalf("due at once: %v", d)
	}
	if d := p.Due(t0.Add(200*time.Millisecond), 9); len(d) != 1 || d[0] != a {
		t.Fatalf("due %v", d)
	}
}

func TestDroppedMembersAreForgotten(t *testing.T) {
	t.Parallel()
	p := NewPlan()
	p.SetMembers(t0, both)
	p.Due(t0, 9)
	p.SetMembers(t0, nil)
	p.Failed(t0, a, 0)
	if at, ok := p.Next(); ok {
		t.Fatalf("next at %s", at)
	}
}

// Whatever happens, a member that is neither up nor being dialed is due at some time within the longest pause.
func TestNobodyIsForgotten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := NewPlan()
		now := t0
		dialingNow := map[shoal.DeviceID]bool{}
		members := map[shoal.DeviceID]bool{}
		up := map[shoal.DeviceID]bool{}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			d := rapid.SampledFrom([]shoal.DeviceID{a, b}).Draw(t, "device")
			switch rapid.SampledFrom([]string{"members", "news", "up", "down", "due", "failed", "time"}).Draw(t, "step") {
			case "members":
				members[d] = !members[d]
				want := map[shoal.DeviceID]bool{}
				for m, in := range members {
					if in {
						want[m] = true
					}
				}
				p.SetMembers(now, want)
			case "news":
				p.News(now, d)
			case "up":
				if !up[d] {
					up[d] = true
					p.Up(d)
				}
			case "down":
				if up[d] {
					up[d] = false
					p.Down(now, d, 0.5)
				}
			case "due":
				for _, m := range p.Due(now, 1) {
					if up[m] || !members[m] {
						t.Fatalf("dials %d: up %v, member %v", m[0], up[m], members[m])
					}
					dialingNow[m] = true
				}
			case "failed":
				if dialingNow[d] {
					dialingNow[d] = false
					p.Failed(now, d, 0.5)
				}
			case "time":
				now = now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "ms")) * time.Millisecond)
			}
		}
		for d := range dialingNow {
			p.Failed(now, d, 0.5)
		}
		due := map[shoal.DeviceID]bool{}
		for _, d := range p.Due(now.Add(Pause(99, 1)), 9) {
			due[d] = true
		}
		for d, in := range members {
			if in && !due[d] && !up[d] || due[d] && (!in || up[d]) {
				t.Fatalf("member %d: in %v, due %v, up %v", d[0], in, due[d], up[d])
			}
		}
	})
}

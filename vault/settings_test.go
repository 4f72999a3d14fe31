package vault

import (
	"errors"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

const day = 24 * time.Hour

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func settingsOf(t testing.TB) *Settings {
	t.Helper()
	s, err := NewSettings(nil, day, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAShorterRetentionCountsWhenTheOldOneHasPassed(t *testing.T) {
	type change struct {
		after     time.Duration // since start
		retention time.Duration
		refused   bool
	}
	for name, row := range map[string]struct {
		changes []change
		want    map[time.Duration]time.Duration // time since start → retention that counts
	}{
		"unchanged":             {nil, map[time.Duration]time.Duration{0: 30 * day, 1000 * day: 30 * day}},
		"longer counts at once": {[]change{{day, 60 * day, false}}, map[time.Duration]time.Duration{day: 60 * day}},
		"shorter waits":         {[]change{{0, 2 * day, false}}, map[time.Duration]time.Duration{0: 30 * day, 30*day - 1: 30 * day, 30 * day: 2 * day}},
		"below the minimum":     {[]change{{0, day - 1, true}}, map[time.Duration]time.Duration{0: 30 * day, 100 * day: 30 * day}},
		"shorter twice waits anew": {
			[]change{{0, 2 * day, false}, {10 * day, 3 * day, false}},
			map[time.Duration]time.Duration{30 * day: 30 * day, 40*day - 1: 30 * day, 40 * day: 3 * day},
		},
		"taken back":            {[]change{{0, 2 * day, false}, {10 * day, 30 * day, false}}, map[time.Duration]time.Duration{100 * day: 30 * day}},
		"shorter, then shorter": {[]change{{0, 5 * day, false}, {40 * day, day, false}}, map[time.Duration]time.Duration{44 * day: 5 * day, 45 * day: day}},
	} {
		t.Run(name, func(t *testing.T) {
			p := settingsOf(t).Get().Policy
			for _, c := range row.changes {
				if err := p.Set(c.retention, start.Add(c.after)); c.refused != errors.Is(err, shoal.ErrInvalid) {
					t.Errorf("set to %s: %v", c.retention, err)
				}
				if err := p.Validate(); err != nil {
					t.Error(err)
				}
			}
			for after, want := range row.want {
				if got := p.At(start.Add(after)); got != want {
					t.Errorf("after %s the retention is %s, want %s", after, got, want)
				}
			}
		})
	}
}

func TestSettingsSurviveARestart(t *testing.T) {
	var disk []byte
	save := func(raw []byte) error { disk = raw; return nil }
	s, err := NewSettings(nil, 2*day, save)
	if err == nil {
		err = s.Update(func(st *State) error { st.Quota = 5; return st.Policy.Set(3*day, start) })
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewSettings(disk, time.Hour, save) // the minimum is not fixed a second time
	if err != nil || again.Get() != s.Get() || again.Get().Policy.Minimum != 2*day {
		t.Errorf("%+v after a restart, %v; want %+v", again.Get(), err, s.Get())
	}
}

func TestNothingIsDeletedForADayAfterTheClockJumped(t *testing.T) {
	for name, row := range map[string]struct {
		away   bool          // the jump happened while the vault was off
		by     time.Duration // that the clock went on
		passed time.Duration // that really passed, while running
		jumped bool
	}{
		"in step":          {by: time.Hour, passed: time.Hour},
		"a little off":     {by: time.Hour + time.Minute, passed: time.Hour},
		"a year ahead":     {by: 365 * day, passed: time.Minute, jumped: true},
		"back":             {by: -day, passed: time.Minute, jumped: true},
		"away for an hour": {away: true, by: time.Hour},
		"away for a year":  {away: true, by: 365 * day, jumped: true},
		"back while away":  {away: true, by: -day, jumped: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, now, ran := settingsOf(t), start, time.Duration(0)
			begin := func() *ClockGuard {
				return newClockGuard(s, func() time.Time { return now }, func() time.Duration { return ran })
			}
			look := func(g *ClockGuard) bool {
				t.Helper()
				may, _, err := g.Look()
				if err != nil {
					t.Fatal(err)
				}
				return may
			}
			pass := func(d time.Duration) { now, ran = now.Add(d), ran+d }
			g := begin()
			if !look(g) {
				t.Fatal("nothing may be deleted in the first run")
			}
			now, ran = now.Add(row.by), ran+row.passed
			if row.away {
				g, ran = begin(), 0
			}
			if may := look(g); may == row.jumped {
				t.Fatalf("may delete: %v", may)
			}
			if !row.jumped {
				return
			}
			if pass(day - time.Minute); look(g) {
				t.Error("something may be deleted before a day has passed")
			}
			g = begin() // a restart does not end it
			if look(g) {
				t.Error("something may be deleted after a restart")
			}
			if pass(2 * time.Minute); !look(g) {
				t.Error("nothing may be deleted after a day")
			}
		})
	}
}

// A disk that is full when the clock jumps, once: the look was remembered, the hold was not.
func TestAJumpThatCouldNotBeSavedIsNotForgotten(t *testing.T) {
	for name, away := range map[string]bool{"while it runs": false, "while it was off": true} {
		t.Run(name, func(t *testing.T) {
			full := false
			s, err := NewSettings(nil, day, func([]byte) error {
				if full {
					return errors.New("no space left on device")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			now, ran := start, time.Duration(0)
			begin := func() *ClockGuard {
				return newClockGuard(s, func() time.Time { return now }, func() time.Duration { return ran })
			}
			g := begin()
			if may, _, err := g.Look(); err != nil || !may {
				t.Fatal(may, err)
			}
			if away {
				g, ran = begin(), 0
			}
			now, full = now.Add(365*day), true
			if may, jumped, err := g.Look(); err == nil || may || jumped == 0 {
				t.Fatalf("with a full disk: may %v, jumped by %s, %v", may, jumped, err)
			}
			full = false
			pass := func(d time.Duration) { now, ran = now.Add(d), ran+d }
			pass(time.Minute)
			if may, _, err := g.Look(); err != nil || may {
				t.Fatalf("a minute later: may delete: %v, %v", may, err)
			}
			g = begin() // what was saved then holds in another run too
			pass(day - 2*time.Minute)
			if may, _, err := g.Look(); err != nil || may {
				t.Fatalf("in the next run: may delete: %v, %v", may, err)
			}
			for range 2 {
				pass(day)
			}
			if may, _, err := g.Look(); err != nil || !may {
				t.Errorf("two days later: may delete: %v, %v", may, err)
			}
		})
	}
}

func TestAClockThatIsPushedOnALittleAtATimeIsFoundOut(t *testing.T) {
	s, now, ran := settingsOf(t), start, time.Duration(0)
	g := newClockGuard(s, func() time.Time { return now }, func() time.Duration { return ran })
	gained := time.Duration(0)
	for range 60 * 24 {
		may, jumped, err := g.Look()
		if err != nil {
			t.Fatal(err)
		}
		if jumped != 0 || !may {
			break
		}
		now, ran, gained = now.Add(5*time.Minute), ran+time.Minute, gained+4*time.Minute
	}
	if gained > 2*jumpWhileRunning {
		t.Errorf("the clock gained %s unnoticed", gained)
	}
}

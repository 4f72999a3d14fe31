package mdns

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Unix(1_000_000, 0)

// play runs the plan for a while and counts what it sends.
func play(p *plan, from time.Time, d time.Duration) map[sending]int {
	sent := make(map[sending]int)
	for now := from; now.Before(from.Add(d)); {
		for _, s := range p.due(now) {
			sent[s]++
		}
		next := p.next()
		if !next.After(now) {
			next = now.Add(time.Millisecond)
		}
		now = next
	}
	return sent
}

var (
	query  = sending{service: Members, query: true}
	seek   = sending{service: Pairing, query: true}
	answer = sending{service: Members}
	plates = sending{service: Pairing}
)

func TestQueriesDieDownWhenNothingChanges(t *testing.T) {
	t.Parallel()
	p := newPlan(t0)
	first := play(p, t0, 5*time.Second)
	if first[query] < 2 || first[answer] != 2 {
		t.Errorf("at the start: %v", first)
	}
	play(p, t0.Add(5*time.Second), time.Hour)
	later := play(p, t0.Add(time.Hour+5*time.Second), time.Hour)
	if later[query] > 4 || later[answer] != 0 || later[seek] != 0 {
		t.Errorf("in an idle hour: %v", later)
	}
}

func TestSeekersAskEverySecondUntilTheyStop(t *testing.T) {
	t.Parallel()
	p := newPlan(t0)
	p.seek(t0, true)
	p.seek(t0, true)
	if sent := play(p, t0, 10*time.Second); sent[seek] != 10 {
		t.Errorf("%v", sent)
	}
	p.seek(t0, false)
	if sent := play(p, t0.Add(10*time.Second), 10*time.Second); sent[seek] != 0 {
		t.Errorf("%v", sent)
	}
}

func TestAnswersComeSoonButNotTooOften(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPlan(t0)
		play(p, t0, 10*time.Second)
		now := t0.Add(10 * time.Second)
		var last time.Time
		var asked time.Time // the oldest question without answer
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "ask") {
				p.asked(now, Pairing, rapid.Float64Range(0, 0.999).Draw(t, "chance"))
				if asked.IsZero() {
					asked = now
				}
			}
			for _, s := range p.due(now) {
				if s != plates {
					continue
				}
				if !last.IsZero() && now.Sub(last) < sameGap {
					t.Fatalf("again after %s", now.Sub(last))
				}
				last, asked = now, time.Time{}
			}
			if !asked.IsZero() && now.Sub(asked) > sameGap+2*answerDelay {
				t.Fatalf("no answer for %s", now.Sub(asked))
			}
			step := time.Duration(rapid.IntRange(1, 30).Draw(t, "ms")) * time.Millisecond
			now = now.Add(step)
		}
	})
}

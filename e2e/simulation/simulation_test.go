package simulation

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	schedules = flag.Int("sim.schedules", 3000, "random schedules to play")
	firstSeed = flag.Uint64("sim.from", 1, "the first seed")
	oneSeed   = flag.Uint64("sim.seed", 0, "play only this seed, and tell what happens")
	ops       = flag.Int("sim.ops", 80, "steps in a schedule")
	onlySteps = flag.String("sim.steps", "", "with -sim.seed: play only these steps, as the shrinker prints them")
)

func TestMeshConvergesAndLosesNothing(t *testing.T) {
	if *oneSeed != 0 {
		s := schedule{seed: *oneSeed, ops: *ops, only: parseSteps(t, *onlySteps)}
		if err := run(family1(t), s, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := *schedules
	if raceEnabled {
		n = min(n, 30)
	}
	if testing.Short() {
		n = min(n, 100)
	}
	all := make([]schedule, n)
	for i := range all {
		all[i] = schedule{seed: *firstSeed + uint64(i), ops: *ops}
	}
	playAll(t, all)
}

// Schedules that once failed, shrunk to what mattered. They mean something only as long as steps mean what they meant; a change of what chance chooses
// makes them ordinary schedules, and new failures take their place.
func TestCorpusOfOldFailures(t *testing.T) {
	if raceEnabled {
		t.Skip("it is played without the race detector")
	}
	f, err := os.Open("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []schedule
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		s, steps := schedule{}, ""
		if _, err := fmt.Sscan(line, &s.seed, &s.ops, &steps); err != nil && steps == "" && s.ops == 0 {
			t.Fatalf("corpus line %q: %v", line, err)
		}
		s.only = parseSteps(t, steps)
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatal("the corpus is empty")
	}
	playAll(t, all)
}

func family1(t *testing.T) *family {
	t.Helper()
	fam, err := newFamily(maxDevices)
	if err != nil {
		t.Fatal(err)
	}
	return fam
}

func parseSteps(t *testing.T, list string) (out []int) {
	t.Helper()
	for _, f := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// playAll plays schedules on all processors, and shrinks the first that fail.
func playAll(t *testing.T, all []schedule) {
	t.Helper()
	quiet := func(string, ...any) {}
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		fam := family1(t) // a roster is not safe for concurrent use
		wg.Go(func() {
			for failed.Load() < 3 {
				i := next.Add(1) - 1
				if i >= int64(len(all)) {
					return
				}
				s := all[i]
				if err := run(fam, s, quiet); err != nil {
					failed.Add(1)
					small := shrink(fam, s)
					t.Errorf("%v: %v\nreplay: go test ./e2e/simulation -run MeshConverges -v %v", s, err, small)
				}
			}
		})
	}
	wg.Wait()
}

// shrink leaves steps out as long as the schedule still fails, in halves, quarters and so on, down to single steps. Every step has its own
// source of chance, so what is left means the same.
func shrink(fam *family, s schedule) schedule {
	quiet := func(string, ...any) {}
	steps, tries := s.steps(), 0
	for size := max(1, len(steps)/2); ; size = max(1, size/2) {
		smaller := false
		for at := 0; at < len(steps) && tries < 400; {
			tries++
			end := min(at+size, len(steps))
			without := append(append([]int{}, steps[:at]...), steps[end:]...)
			if len(without) > 0 && run(fam, schedule{seed: s.seed, ops: s.ops, only: without}, quiet) != nil {
				steps, smaller = without, true
			} else {
				at = end
			}
		}
		if tries >= 400 || size == 1 && !smaller {
			return schedule{seed: s.seed, ops: s.ops, only: steps}
		}
	}
}

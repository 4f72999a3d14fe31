//go:build unix

package packstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/blocktest"
)

// childDir is the environment of a process that plays childLife in a folder, dying at the crash point that the environment names.
const childDir = "SHOAL_PACKSTORE_CHILD"

// The life of a child: so many things done to so many blocks. They are the same for all, and a log says how far it came.
const (
	childSteps  = 400
	childBlocks = 60
	childSeed   = 7
)

func childConfig(dir string) Config {
	return Config{Dir: filepath.Join(dir, "packs"), Rand: rand.Reader, PackSize: 100_000, Batch: 9}
}

// childBlock is block n: every fifth is written in two pieces.
func childBlock(n int) (block.Key, []byte) {
	size := 3000
	if n%5 == 0 {
		size = smallRecord + 5000
	}
	return blocktest.Block(n, size)
}

// childStep does step i to a store.
func childStep(ctx context.Context, s *Store, op, n int) error {
	k, sealed := childBlock(n)
	switch op {
	case 0:
		return s.Sync(ctx)
	case 1:
		_, err := s.Compact(ctx, 0.8)
		return err
	case 2, 3, 4:
		return s.Delete(ctx, k)
	}
	return s.Put(ctx, k, sealed)
}

// childPlan is what every child does: an operation and a block for each step.
func childPlan() (plan [][2]int) {
	rng := mathrand.New(mathrand.NewPCG(childSeed, 0))
	for range childSteps {
		plan = append(plan, [2]int{rng.IntN(12), rng.IntN(childBlocks)})
	}
	return plan
}

// TestChildOfTheWalk is not a test: it is what the child processes of TestAKillAtEachCrashPointLosesNothing run.
func TestChildOfTheWalk(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs in a child process only")
	}
	done, err := os.ReadFile(filepath.Join(dir, "done"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "done"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(t, err)
	defer log.Close()
	s, err := Open(t.Context(), childConfig(dir))
	must(t, err)
	for _, step := range childPlan()[len(done):] {
		must(t, childStep(t.Context(), s, step[0], step[1]))
		_, err := log.WriteString(".") // one byte for each step that was done
		must(t, err)
	}
	must(t, s.Close())
}

// walkRig runs children.
type walkRig struct {
	t       *testing.T
	program string // this package's tests, built with the tag crashpoints
}

// live lets a child live in dir and tells whether it died of its crash point.
func (r *walkRig) live(dir string, env ...string) (died bool) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.program, "-test.run", "^TestChildOfTheWalk$", "-test.count=1")
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == -1 {
		return true
	}
	if err != nil {
		r.t.Fatalf("the child failed: %v\n%s", err, out)
	}
	return false
}

// reached lets a child live to its end and returns which points it reached, in the order of the first time.
func (r *walkRig) reached(dir string) (points []string) {
	r.t.Helper()
	list := filepath.Join(r.t.TempDir(), "list")
	if r.live(dir, "SHOAL_CRASH_LIST="+list) {
		r.t.Fatal("the child died though nothing told it to")
	}
	text, err := os.ReadFile(list)
	must(r.t, err)
	seen := map[string]bool{}
	for _, p := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if !seen[p] {
			seen[p] = true
			points = append(points, p)
		}
	}
	return points
}

// holds opens the store that a child left and compares it with what the child had done: nothing that it was told is done may be lost or come back, killed
// processes lose nothing of what they wrote.
func (r *walkRig) holds(dir string) {
	r.t.Helper()
	done, err := os.ReadFile(filepath.Join(dir, "done"))
	must(r.t, err)
	plan := childPlan()
	want, doubt := map[int]bool{}, -1
	for i, step := range plan[:min(len(done)+1, len(plan))] {
		op, n := step[0], step[1]
		switch {
		case op <= 1:
		case i == len(done):
			doubt = n // it was being done
		case op <= 4:
			delete(want, n)
		default:
			want[n] = true
		}
	}
	s, err := Open(r.t.Context(), childConfig(dir))
	must(r.t, err)
	defer func() { must(r.t, s.Close()) }()
	must(r.t, s.Check(r.t.Context()))
	for n := range childBlocks {
		k, sealed := childBlock(n)
		got, err := s.Get(r.t.Context(), k)
		there := err == nil && bytes.Equal(got, sealed)
		if there != want[n] && n != doubt {
			r.t.Errorf("after %d steps block %d is there: %v, want %v (%v)", len(done), n, there, want[n], err)
		}
	}
}

// TestAKillAtEachCrashPointLosesNothing kills a process at each crash point of this package on the real disk, and at each of those that are only reached when
// it is opened again.
func TestAKillAtEachCrashPointLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	r := &walkRig{t: t, program: filepath.Join(t.TempDir(), "packstore.test")}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "crashpoints", "-o", r.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	walked := map[string]bool{}
	points := r.reached(t.TempDir())
	for _, p := range points {
		for _, k := range []int{1, 2 + mathrand.IntN(4)} {
			dir := t.TempDir()
			died := r.live(dir, fmt.Sprintf("SHOAL_CRASH_AT=%s#%d", p, k))
			if !died && k == 1 {
				t.Errorf("%q was not reached", p)
			}
			if died {
				r.dieAtStart(dir, p, walked)
			}
			walked[p] = walked[p] || died
		}
	}
	for p := range pointsOfSource(t) {
		if !walked[p] {
			t.Errorf("no walk reaches the crash point %q", p)
		}
	}
	t.Logf("walked through %d points", len(walked))
}

// dieAtStart lets the process that comes after a crash die too, at each point that it reaches first after that one, and compares; then what is left is used on.
func (r *walkRig) dieAtStart(dir, p string, walked map[string]bool) {
	r.t.Helper()
	for _, later := range []string{"pack: retired one removed at start", "pack: headless one removed at start", "pack: tail to be cut off", "pack: tail cut off"} {
		again := filepath.Join(r.t.TempDir(), "again")
		must(r.t, os.CopyFS(again, os.DirFS(dir)))
		if r.live(again, "SHOAL_CRASH_AT="+later) {
			walked[later] = true
			r.holds(again)
		}
	}
	r.holds(dir)
	if r.live(dir) {
		r.t.Errorf("the process after a crash at %q died, too", p)
	}
	r.holds(dir)
}

// pointsOfSource returns the names of this package's crash points.
func pointsOfSource(t *testing.T) map[string]bool {
	t.Helper()
	names, err := filepath.Glob("*.go")
	must(t, err)
	points := map[string]bool{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		must(t, err)
		for _, m := range regexp.MustCompile(`crashpoint\.Here\("([^"]+)"\)`).FindAllSubmatch(text, -1) {
			points[string(m[1])] = true
		}
	}
	return points
}

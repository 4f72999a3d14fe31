//go:build linux

package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// crashBuild is the program that dies at its crash points (package crashpoint), built once.
var crashBuild = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(filepath.Dir(program), "crashpoints-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return "", err
	}
	return lab.Build(testContext(), dir, "crashpoints")
})

// crashLanes is how many walks go on at once.
const crashLanes = 2

// crashWalk is a scenario in which a device dies at each of its points in turn.
type crashWalk struct {
	name string
	// subjects are the points that short runs walk, by the first word of their names; long runs walk all that are reached.
	subjects []string
	// every are the points that are died at each time that they are reached, since it is something else each time.
	every []string
	// play lets a device of the lane live through the scenario in an environment, and again without it if it died. It tells whether it died.
	play func(t *testing.T, l *crashLane, env ...string) (died bool)
	// first is a point to die at before the walk's own, in the run after; empty: none.
	first string
}

var crashWalks = []crashWalk{
	{name: "making a mesh", subjects: []string{"device key", "small file", "roster"}, play: playCreate},
	{name: "joining", subjects: []string{"small file", "roster", "journal"}, play: playJoin},
	{
		name: "applying", subjects: []string{"assemble", "apply", "intents", "history", "database", "record"}, play: playRound,
		every: []string{"apply: taken aside", "apply: folder removed"},
	},
	{name: "recovering a swap", subjects: []string{"recover"}, play: playRound, first: "apply: exchanged"},
	{name: "recovering a removal", subjects: []string{"recover"}, play: playRound, first: "apply: taken aside"},
}

// crashLane is where one walk after another is done: a pair that lives on from scenario to scenario.
type crashLane struct {
	t     *testing.T
	a, b  *device
	round int
	first string // of the walk
}

// pair returns the lane's pair. The second runs the program that dies.
func (l *crashLane) pair(t *testing.T) (a, b *device) {
	t.Helper()
	if l.a == nil {
		path, err := crashBuild()
		check(t, err)
		a, b := newDevice(l.t, "anna"), newDevice(l.t, "ben")
		b.Program = path
		a.up(t)
		join(t, a, b)
		settle(t, a, b)
		l.a, l.b = a, b
	}
	return l.a, l.b
}

// leave gives the pair up, since something went wrong with it: the next scenario begins with a new one.
func (l *crashLane) leave() {
	for _, d := range []*device{l.a, l.b} {
		if d != nil && d.Running() {
			_ = d.Kill()
		}
	}
	l.a, l.b = nil, nil
}

// learn plays a walk's scenario once, alive, and returns how often each point was reached.
func (w *crashWalk) learn(t *testing.T, l *crashLane) map[string]int {
	t.Helper()
	defer func() {
		if t.Failed() {
			l.leave()
		}
	}()
	list := filepath.Join(tempDir(t), "reached")
	l.first = w.first
	if w.play(t, l, "SHOAL_CRASH_LIST="+list) {
		t.Errorf("%s: the device ended though nothing told it to", w.name)
	}
	text, err := os.ReadFile(list)
	check(t, err)
	reached := map[string]int{}
	for name := range strings.Lines(string(text)) {
		reached[strings.TrimSuffix(name, "\n")]++
	}
	return reached
}

// walks tells whether this run of the tests lets the walk die at a point.
func (w *crashWalk) walks(point string) bool { return *long || w.means(point) }

// means tells whether a point is of the walk's subjects: it is reached each time, and not by chance.
func (w *crashWalk) means(point string) bool {
	subject, _, _ := strings.Cut(point, ":")
	return slices.Contains(w.subjects, subject)
}

// crashJob is one death to die.
type crashJob struct {
	walk  *crashWalk
	point string
	times int
	// must is set when the device must die: how often a point is reached beyond the first time is partly chance.
	must bool
}

func (j crashJob) String() string { return fmt.Sprintf("%s/%s#%d", j.walk.name, j.point, j.times) }

// do lets a device die once, and holds that nothing came of it.
func (j crashJob) do(t *testing.T, l *crashLane) {
	defer func() {
		if t.Failed() {
			l.leave()
		}
	}()
	l.first = j.walk.first
	start := time.Now()
	died := j.walk.play(t, l, fmt.Sprintf("SHOAL_CRASH_AT=%s#%d", j.point, j.times))
	t.Logf("%s: died %v, %v", j, died, time.Since(start).Round(time.Millisecond))
	if !died && j.must {
		t.Errorf("the point %q was not reached, though the same had reached it before", j.point)
	}
}

// sourcePoints returns the names of all crash points in the source, with where they stand.
func sourcePoints(t *testing.T) map[string]string {
	t.Helper()
	points := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if pkg, isName := ast.Unparen(selected(f)).(*ast.Ident); !ok || !isName || pkg.Name != "crashpoint" || f.Sel.Name != "Here" {
				return true
			}
			where := files.Position(call.Pos()).String()
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a crash point's name must be a literal", where)
				return true
			}
			point, err := strconv.Unquote(literal.Value)
			check(t, err)
			if other, twice := points[point]; twice {
				t.Errorf("%s: %q stands at %s too", where, point, other)
			}
			points[point] = where
			return true
		})
		return nil
	})
	check(t, err)
	return points
}

// selected is what stands before the dot.
func selected(f *ast.SelectorExpr) ast.Expr {
	if f == nil {
		return nil
	}
	return f.X
}

// ownWalks are the subjects of points that have a walk of their own beside their package.
var ownWalks = []string{"pack"}

// TestAKillAtEachCrashPointLosesNothing walks through every durable step of the program on the real disk: it dies there as by kill -9, and is started again.
func TestAKillAtEachCrashPointLosesNothing(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("the walk of -kill-seed %d", seed)
	points := sourcePoints(t)
	lane := &crashLane{t: t}
	var jobs []crashJob
	for i := range crashWalks {
		w := &crashWalks[i]
		reached := map[string]int{}
		t.Run(w.name+"/all points", func(t *testing.T) { reached = w.learn(t, lane) })
		for point, times := range reached {
			delete(points, point)
			if !w.walks(point) {
				continue
			}
			jobs = append(jobs, crashJob{walk: w, point: point, times: 1, must: w.means(point)})
			switch {
			case slices.Contains(w.every, point):
				for k := 2; k <= times; k++ {
					jobs = append(jobs, crashJob{walk: w, point: point, times: k})
				}
			case *long && times > 1:
				jobs = append(jobs, crashJob{walk: w, point: point, times: 2 + random.IntN(times-1)})
			}
		}
	}
	for point, where := range points {
		if subject, _, _ := strings.Cut(point, ":"); !slices.Contains(ownWalks, subject) {
			t.Errorf("%s: no walk reaches the crash point %q", where, point)
		}
	}
	slices.SortFunc(jobs, func(a, b crashJob) int { return strings.Compare(a.String(), b.String()) })
	walkAll(t, lane, jobs)
}

// walkAll does all jobs, in a few lanes at once.
func walkAll(t *testing.T, used *crashLane, jobs []crashJob) {
	queue := make(chan crashJob, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	var lanes sync.WaitGroup
	for i := range crashLanes {
		l := used
		if i > 0 {
			l = &crashLane{t: t}
		}
		lanes.Go(func() {
			for j := range queue {
				t.Run(j.String(), func(t *testing.T) { j.do(t, l) })
			}
		})
	}
	lanes.Wait()
}

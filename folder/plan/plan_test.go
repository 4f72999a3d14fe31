package plan

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal"
)

var (
	cases    = flag.Int("plan.cases", 1_000_000, "random three-tree cases")
	oneSeed  = flag.Uint64("plan.seed", 0, "run only this case")
	universe = []shoal.Path{"a", "a/x", "a/x/z", "a/y", "b", "b/x", "c"}
)

// tree is a whole folder in memory: the model that plans are carried out on.
type tree map[shoal.Path]*Node

func (t tree) Base(p shoal.Path) *Node { return t[p] }

func file(n int) *Node   { return &Node{Kind: shoal.KindFile, Content: [32]byte{byte(n), byte(n >> 8)}} }
func folder(m int) *Node { return &Node{Kind: shoal.KindFolder, Mode: uint32(m)} }

// mend gives every path a parent that is a folder; content in the way steps aside under a copy name.
func (t tree) mend() (copies map[shoal.Path][]shoal.Path) {
	copies = map[shoal.Path][]shoal.Path{}
	paths := slices.Collect(maps.Keys(t))
	for _, p := range paths {
		for dir := p.Parent(); dir != ""; dir = dir.Parent() {
			if have := t[dir]; have.holdsContent() {
				c := dir + "~"
				for t[c] != nil {
					c += "~"
				}
				t[c] = have
				copies[dir] = append(copies[dir], c)
			}
			if !t[dir].folder() {
				t[dir] = folder(0)
			}
		}
	}
	return copies
}

func randomTree(r *rand.Rand, from tree, contents int) tree {
	t := maps.Clone(from)
	for range r.IntN(5) {
		p := universe[r.IntN(len(universe))]
		switch r.IntN(5) {
		case 0:
			for q := range t {
				if q.Under(p) {
					delete(t, q)
				}
			}
			delete(t, p)
		case 1:
			t[p] = folder(r.IntN(2))
		case 2: // a move
			if q := universe[r.IntN(len(universe))]; t[q].holdsContent() {
				t[p] = t[q]
				delete(t, q)
			}
		default:
			t[p] = file(1 + r.IntN(contents))
		}
	}
	for _, p := range universe { // a tree as a disk can hold it
		if par := p.Parent(); par != "" && t[p] != nil && !t[par].folder() {
			delete(t, p)
		}
	}
	return t
}

// merge is a plain model of what recording local changes does to the desired tree: what one side changed counts, content beats
// deletion, and of two contents the greater keeps the name while the other becomes a copy.
func merge(base, local, desired tree) (tree, map[shoal.Path][]shoal.Path) {
	out := maps.Clone(desired)
	copies := map[shoal.Path][]shoal.Path{}
	for _, p := range universe {
		l, b, d := local[p], base[p], desired[p]
		if l.same(b) || l.same(d) {
			continue
		}
		switch {
		case d.same(b):
			set(out, p, l)
		case l == nil:
		case d == nil || d.folder() && l.folder():
			set(out, p, l)
		case d.folder() || l.holdsContent() && d.holdsContent() && slices.Compare(l.Content[:], d.Content[:]) > 0:
			if d.holdsContent() {
				out[p+"="] = d
				copies[p] = append(copies[p], p+"=")
			}
			set(out, p, l)
		default:
			if l.holdsContent() {
				out[p+"="] = l
				copies[p] = append(copies[p], p+"=")
			}
		}
	}
	for p, cs := range out.mend() {
		copies[p] = append(copies[p], cs...)
	}
	return out, copies
}

func set(t tree, p shoal.Path, n *Node) {
	if n == nil {
		delete(t, p)
		return
	}
	t[p] = n
}

// carryOut does one operation on the tree as strictly as a disk would.
func (t tree) carryOut(op Op) error {
	have, parentOK := t[op.Path], op.Path.Parent() == "" || t[op.Path.Parent()].folder()
	inside := func() bool {
		for q := range t {
			if q.Under(op.Path) {
				return true
			}
		}
		return false
	}
	switch op.Kind {
	case Mkdir, Put:
		if have != nil || !parentOK {
			return fmt.Errorf("%v %s: something is there, or no parent", op.Kind, op.Path)
		}
	case Move:
		if have != nil || !parentOK || !t[op.From].holdsContent() || t[op.From].Content != op.Want.Content {
			return fmt.Errorf("move %s to %s: not possible", op.From, op.Path)
		}
		delete(t, op.From)
	case Remove:
		if !have.holdsContent() {
			return fmt.Errorf("remove %s: no file there", op.Path)
		}
	case Rmdir:
		if !have.folder() || inside() {
			return fmt.Errorf("rmdir %s: no empty folder", op.Path)
		}
	case Swap:
		if !have.holdsContent() || !op.Want.holdsContent() {
			return fmt.Errorf("swap %s: no content", op.Path)
		}
	case SetMeta, Adopt:
		if op.Want != nil && (have == nil || have.Kind != op.Want.Kind || have.Content != op.Want.Content) {
			return fmt.Errorf("%v %s: content differs", op.Kind, op.Path)
		}
	}
	set(t, op.Path, op.Want)
	return nil
}

func items(disk, want tree, copies map[shoal.Path][]shoal.Path, ready func() bool) []Item {
	paths := map[shoal.Path]bool{}
	for p := range disk {
		paths[p] = true
	}
	for p := range want {
		paths[p] = true
	}
	var out []Item
	for p := range paths {
		if !disk[p].same(want[p]) {
			out = append(out, Item{Path: p, Base: disk[p], Want: want[p], Ready: want[p].holdsContent() && ready(), After: copies[p]})
		}
	}
	slices.SortFunc(out, func(a, b Item) int { return shoal.ComparePaths(a.Path, b.Path) })
	return out
}

// runCase plays one random case to its end and says what went wrong.
func runCase(seed uint64, trace func(string, ...any)) error {
	r := rand.New(rand.NewPCG(seed, 7))
	contents := 2 + r.IntN(6)
	base := randomTree(r, tree{}, contents)
	base = randomTree(r, base, contents)
	local, desired := randomTree(r, base, contents), randomTree(r, base, contents)
	want, copies := merge(base, local, desired)
	disk := maps.Clone(local)
	trace("base %v\nlocal %v\nwant %v", show(base), show(local), show(want))
	for round := 0; ; round++ {
		if round > 6 {
			return fmt.Errorf("does not end: disk %v, wanted %v", show(disk), show(want))
		}
		its := items(disk, want, copies, func() bool { return round > 1 || r.IntN(2) == 0 })
		if len(its) == 0 {
			break
		}
		for _, op := range Plan(its, maps.Clone(disk)) {
			trace("%v %s %s", op.Kind, op.Path, op.From)
			if op.Kind == Swap || op.Kind == Remove {
				for _, c := range copies[op.Path] {
					if disk[c] == nil {
						return fmt.Errorf("%v %s before its copy %s is there", op.Kind, op.Path, c)
					}
				}
			}
			if err := disk.carryOut(op); err != nil {
				return err
			}
		}
	}
	return lossless(base, local, disk)
}

// lossless: what the user wrote since base is still under some name.
func lossless(base, local, disk tree) error {
	for p, n := range local {
		if !n.holdsContent() || n.same(base[p]) {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(disk)), func(o *Node) bool { return o.Content == n.Content }) {
			return fmt.Errorf("content %x of %s is lost", n.Content[:2], p)
		}
	}
	return nil
}

func show(t tree) string {
	var b strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(t), shoal.ComparePaths) {
		fmt.Fprintf(&b, "%s:%v%x/%o ", p, t[p].Kind, t[p].Content[:2], t[p].Mode)
	}
	return b.String()
}

func TestRandomThreeTreeCases(t *testing.T) {
	if *oneSeed != 0 {
		if err := runCase(*oneSeed, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := *cases
	if testing.Short() || raceEnabled {
		n /= 50
	}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for seed := w + 1; seed <= n && !t.Failed(); seed += workers {
				if err := runCase(uint64(seed), func(string, ...any) {}); err != nil {
					t.Errorf("seed %d: %v (replay: go test ./folder/plan -plan.seed=%d)", seed, err, seed)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPlan(b *testing.B) {
	want := tree{}
	for i := range 1000 {
		want[shoal.Path(fmt.Sprintf("d%02d", i%20))] = folder(0o755)
		want[shoal.Path(fmt.Sprintf("d%02d/f%04d", i%20, i))] = file(i)
	}
	its := items(tree{}, want, nil, func() bool { return true })
	b.ReportAllocs()
	for b.Loop() {
		Plan(its, tree{})
	}
}

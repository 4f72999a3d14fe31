package indexexchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// people is a mesh of five devices, made once: keys are slow to make.
type people struct {
	ids    []*mesh.Identity
	mesh   shoal.MeshID
	folder shoal.FolderID
	raw    [][]byte // the roster's statements; the last device is admitted by the last ones
	early  [][]byte // those before it was admitted
}

var fivePeople = sync.OnceValues(func() (*people, error) {
	chance := rand.NewChaCha8([32]byte{1})
	phrase, err := mesh.NewPhrase(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		return nil, err
	}
	root, err := mesh.RootFromPhrase(phrase)
	if err != nil {
		return nil, err
	}
	p := new(people)
	for range 5 {
		id, err := mesh.NewIdentity(chance)
		if err != nil {
			return nil, err
		}
		p.ids = append(p.ids, id)
	}
	now := time.Unix(1_700_000_000, 0)
	roster, err := mesh.Create(root, p.ids[0], "device-0", chance, now)
	if err != nil {
		return nil, err
	}
	p.mesh = roster.Mesh()
	if p.folder, err = roster.AddFolder(p.ids[0], "docs", now, chance); err != nil {
		return nil, err
	}
	for i, id := range p.ids[1:] {
		if i == 3 {
			p.early = roster.Statements()
		}
		if err := roster.Admit(p.ids[0], id.Device(), id.HPKEPublic(), fmt.Sprintf("device-%d", i+1), mesh.RoleMember, now); err != nil {
			return nil, err
		}
	}
	p.raw = roster.Statements()
	return p, nil
})

// world is devices that exchange over wires in memory: no goroutine, one clock, one chance.
type world struct {
	t      failer
	people *people
	now    time.Time
	chance *rand.ChaCha8
	nodes  []*node
	wires  []*wire
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

func newWorld(t failer, devices int) *world {
	t.Helper()
	p, err := fivePeople()
	w := &world{t: t, people: p, now: time.Unix(1_700_000_100, 0), chance: rand.NewChaCha8([32]byte{2})}
	w.must(err)
	for i := range devices {
		w.nodes = append(w.nodes, w.node(i, p.raw))
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *world) clock() time.Time { return w.now }

// node makes device number i, which knows these statements.
// wire joins two nodes. What is sent waits in the queues until it is moved.
type wire struct {
	world  *world
	ends   [2]*node
	ss     [2]*Session
	queues [2][][]byte // from ends[i]

	// tamper changes what ends[i] sends, before it arrives; nil: nothing.
	tamper [2]func(message) []message
	sent   [2]int // bytes
	counts map[string]int
}

func (w *world) connect(a, b int) *wire {
	wi := &wire{world: w, ends: [2]*node{w.nodes[a], w.nodes[b]}, counts: make(map[string]int)}
	w.wires = append(w.wires, wi)
	wi.restart()
	return wi
}

// restart begins new sessions; what was under way is lost.
func (wi *wire) restart() {
	for i := range 2 {
		wi.queues[i] = nil
		wi.ss[i] = wi.ends[i].core.Connect(wi.ends[1-i].dev())
	}
}

// cut ends the sessions. The wire is gone from the world.
func (w *world) cut(wi *wire) {
	wi.ss[0].Close()
	wi.ss[1].Close()
	w.wires = slices.DeleteFunc(w.wires, func(o *wire) bool { return o == wi })
}

// send takes what end i has to say now into its queue. It tells whether there was something.
func (wi *wire) send(i int) bool {
	frames, err := wi.ss[i].Next(context.Background())
	wi.world.must(err)
	for _, f := range frames {
		if len(f) > MaxMessage {
			wi.world.t.Fatalf("message of %d bytes", len(f))
		}
		wi.sent[i] += len(f)
		wi.queues[i] = append(wi.queues[i], wi.alter(i, f)...)
	}
	return len(frames) > 0
}

func (wi *wire) alter(i int, raw []byte) [][]byte {
	m, err := decode(raw)
	wi.world.must(err)
	wi.counts[fmt.Sprintf("%T", m)]++
	if wi.tamper[i] == nil {
		return [][]byte{raw}
	}
	var out [][]byte
	for _, m := range wi.tamper[i](m) {
		out = append(out, encode(m))
	}
	return out
}

// deliver hands the first message in end i's queue to the other. A broken protocol restarts the wire.
func (wi *wire) deliver(i int) bool {
	if len(wi.queues[i]) == 0 {
		return false
	}
	raw := wi.queues[i][0]
	wi.queues[i] = wi.queues[i][1:]
	err := wi.ss[1-i].Receive(context.Background(), raw)
	if errors.Is(err, ErrProtocol) {
		wi.restart()
		return true
	}
	wi.world.must(err)
	return true
}

// tick does what is due at every node.
func (w *world) tick() (some bool) {
	for _, n := range w.nodes {
		if n.roster.grown {
			n.roster.grown, some = false, true
			w.must(n.core.RosterChanged(context.Background()))
		}
		if at, due := n.core.WakeAt(); due && !at.After(w.now) {
			some = true
			w.must(n.core.Tick(context.Background()))
		}
	}
	return some
}

// settle moves messages until nothing is left to do now.
func (w *world) settle() {
	w.t.Helper()
	for range 1_000_000 {
		some := w.tick()
		for _, wi := range w.wires {
			for i := range 2 {
				for wi.send(i) {
					some = true
				}
				for wi.deliver(i) {
					some = true
				}
			}
		}
		if !some {
			return
		}
	}
	w.t.Fatalf("the devices talk without end")
}

// pass lets time go by, in steps of what is due.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		w.settle()
		next := end
		for _, n := range w.nodes {
			if at, due := n.core.WakeAt(); due && at.Before(next) {
				next = at
			}
		}
		if !next.Before(end) {
			w.now = end
			w.settle()
			return
		}
		w.now = next
	}
}

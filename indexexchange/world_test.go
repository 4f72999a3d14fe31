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
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
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

// node is one device.
type node struct {
	world  *world
	number int
	id     *mesh.Identity
	roster *safeRoster
	db     *index.DB
	folder *index.Folder
	core   *Core

	changed  []shoal.Path
	proofs   map[shoal.DeviceID]bool
	statuses []shoal.DeviceID
	leftOut  []shoal.DeviceID
	rivals   []shoal.DeviceID
	forks    int
	accepts  int // transactions that changed something

	mu    sync.Mutex // guards small
	small map[block.ID][]byte
}

// safeRoster is a Roster for a node.
type safeRoster struct {
	mu     sync.Mutex
	roster *mesh.Roster
	grown  bool // the node is to be told
}

func (r *safeRoster) Heads() []mesh.Hash {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.Heads()
}

func (r *safeRoster) Has(h mesh.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.Has(h)
}

func (r *safeRoster) Since(heads []mesh.Hash) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.Since(heads)
}

func (r *safeRoster) Add(_ context.Context, raw [][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range raw {
		added, err := r.roster.Add(s)
		r.grown = r.grown || added
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *safeRoster) state() *mesh.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roster.State()
}

func (r *safeRoster) keys(id *mesh.Identity, f shoal.FolderID) *mesh.FolderKeys {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := r.roster.FolderKeys(id, f)
	if err != nil {
		return nil
	}
	return keys
}

// IDs, Folder: a node keeps the one folder.
func (n *node) IDs() []shoal.FolderID { return []shoal.FolderID{n.world.people.folder} }

func (n *node) Folder(id shoal.FolderID) (Folder, bool) {
	return n.folder, id == n.world.people.folder && n.folder != nil
}

// ReadSmall and KeepSmall: small blocks are their own plaintext here.
func (n *node) ReadSmall(_ context.Context, _ shoal.FolderID, _ shoal.Dot, id block.ID, _ uint32, _ shoal.EpochID) ([]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.small[id]
	return b, ok
}

func (n *node) KeepSmall(_ shoal.FolderID, id block.ID, _ shoal.EpochID, sealed []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.small[id] = sealed
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
func (w *world) node(i int, statements [][]byte) *node {
	n := &node{world: w, number: i, id: w.people.ids[i], roster: &safeRoster{roster: mesh.NewRoster()},
		proofs: make(map[shoal.DeviceID]bool), small: make(map[block.ID][]byte)}
	w.must(n.roster.Add(context.Background(), statements))
	n.roster.grown = false
	n.open(index.OpenMemory(index.Options{Clock: w.clock, Rand: w.chance}))
	return n
}

// open makes db the node's database, as at a start of the program.
func (n *node) open(db *index.DB) {
	w := n.world
	folder, err := db.Folder(w.people.folder, index.FolderConfig{Mesh: w.people.mesh, Identity: n.id,
		Keys:   func() *mesh.FolderKeys { return n.roster.keys(n.id, w.people.folder) },
		Roster: func() *mesh.State { return n.roster.state() }})
	w.must(err)
	n.db, n.folder = db, folder
	n.core = NewCore(Config{Device: n.dev(), Folders: n, Roster: n.roster, Small: n, Clock: w.clock, Effects: Effects{
		Changed: func(_ shoal.FolderID, a index.Accepted) { n.changed = append(n.changed, a.Paths...); n.accepts++ },
		Proof:   func(_ shoal.FolderID, peer shoal.DeviceID, same bool) { n.proofs[peer] = same },
		Status:  func(_ shoal.FolderID, dev shoal.DeviceID) { n.statuses = append(n.statuses, dev) },
		Rival:   func(_ shoal.FolderID, peer shoal.DeviceID) { n.rivals = append(n.rivals, peer) },
		Fork:    func(shoal.FolderID, *index.ForkError) { n.forks++ },
		LeftOut: func(peer shoal.DeviceID, _ error) { n.leftOut = append(n.leftOut, peer) },
	}})
	n.core.batchBytes = 200 << 10 // some 500 small records, so that buckets are tried with few of them
	w.must(n.core.Refresh(w.people.folder))
}

func (n *node) dev() shoal.DeviceID { return n.id.Device() }

// write records files with these contents, as one commit, and tells the exchange.
func (n *node) write(files map[shoal.Path]string) {
	n.world.t.Helper()
	n.world.must(n.folder.Update(context.Background(), func(tx *index.Tx) error {
		if _, open := tx.Own(); !open {
			if err := tx.OpenJournal(); err != nil {
				return err
			}
		}
		var drafts []index.Entry
		for _, p := range sortedPaths(files) {
			drafts = append(drafts, n.file(p, files[p]))
		}
		_, err := tx.Append(drafts)
		return err
	}))
	n.world.must(n.core.Refresh(n.world.people.folder))
}

func sortedPaths(files map[shoal.Path]string) (out []shoal.Path) {
	for p := range files {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// file is a draft of a file of one small block, which is at hand here.
func (n *node) file(p shoal.Path, content string) index.Entry {
	keys := n.roster.keys(n.id, n.world.people.folder)
	names := block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}
	id := names.ID([]byte(content))
	n.KeepSmall(n.world.people.folder, id, shoal.EpochID{}, []byte(content))
	return index.Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644, MTime: n.world.now.UnixNano(),
		Recipe: block.Recipe{{ID: id, Size: uint32(len(content))}}}
}

// many records n files, 1,000 to a commit.
func (n *node) many(prefix string, count int) {
	for from := 0; from < count; from += 1000 {
		files := make(map[shoal.Path]string)
		for i := from; i < min(from+1000, count); i++ {
			files[shoal.Path(fmt.Sprintf("%s/%05d", prefix, i))] = fmt.Sprintf("content of %s %d", prefix, i)
		}
		n.write(files)
	}
}

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

func (n *node) frontier() map[shoal.JournalID]index.JournalPos {
	var out map[shoal.JournalID]index.JournalPos
	n.world.must(n.folder.View(func(tx *index.Tx) error {
		out = tx.Frontier()
		return nil
	}))
	for j, p := range out {
		if p.Seq == 0 {
			delete(out, j)
		}
	}
	return out
}

// tree describes everything that should be on the node's disk.
func (n *node) tree() string {
	var b bytes.Buffer
	n.world.must(n.folder.View(func(tx *index.Tx) error {
		return tx.Walk("", func(r index.Row) error {
			st, err := tx.Desired(r.Path)
			if st != nil {
				fmt.Fprintf(&b, "%s %s %x\n", r.Path, st.Kind, st.Content[:4])
			}
			return err
		})
	}))
	return b.String()
}

// mustBeEqual compares what these nodes hold.
func (w *world) mustBeEqual(nodes ...*node) {
	w.t.Helper()
	first := nodes[0]
	want, tree := first.frontier(), first.tree()
	for _, n := range nodes[1:] {
		got := n.frontier()
		for _, j := range sortedJournals(want) {
			if got[j].Seq != want[j].Seq || got[j].HeadHash != want[j].HeadHash {
				w.t.Fatalf("device %d has journal %s at %d, device %d at %d", first.number, j, want[j].Seq, n.number, got[j].Seq)
			}
		}
		if len(got) != len(want) {
			w.t.Fatalf("device %d has %d journals, device %d %d", first.number, len(want), n.number, len(got))
		}
		if t := n.tree(); t != tree {
			w.t.Fatalf("device %d shows\n%s\ndevice %d\n%s", first.number, tree, n.number, t)
		}
	}
	for _, n := range nodes {
		w.must(n.db.Check(context.Background()))
	}
}

package indexexchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

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
	heals    bool // it does what Effects.Rival says
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

// node makes device number i, which knows these statements.
func (w *world) node(i int, statements [][]byte) *node {
	n := &node{world: w, number: i, id: w.people.ids[i], roster: &safeRoster{roster: mesh.NewRoster()},
		proofs: make(map[shoal.DeviceID]bool), small: make(map[block.ID][]byte)}
	w.must(n.roster.Add(context.Background(), statements))
	n.roster.grown = false
	n.open(index.OpenMemory(index.Options{Clock: w.clock, Rand: w.chance}))
	return n
}

// rival leaves the history that this node wrote, if it is to.
func (n *node) rival(f shoal.FolderID, peer shoal.DeviceID, head []byte) {
	n.rivals = append(n.rivals, peer)
	if !n.heals {
		return
	}
	n.world.must(n.folder.Update(context.Background(), func(tx *index.Tx) error {
		_, _, err := tx.LeaveHistory(head)
		return err
	}))
	n.world.must(n.core.Refresh(f))
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
		Rival:   n.rival,
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

package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
	"github.com/shoalmesh/shoal/vault/replica"
)

// A bucketWorld is a mesh of two devices and some vault processes on one bucket of a real server. Its clock moves only when told; nothing runs but what a test calls.
type bucketWorld struct {
	t       *testing.T
	line    *s3test.Line
	url     string
	chance  *mathrand.Rand
	now     time.Time
	people  *people
	devices []*author
	procs   []*process
	inline  int

	mu   sync.Mutex
	fail func(n int) s3test.Fault // guarded by mu: what happens to the n-th request since it was set
	seen int                      // guarded by mu
}

// author is a device that writes.
type author struct {
	id      *mesh.Identity
	f       *index.Folder
	written map[shoal.Dot]*written
	newest  map[shoal.Path]shoal.Dot // of its own
}

// written is what the model knows of a record.
type written struct {
	blocks     []block.EpochRef
	superseded time.Time // or replaced by the other device; zero: it is live
	promised   bool      // a vault said that it is durable, with its blocks, while it was the newest
}

func newBucketWorld(t *testing.T, seed uint64, processes int) *bucketWorld {
	t.Helper()
	p, err := thePeople()
	must(t, err)
	w := &bucketWorld{t: t, line: s3test.NewLine(t), chance: mathrand.New(mathrand.NewPCG(seed, 7)), now: time.Unix(1_800_000_000, 0), people: p}
	w.url = w.line.Bucket(t)
	w.line.Fail(w.onRequest)
	state := rosterOf(t, p).State()
	for i := range 2 {
		f, err := index.OpenMemory(index.Options{Clock: w.clock, Rand: rand.Reader}).Folder(p.folder, index.FolderConfig{
			Mesh: p.mesh, Identity: p.ids[i], Keys: func() *mesh.FolderKeys { return p.keys[i] }, Roster: func() *mesh.State { return state },
		})
		must(t, err)
		w.devices = append(w.devices, &author{id: p.ids[i], f: f, written: map[shoal.Dot]*written{}, newest: map[shoal.Path]shoal.Dot{}})
	}
	for i := range processes {
		pr := &process{w: w, id: p.ids[2+i], dir: t.TempDir()}
		w.procs = append(w.procs, pr)
		must(t, pr.start())
	}
	t.Cleanup(func() {
		for _, pr := range w.procs {
			pr.kill()
		}
	})
	return w
}

func (w *bucketWorld) clock() time.Time { return w.now }

func (w *bucketWorld) onRequest(*http.Request) s3test.Fault {
	w.mu.Lock()
	fail := w.fail
	w.seen++
	n := w.seen
	w.mu.Unlock()
	if fail == nil {
		return s3test.Fault{}
	}
	return fail(n)
}

// faults has fn decide about the requests from now on; nil: all go well.
func (w *bucketWorld) faults(fn func(n int) s3test.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail, w.seen = fn, 0
}

// roster is a roster as rosterfile keeps one.
type roster struct{ r *mesh.Roster }

func (r roster) Heads() []mesh.Hash               { return r.r.Heads() }
func (r roster) Since(heads []mesh.Hash) [][]byte { return r.r.Since(heads) }
func (r roster) Add(raw [][]byte) (grew bool, err error) {
	for _, st := range raw {
		added, aerr := r.r.Add(st)
		grew = grew || added
		if err == nil {
			err = aerr
		}
	}
	return grew, err
}

// process is one vault process. Its fields but the first three are nil while it does not run.
type process struct {
	w   *bucketWorld
	id  *mesh.Identity
	dir string

	roster  roster
	db      *index.DB
	store   *s3store.Store
	tenant  *Tenant
	replica *replica.Replica
	saved   []byte // its settings
}

// start opens everything as node/keeper does. With an empty directory everything comes from the bucket.
func (p *process) start() (err error) {
	ctx := p.w.t.Context()
	target, err := s3store.ParseURL(p.w.url)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	if p.store, err = s3store.Open(ctx, s3store.Config{
		Target: target, Dir: filepath.Join(p.dir, "blocks"), Rand: rand.Reader, Now: p.w.clock, Pin: PinTime, MissRefresh: -1, Tries: 2, Pause: time.Millisecond, Grace: -1, Checkpoint: 16,
	}); err != nil {
		return err
	}
	log, err := ledger.Open(ctx, p.w.people.mesh, p.store.Objects(), rand.Reader)
	if err != nil {
		return err
	}
	p.roster = roster{mesh.NewRoster()}
	if len(p.w.people.statements) > 0 {
		if _, err := p.roster.Add(p.w.people.statements); err != nil {
			return err
		}
	}
	config := Config{
		Mesh: p.w.people.mesh, Identity: p.id, Roster: p.roster.r.State, Packs: p.store, Shared: p.store,
		Others: func() Others {
			if p.replica == nil {
				return nil
			}
			return p.replica
		},
		Fetcher: func() Fetcher { return everything{p.w} }, Changed: func(shoal.FolderID) {}, Clock: p.w.clock,
		Elapsed: func() time.Duration { return time.Duration(p.w.now.UnixNano()) },
	}
	path := filepath.Join(p.dir, "index.db")
	if !exists(path) {
		loaded := path + ".loaded"
		found, err := replica.Load(ctx, log, loaded, func(st [][]byte) error { _, err := p.roster.Add(st); return err })
		if err != nil {
			return err
		}
		if found {
			db, err := index.Open(loaded, index.Options{Clock: p.w.clock, NoSync: true})
			if err != nil {
				return err
			}
			if err := joined(db.Inherit(ctx, FolderConfig(&config)), db.Close(), rename(loaded, path)); err != nil {
				return err
			}
		}
	}
	if p.db, err = index.Open(path, index.Options{Clock: p.w.clock, NoSync: true}); err != nil {
		return err
	}
	config.DB = p.db
	if config.Settings, err = NewSettings(p.saved, LeastRetention, func(raw []byte) error { p.saved = raw; return nil }); err != nil {
		return err
	}
	if len(p.saved) == 0 || config.Settings.Get().Policy.Retention != modelRetention {
		must(p.w.t, config.Settings.Update(func(s *State) error { s.Policy.Retention = modelRetention; return nil }))
	}
	if p.tenant, err = New(config); err != nil {
		return err
	}
	p.replica, err = replica.New(replica.Config{
		Ledger: log, Self: p.id.Device(), DB: p.db, Folder: p.tenant.Open, Roster: p.roster, Settings: config.Settings,
		Keeping: func() replica.Keeping { return p.tenant }, Clock: p.w.clock, Temp: p.dir, Inline: p.w.inline,
	})
	if err != nil {
		return err
	}
	return p.replica.Refresh(ctx)
}

// modelRetention is the retention in these tests.
const modelRetention = 2 * time.Hour

// kill ends the process without giving it a chance to tell or sync anything.
func (p *process) kill() {
	if p.store != nil {
		_ = p.store.Close()
	}
	if p.db != nil {
		_ = p.db.Close()
	}
	p.store, p.db, p.tenant, p.replica = nil, nil, nil, nil
}

// everything fetches whatever a device made.
type everything struct{ w *bucketWorld }

func (everything) NowHave(shoal.FolderID, []block.ID) {}

func (e everything) FetchSealed(_ context.Context, wants []blockexchange.Want, deliver func(blockexchange.Want, shoal.DeviceID, []byte) error) error {
	from := e.w.people.ids[0].Device()
	for _, want := range wants {
		data := contentOf(want.Block)
		if want.Node {
			if data = e.w.node(want.Block); data == nil {
				continue
			}
		}
		if err := deliver(want, from, data); err != nil {
			return err
		}
	}
	return nil
}

// contentOf stands for the sealed bytes of a block.
func contentOf(id block.ID) []byte { return append([]byte("sealed "), id[:]...) }

// node finds a reference node in what the devices wrote.
func (w *bucketWorld) node(hash block.ID) (found []byte) {
	for _, d := range w.devices {
		for dot, wr := range d.written {
			if len(wr.blocks) <= 64 {
				continue
			}
			_ = d.f.View(func(tx *index.Tx) error {
				nodes, err := tx.RefTree(dot)
				for _, data := range nodes {
					if blake3.Sum256(data) == [32]byte(hash) {
						found = bytes.Clone(data)
					}
				}
				return err
			})
		}
	}
	return found
}

// write changes a path on a device: it shows then what it knows of that path, and n blocks from a small pool.
func (w *bucketWorld) write(d *author, p shoal.Path, first, n int) {
	w.t.Helper()
	keys := w.people.keys[slices.Index(w.devices, d)]
	epoch, _ := keys.Current()
	e := index.Entry{Path: p, Kind: shoal.KindFile, Mode: 0o644, MTime: w.now.UnixNano()}
	wr := &written{}
	for i := range n {
		id := block.ID(blake3.Sum256(fmt.Appendf(nil, "block %d", first+i)))
		e.Recipe = append(e.Recipe, block.Ref{ID: id, Size: 10})
		wr.blocks = append(wr.blocks, block.EpochRef{ID: id, Epoch: epoch.ID})
	}
	if n == 0 {
		e = index.Entry{Path: p, Kind: shoal.KindTombstone}
	}
	var dots []shoal.Dot
	must(w.t, d.f.Update(w.t.Context(), func(tx *index.Tx) error {
		if _, open := tx.Own(); !open {
			if err := tx.OpenJournal(); err != nil {
				return err
			}
		}
		s, err := tx.Desired(p)
		if err != nil {
			return err
		}
		if s != nil {
			e.Version = conflict.Join(e.Version, s.Version)
			e.Replaced = s.Content
		}
		dots, err = tx.Append([]index.Entry{e})
		return err
	}))
	if was, ok := d.newest[p]; ok {
		d.written[was].supersede(w.now)
	}
	w.replaced(d, p)
	d.newest[p], d.written[dots[0]] = dots[0], wr
}

// replaced notes that what a device writes at a path replaces what it knows there of the others.
func (w *bucketWorld) replaced(d *author, p shoal.Path) {
	w.t.Helper()
	must(w.t, d.f.View(func(tx *index.Tx) error {
		known := tx.Frontier()
		for _, o := range w.devices {
			if was, ok := o.newest[p]; ok && o != d && known[was.Journal].Seq >= was.Seq {
				o.written[was].supersede(w.now)
			}
		}
		return nil
	}))
}

func (wr *written) supersede(at time.Time) {
	if wr.superseded.IsZero() {
		wr.superseded = at
	}
}

// deliver brings everything a folder has to another, by batches or by buckets.
func (w *bucketWorld) deliver(from, to *index.Folder, buckets bool) {
	w.t.Helper()
	must(w.t, from.View(func(tx *index.Tx) error {
		for j, pos := range tx.Frontier() {
			var have shoal.Seq
			must(w.t, to.View(func(tx *index.Tx) error { have = tx.Frontier()[j].Seq; return nil }))
			if pos.Seq <= have {
				continue
			}
			if buckets {
				w.stage(tx, to, j)
				continue
			}
			b, err := tx.ReadAfter(j, have, 1<<30)
			if err != nil {
				return err
			}
			must(w.t, to.Update(w.t.Context(), func(tx *index.Tx) error { _, err := tx.Accept(b); return err }))
		}
		return nil
	}))
}

func (w *bucketWorld) stage(from *index.Tx, to *index.Folder, j shoal.JournalID) {
	list, head, err := from.Digests(j)
	must(w.t, err)
	var missing []uint64
	must(w.t, to.Update(w.t.Context(), func(tx *index.Tx) (err error) { missing, err = tx.Stage(j, head, list); return err }))
	for _, n := range missing {
		records, err := from.Bucket(j, n)
		must(w.t, err)
		must(w.t, to.Update(w.t.Context(), func(tx *index.Tx) error { _, err := tx.StageBucket(j, n, records); return err }))
	}
	if w.chance.IntN(4) > 0 { // else it stays under way
		must(w.t, to.Update(w.t.Context(), func(tx *index.Tx) error { _, err := tx.FinishStage(j); return err }))
	}
}

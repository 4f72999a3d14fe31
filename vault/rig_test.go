package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/packstore"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// fakeMesh is a mesh of devices with databases in memory and of vaults with real stores, without a network: records are brought by hand, blocks
// come from who is asked at once. It lives in a bubble of testing/synctest, whose time goes on when all wait.
type fakeMesh struct {
	t       *testing.T
	roster  *mesh.Roster
	folder  shoal.FolderID
	members []*member
	vaults  []*fakeVault

	asking sync.Mutex // held while members are asked: vaults ask at once

	mu    sync.Mutex
	state *mesh.State // guarded by mu
}

// keepFor is the retention of the vaults under test.
const keepFor = 2 * day

// fakeVault is a vault under test.
type fakeVault struct {
	m      *fakeMesh
	id     *mesh.Identity
	dir    string
	db     *index.DB
	disk   *faultyPacks
	tenant *Tenant
	up     atomic.Pointer[Tenant] // what other vaults ask
	saved  []byte
	clock  atomic.Int64 // ns that its clock is ahead
	late   atomic.Bool  // the next block comes when the fetch has just been given up
	broken atomic.Bool  // a fetch ends as if somebody had stopped it
	end    func() error // ends Run, and returns what it returned
}

// faultyPacks is a store whose disk can be full or fail.
type faultyPacks struct {
	*packstore.Store
	mu       sync.Mutex
	putFails error // guarded by mu
	syncs    error // guarded by mu; of the next Sync, once
}

func (p *faultyPacks) Put(ctx context.Context, k block.Key, sealed []byte) error {
	p.mu.Lock()
	err := p.putFails
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.Store.Put(ctx, k, sealed)
}

func (p *faultyPacks) Sync(ctx context.Context) error {
	p.mu.Lock()
	err := p.syncs
	p.syncs = nil
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.Store.Sync(ctx)
}

// inMesh runs a test in a bubble with a mesh of members, the first of which is the owner, and a vault.
func inMesh(t *testing.T, names []string, test func(t *testing.T, m *fakeMesh, v *fakeVault)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newFakeMesh(t, names)
		v := m.newVault()
		v.open()
		defer func() {
			for _, v := range m.vaults {
				v.close()
			}
		}()
		test(t, m, v)
	})
}

func newFakeMesh(t *testing.T, names []string) *fakeMesh {
	m := &fakeMesh{t: t}
	phrase, err := mesh.NewPhrase(bytes.Repeat([]byte{7}, 32))
	m.must(err)
	root, err := mesh.RootFromPhrase(phrase)
	m.must(err)
	for range names {
		id, err := mesh.NewIdentity(rand.Reader)
		m.must(err)
		m.members = append(m.members, &member{m: m, id: id, content: map[block.ID][]byte{}})
	}
	owner := m.members[0].id
	m.roster, err = mesh.Create(root, owner, names[0], rand.Reader, time.Now())
	m.must(err)
	m.folder, err = m.roster.AddFolder(owner, "docs", time.Now(), rand.Reader)
	m.must(err)
	for i, d := range m.members[1:] {
		m.must(m.roster.Admit(owner, d.id.Device(), d.id.HPKEPublic(), names[i+1], mesh.RoleMember, time.Now()))
	}
	m.refresh()
	for _, d := range m.members {
		d.db = index.OpenMemory(index.Options{})
		d.open()
	}
	return m
}

func (m *fakeMesh) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// set changes how members answer, while nobody is asked.
func (m *fakeMesh) set(change func()) {
	m.asking.Lock()
	defer m.asking.Unlock()
	change()
}

func (m *fakeMesh) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = m.roster.State()
}

// State is the roster as all see it.
func (m *fakeMesh) State() *mesh.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *fakeMesh) newVault() *fakeVault {
	id, err := mesh.NewIdentity(rand.Reader)
	m.must(err)
	m.must(m.roster.Admit(m.members[0].id, id.Device(), id.HPKEPublic(), fmt.Sprintf("vault %d", len(m.vaults)), mesh.RoleVault, time.Now()))
	m.refresh()
	v := &fakeVault{m: m, id: id, dir: m.t.TempDir()}
	v.db = index.OpenMemory(index.Options{Clock: v.now})
	m.vaults = append(m.vaults, v)
	return v
}

func (v *fakeVault) now() time.Time { return time.Now().Add(time.Duration(v.clock.Load())) }

// open begins a run of the vault.
func (v *fakeVault) open() {
	v.m.t.Helper()
	store, err := packstore.Open(context.Background(), packstore.Config{Dir: filepath.Join(v.dir, "packs"), Rand: rand.Reader})
	v.m.must(err)
	v.disk = &faultyPacks{Store: store}
	settings, err := NewSettings(v.saved, day, func(raw []byte) error { v.saved = bytes.Clone(raw); return nil })
	v.m.must(err)
	v.m.must(settings.Update(func(s *State) error { s.Policy.Retention = keepFor; return nil }))
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	v.tenant, err = New(Config{
		Mesh: v.m.roster.Mesh(), Identity: v.id, Roster: v.m.State, DB: v.db, Packs: v.disk, Settings: settings, Clock: v.now, Log: log,
		Fetcher: func() Fetcher { return fakeFetcher{v} }, Changed: func(shoal.FolderID) {},
	})
	v.m.must(err)
	v.up.Store(v.tenant)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.tenant.Run(ctx) }()
	v.end = sync.OnceValue(func() error { cancel(); return <-ended })
}

// close ends the run.
func (v *fakeVault) close() {
	if v.tenant == nil {
		return
	}
	v.up.Store(nil)
	if err := v.end(); err != nil && !v.broken.Load() {
		v.m.t.Errorf("the vault ended: %v", err)
	}
	v.m.must(v.disk.Close())
	v.tenant = nil
}

// crash ends the run without a word, and begins the next with what is durable.
func (v *fakeVault) restart() {
	v.close()
	v.open()
}

func (v *fakeVault) index() *index.Folder { return v.tenant.index(v.m.folder) }

// fakeFetcher gives a vault blocks from members in their order, then from other vaults.
type fakeFetcher struct{ v *fakeVault }

func (x fakeFetcher) NowHave(shoal.FolderID, []block.ID) {}

func (x fakeFetcher) FetchSealed(ctx context.Context, wants []blockexchange.Want, deliver func(blockexchange.Want, shoal.DeviceID, []byte) error) error {
	if x.v.broken.Load() {
		return context.Canceled
	}
	open := false
	for _, w := range wants {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		from, answer := x.ask(ctx, w)
		if answer == nil {
			open = true
			continue
		}
		if x.v.late.Swap(false) {
			<-ctx.Done()
		}
		if err := deliver(w, from, answer); err != nil {
			return err
		}
	}
	if open {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (x fakeFetcher) ask(ctx context.Context, w blockexchange.Want) (shoal.DeviceID, []byte) {
	if from, answer := x.askMembers(w); answer != nil {
		return from, answer
	}
	for _, other := range x.v.m.vaults {
		up := other.up.Load()
		if other == x.v || up == nil || w.Not.Has(other.id.Device()) {
			continue
		}
		if answer, err := up.Sealed(ctx, w, func([32]byte) bool { return false }); err == nil {
			return other.id.Device(), answer
		}
	}
	return shoal.DeviceID{}, nil
}

func (x fakeFetcher) askMembers(w blockexchange.Want) (shoal.DeviceID, []byte) {
	x.v.m.asking.Lock()
	defer x.v.m.asking.Unlock()
	for _, d := range x.v.m.members {
		if dev := d.id.Device(); !d.away && !w.Not.Has(dev) && x.v.m.State().Admitted(dev) {
			if answer := d.answer(w); answer != nil {
				return dev, answer
			}
		}
	}
	return shoal.DeviceID{}, nil
}

// garbage is what looks like a sealed block.
func garbage() []byte {
	b := make([]byte, 200)
	_, _ = rand.Read(b)
	return b
}

// pass lets time go by: everything that is to happen until then has happened.
func pass(d time.Duration) {
	time.Sleep(d) //nolint: the time of a bubble, which goes on when all wait
	synctest.Wait()
}

// copies returns what the vault's store has of a block.
func (v *fakeVault) copies(ref block.EpochRef) [][32]byte {
	v.m.t.Helper()
	hashes, err := v.disk.Copies(context.Background(), v.key(ref))
	v.m.must(err)
	return hashes
}

func (v *fakeVault) key(ref block.EpochRef) block.Key {
	return block.Key{Folder: v.m.folder, Epoch: ref.Epoch, ID: ref.ID}
}

// good counts the copies of a block in the store that open.
func (v *fakeVault) good(ref block.EpochRef) (n int) {
	for _, h := range v.copies(ref) {
		k := v.key(ref)
		k.Sealed = h
		if sealed, err := v.disk.Get(context.Background(), k); err == nil && v.m.members[0].opens(ref, sealed) {
			n++
		}
	}
	return n
}

func (v *fakeVault) kept() (k index.Kept) {
	v.m.t.Helper()
	v.m.must(v.index().View(func(tx *index.Tx) (err error) { k, err = tx.Kept(); return err }))
	return k
}

// whole holds that the vault has all that live records need, and that its database is sound.
func (v *fakeVault) whole(want bool) {
	v.m.t.Helper()
	if k := v.kept(); k.Whole() != want {
		v.m.t.Errorf("whole: %v, want %v: %+v", k.Whole(), want, k)
	}
	v.m.must(v.db.Check(context.Background()))
}

// has holds which of some blocks the store has, sound.
func (v *fakeVault) has(want bool, refs ...block.EpochRef) {
	v.m.t.Helper()
	for i, r := range refs {
		if got := v.good(r) > 0; got != want {
			v.m.t.Errorf("block %d is in the store: %v, want %v", i, got, want)
		}
	}
}

func lines(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("content %d %s", i, slices.Repeat([]string{"x"}, 20)))
	}
	return out
}

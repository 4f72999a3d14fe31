package vault

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
)

// Packs is where sealed blocks are kept; *packstore.Store is one.
type Packs interface {
	block.Store
	// Copies returns the sealed hashes of the copies of (k.Folder, k.Epoch, k.ID) that are there. It does not read them.
	Copies(ctx context.Context, k block.Key) ([][32]byte, error)
	// Compact rewrites packs of which less than a part is live, and tells how many bytes that freed.
	Compact(ctx context.Context, part float64) (freed int64, err error)
	// Keys lists every copy that was there before, those of one block one after another; what is put or deleted meanwhile may be listed or not.
	Keys(ctx context.Context, fn func(k block.Key, size int) error) error
	// Scrub reads every block and reports those that are damaged. fn is not called for errors that say nothing of the bytes.
	Scrub(ctx context.Context, report func(k block.Key, err error) error) error
}

// Fetcher gets sealed blocks from members; *blockexchange.Exchange is one.
type Fetcher interface {
	FetchSealed(ctx context.Context, wants []blockexchange.Want, deliver func(w blockexchange.Want, from shoal.DeviceID, sealed []byte) error) error
	NowHave(f shoal.FolderID, ids []block.ID)
}

// Config says what a Tenant is made of. All but Clock and Log is needed.
type Config struct {
	Mesh     shoal.MeshID
	Identity *mesh.Identity
	Roster   func() *mesh.State // cheap, safe for concurrent use
	DB       *index.DB          // used by this tenant alone
	Packs    Packs              // used by this tenant alone
	Shared   SharedPacks        // the same as Packs, if other processes use them too; nil: nobody does. Then DB's folders are opened as Shared, and Others is needed
	Others   func() Others      // called after New
	Fetcher  func() Fetcher     // called when something is to be fetched, after Run began
	Changed  func(shoal.FolderID)
	Settings *Settings
	// Room tells whether so many bytes more fit into what this vault may keep for all its meshes together; nil: always. Cheap.
	Room func(bytes int) bool

	Clock   func() time.Time     // default time.Now
	Elapsed func() time.Duration // running time, which setting the clock does not change; default: since New
	Log     *slog.Logger
}

// Tenant is one mesh that is kept here. Its methods are safe for concurrent use.
type Tenant struct {
	cfg Config

	// store is held while blocks are put and noted, or deleted and noted, so that a block is never deleted that was just noted.
	store   sync.Mutex
	unnoted map[blockKey]int64 // guarded by store; bytes of blocks that were put and are not noted yet

	mu      sync.Mutex
	folders map[shoal.FolderID]*index.Folder // guarded by mu
	wake    map[shoal.FolderID]chan struct{} // guarded by mu; depth 1: something may be lacking

	news    chan struct{} // depth 1: the folders changed
	trouble atomic.Uint32 // index.Trouble
	used    atomic.Int64  // bytes kept, as of the last look
	guard   *ClockGuard
	scrubs  scrubState
	strikes strikes

	compacted time.Duration // used by tend alone: running time at the last compaction of a shared store
}

// New makes a tenant that does nothing until Run.
func New(c Config) (*Tenant, error) {
	if c.Identity == nil || c.Roster == nil || c.DB == nil || c.Packs == nil || c.Fetcher == nil || c.Changed == nil || c.Settings == nil {
		return nil, fmt.Errorf("tenant without one of its parts: %w", shoal.ErrInvalid)
	}
	if (c.Shared == nil) != (c.Others == nil) {
		return nil, fmt.Errorf("tenant that shares its store with nobody: %w", shoal.ErrInvalid)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Elapsed == nil {
		start := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(start) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tenant{
		cfg: c, folders: map[shoal.FolderID]*index.Folder{}, wake: map[shoal.FolderID]chan struct{}{}, news: make(chan struct{}, 1),
		unnoted: map[blockKey]int64{}, guard: newClockGuard(c.Settings, c.Clock, c.Elapsed),
	}
	return t, t.OpenFolders(context.Background())
}

// OpenFolders opens what the roster names and is not open yet. Call it when the roster has grown.
func (t *Tenant) OpenFolders(ctx context.Context) error {
	for _, f := range t.cfg.Roster().Folders() {
		t.mu.Lock()
		open := t.folders[f.ID] != nil
		t.mu.Unlock()
		if open {
			continue
		}
		idx, err := t.Open(f.ID)
		if err != nil {
			return err
		}
		// What a revocation cut off while this vault was not running is void from the first moment.
		if err := idx.Update(ctx, func(tx *index.Tx) error { _, err := tx.ApplyCuts(); return err }); err != nil {
			return fmt.Errorf("apply revocations to folder %s: %w", f.ID, err)
		}
		t.mu.Lock()
		t.folders[f.ID], t.wake[f.ID] = idx, make(chan struct{}, 1)
		t.mu.Unlock()
		t.cfg.Changed(f.ID)
	}
	nudge(t.news)
	return nil
}

// Open returns a folder of the database, whether the roster names it or not.
func (t *Tenant) Open(id shoal.FolderID) (*index.Folder, error) {
	return t.cfg.DB.Folder(id, FolderConfig(&t.cfg))
}

// FolderConfig is how a tenant opens its folders.
func FolderConfig(c *Config) index.FolderConfig {
	return index.FolderConfig{Mesh: c.Mesh, Identity: c.Identity, Roster: c.Roster, Keeper: true, Shared: c.Shared != nil}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Used returns the bytes kept, as of the last look; cheap.
func (t *Tenant) Used() int64 { return t.used.Load() }

// IDs implements indexexchange.Folders.
func (t *Tenant) IDs() []shoal.FolderID {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]shoal.FolderID, 0, len(t.folders))
	for id := range t.folders {
		out = append(out, id)
	}
	return out
}

// Folder implements indexexchange.Folders.
func (t *Tenant) Folder(id shoal.FolderID) (indexexchange.Folder, bool) {
	f := t.index(id)
	return f, f != nil
}

var _ indexexchange.Folders = (*Tenant)(nil)

func (t *Tenant) index(id shoal.FolderID) *index.Folder {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.folders[id]
}

// RecordsCame says that records of a folder came or went: more may be lacking.
func (t *Tenant) RecordsCame(id shoal.FolderID) {
	t.wakeOthers()
	t.nudgePull(id)
}

func (t *Tenant) nudgePull(id shoal.FolderID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.wake[id]; c != nil {
		nudge(c)
	}
}

// Standing is what the vault says of itself in its signed status.
func (t *Tenant) Standing(id shoal.FolderID, tx *index.Tx) (index.Standing, error) {
	st := index.Standing{Complete: true, Trouble: index.Trouble(t.trouble.Load())}
	if t.cfg.Shared != nil {
		st.Store = t.cfg.Shared.ID()
	}
	if o := t.others(); o != nil {
		var err error
		if st.Reach, st.Complete, err = o.Reach(id, tx); err != nil {
			return st, err
		}
	}
	if tx.EverWhole() {
		return st, nil
	}
	whole, err := t.hasWhatOneHas(tx)
	if err == nil && whole {
		tx.SetWhole()
		t.wakeOthers()
	}
	st.Joining = !whole
	return st, err
}

// Young tells that Standing says "joining" of a folder, as far as was seen.
func (t *Tenant) Young(id shoal.FolderID) (young bool) {
	if f := t.index(id); f != nil {
		_ = f.View(func(tx *index.Tx) error {
			young = !tx.EverWhole()
			return nil
		})
	}
	return young
}

// hasWhatOneHas tells whether all records are here that some full device reported, which is not joining itself. Before that, nobody who
// joins may take what is here for all there is.
func (t *Tenant) hasWhatOneHas(tx *index.Tx) (bool, error) {
	mine := tx.Frontier()
	for _, d := range t.cfg.Roster().Devices() {
		if d.Revoked || d.Role == mesh.RoleVault {
			continue
		}
		st, known, err := tx.Status(d.ID)
		if err != nil {
			return false, err
		}
		if !known || st.Joining {
			continue
		}
		covered := true
		for j, seq := range st.Received {
			covered = covered && mine[j].Seq >= seq
		}
		if covered {
			return true, nil
		}
	}
	return false, nil
}

// Run pulls what is lacking, and tends what is kept, until ctx ends; it returns nil then, or why it could not go on: the database
// or the store is damaged or can't be written.
func (t *Tenant) Run(ctx context.Context) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if err := t.tend(running); err != nil && running.Err() == nil {
			cancel(err)
		}
	})
	pulling := map[shoal.FolderID]bool{}
	for {
		for _, id := range t.IDs() {
			if pulling[id] {
				continue
			}
			pulling[id] = true
			wg.Go(func() {
				if err := t.pullFolder(running, id); err != nil && running.Err() == nil {
					cancel(fmt.Errorf("keep folder %s: %w", id, err))
				}
			})
		}
		select {
		case <-running.Done():
			if ctx.Err() != nil {
				return nil
			}
			return context.Cause(running) // whatever it says: a vault that has stopped working must not go on as if it had not
		case <-t.news:
		}
	}
}

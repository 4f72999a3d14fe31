package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// Roster is the mesh's roster; *rosterfile.Store is one.
type Roster interface {
	Heads() []mesh.Hash
	Since(heads []mesh.Hash) [][]byte
	// Add takes in statements, and returns when those that were new are durable here.
	Add(raw [][]byte) (grew bool, err error)
}

// Settings are the part of a tenant's settings that all processes share.
type Settings interface {
	Shared() ([]byte, error)
	AdoptShared(raw []byte) error
}

// Keeping is the tenant that a replica is the ledger's side of. Methods are called one at a time.
type Keeping interface {
	// IDs are the folders that are kept.
	IDs() []shoal.FolderID
	// OpenFolders opens folders that the roster names since it grew.
	OpenFolders(ctx context.Context) error
	// Recheck pins every block that counts as being in the store, and finds out which are not there.
	Recheck(ctx context.Context) error
	// Lost is told that the last copy of a block was found damaged, by another.
	Lost(ctx context.Context, f shoal.FolderID, ref block.EpochRef) error
	// Brought is told that entries brought something of a folder.
	Brought(f shoal.FolderID)
	// Told is told that the ledger has what is here of a folder.
	Told(f shoal.FolderID)
	// Ledger is told how talking to the bucket went; nil: well.
	Ledger(err error)
}

// Config says what a Replica is made of. All but Grew and Log is needed.
type Config struct {
	Ledger   *ledger.Log
	Self     shoal.DeviceID
	DB       *index.DB
	Folder   func(shoal.FolderID) (*index.Folder, error) // opens one of DB
	Roster   Roster
	Settings Settings
	Keeping  func() Keeping                                        // called after New
	Grew     func()                                                // the roster grew by an entry
	Busy     func() bool                                           // devices are connected
	Clock    func() time.Time                                      // the wall clock
	Temp     string                                                // a directory for what is uploaded
	Lease    func(ctx context.Context) (release func(), err error) // of making checkpoints; an error: another makes one, or it cannot be known
	Inline   int                                                   // bytes of a batch beyond which it goes into parts; 0: 4 MiB, which is the most
	Log      *slog.Logger
}

// Replica is the ledger's side of a tenant. Its methods are safe for concurrent use.
type Replica struct {
	cfg  Config
	turn chan struct{} // held by who reads or writes the ledger, one at a time
	wake chan struct{} // depth 1: something is to be told

	checkAt    uint32      // used by Run: the position at which it looks whether a checkpoint is due
	statements [][]byte    // guarded by turn: that are still to be told
	heads      []mesh.Hash // guarded by turn: the roster's, when these were listed

	mu    sync.Mutex
	state *state // guarded by mu; replaced whole, and only with turn held too
}

// How often the ledger is looked at.
const (
	// MaxUnclean is for how long blocks may have been counted on without the ledger saying why; the pin of a block is at least twice as long.
	MaxUnclean = 12 * time.Hour

	lookSoon  = time.Second
	lookBusy  = 4 * time.Second // at the latest, while devices are connected
	lookIdle  = time.Minute     // else
	saveClean = time.Hour       // how old the time of the last clean moment in the database may get
	readPage  = 16              // entries that are read at once
)

// New makes a replica from what its database says. Call Refresh before anything is served, and Run.
func New(c Config) (*Replica, error) {
	if c.Ledger == nil || c.DB == nil || c.Folder == nil || c.Roster == nil || c.Settings == nil || c.Keeping == nil || c.Clock == nil {
		return nil, fmt.Errorf("replica without one of its parts: %w", shoal.ErrInvalid)
	}
	if c.Grew == nil {
		c.Grew = func() {}
	}
	if c.Busy == nil {
		c.Busy = func() bool { return true }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Inline <= 0 || c.Inline > maxInline {
		c.Inline = maxInline
	}
	r := &Replica{cfg: c, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), state: newState(c.Ledger.Start())}
	raw, err := c.DB.Note(noteName)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		r.state.clean = c.Clock()
		return r, r.become(r.state)
	}
	r.state, err = decodeState(raw)
	return r, err
}

func (r *Replica) lock(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Replica) unlock() { <-r.turn }

func (r *Replica) now() *state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// become puts a new state into the place of the old one, durably. turn is held.
func (r *Replica) become(s *state) error {
	raw, err := s.encode()
	if err == nil {
		err = r.cfg.DB.PutNote(noteName, raw)
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.state = s
	r.mu.Unlock()
	return nil
}

// Wake says that something is to be told.
func (r *Replica) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Settings returns the settings as the ledger has them; nil: it has none yet.
func (r *Replica) Settings() []byte { return r.now().settings }

// Made returns when the newest entry that was applied was made, by its author's clock.
func (r *Replica) Made() time.Time { return r.now().made }

// Reach returns how much of each journal of a folder the ledger has, and whether it has everything that is here of the folder.
func (r *Replica) Reach(id shoal.FolderID, tx *index.Tx) (reach map[shoal.JournalID]shoal.Seq, all bool, err error) {
	told := r.now().told[id]
	all = true
	for j, p := range tx.Frontier() {
		all = all && told[j] >= p.Seq
	}
	if all {
		nodes, err := tx.UntoldNodes(1)
		return told, len(nodes) == 0, err
	}
	return told, all, nil
}

// Refresh applies what others told. Errors: ledger.ErrBehind: the database is too old, and must be loaded again; those of the bucket and the database.
func (r *Replica) Refresh(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	_, err := r.refresh(ctx)
	return err
}

// refresh is Refresh with turn held.
func (r *Replica) refresh(ctx context.Context) (some bool, err error) {
	for {
		links, err := r.cfg.Ledger.Read(ctx, r.state.at, readPage)
		if err != nil {
			return some, err
		}
		for _, l := range links {
			if err := r.apply(ctx, l); err != nil {
				return some, fmt.Errorf("apply entry %d: %w", l.After.Number, err)
			}
		}
		some = some || len(links) > 0
		if len(links) < readPage {
			return some, nil
		}
	}
}

// Sync applies what others told, and tells what is here, until the ledger has all of it.
func (r *Replica) Sync(ctx context.Context) error {
	_, err := r.sync(ctx)
	return err
}

func (r *Replica) sync(ctx context.Context) (some bool, err error) {
	if err := r.lock(ctx); err != nil {
		return false, err
	}
	defer r.unlock()
	for {
		came, err := r.refresh(ctx)
		some = some || came
		if err != nil {
			return some, err
		}
		n, err := r.collect(ctx)
		if err != nil {
			return some, err
		}
		if n.entry.Empty() {
			if err := r.forgetNodes(ctx, n); err != nil {
				return some, err
			}
			return some, r.noteClean(n)
		}
		some = true
		if err := r.tell(ctx, n); err != nil {
			return some, err
		}
	}
}

// noteClean notes that there is nothing to tell. turn is held.
func (r *Replica) noteClean(n *news) error {
	now := r.cfg.Clock()
	if n.transferring {
		return nil
	}
	if age := now.Sub(r.state.clean); age >= 0 && age < saveClean {
		return nil // older is safe
	}
	s := r.state.clone()
	s.clean = now
	return r.become(s)
}

// tell writes one entry. turn is held. What is told may have been lost to another's entry; the caller goes on until nothing is left.
func (r *Replica) tell(ctx context.Context, n *news) error {
	if away := r.cfg.Clock().Sub(r.state.clean); away > MaxUnclean || away < -MaxUnclean {
		if err := r.cfg.Keeping().Recheck(ctx); err != nil {
			return fmt.Errorf("look for all blocks again: %w", err)
		}
		s := r.state.clone()
		s.clean = r.cfg.Clock() // everything that is counted on is pinned since
		if err := r.become(s); err != nil {
			return err
		}
	}
	n.entry.By, n.entry.Made = r.cfg.Self, uint32(r.cfg.Clock().Unix())
	after, ok, err := r.cfg.Ledger.Append(ctx, r.state.at, n.entry)
	if err != nil || !ok {
		return errors.Join(err, n.drop(ctx))
	}
	return r.told(ctx, n, after)
}

// told notes what the ledger has since an entry of this process.
func (r *Replica) told(ctx context.Context, n *news, after ledger.Position) error {
	s := r.state.clone()
	s.at, s.made = after, time.Unix(int64(n.entry.Made), 0).UTC()
	touched := s.note(n.entry)
	r.statements = r.statements[len(n.entry.Statements):]
	if n.heads != nil {
		s.heads = n.heads
	}
	if err := r.forgetNodes(ctx, n); err != nil {
		return err
	}
	if err := r.become(s); err != nil {
		return err
	}
	slices.SortFunc(touched, func(a, b shoal.FolderID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(touched) {
		r.cfg.Keeping().Told(id)
	}
	return nil
}

// forgetNodes ends the noting of nodes that are told, or that nothing demands any more.
func (r *Replica) forgetNodes(ctx context.Context, n *news) error {
	for id, keys := range n.nodes {
		f, err := r.cfg.Folder(id)
		if err != nil {
			return err
		}
		if err := f.Update(context.WithoutCancel(ctx), func(tx *index.Tx) error { return tx.NodesTold(keys) }); err != nil {
			return err
		}
	}
	return nil
}

// note takes over what an entry says is told, and returns the folders that it is about.
func (s *state) note(e *ledger.Entry) (touched []shoal.FolderID) {
	if len(e.Settings) > 0 {
		s.settings = e.Settings
	}
	for i := range e.Batches {
		b := &e.Batches[i]
		s.tell(b.Folder, b.Journal, b.To)
		touched = append(touched, b.Folder)
	}
	for i := range e.Transfers {
		t := &e.Transfers[i]
		s.tell(t.Folder, t.Journal, t.To)
		touched = append(touched, t.Folder)
	}
	for _, f := range e.Whole {
		s.whole[f] = true
		touched = append(touched, f)
	}
	for _, n := range e.Nodes {
		touched = append(touched, n.Folder)
	}
	for _, l := range e.Lost {
		touched = append(touched, l.Folder)
	}
	return touched
}

// TellLost tells that the last copies of blocks were damaged, and deleted.
func (r *Replica) TellLost(ctx context.Context, f shoal.FolderID, refs []block.EpochRef) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	for {
		if _, err := r.refresh(ctx); err != nil {
			return err
		}
		n := &news{entry: &ledger.Entry{By: r.cfg.Self, Made: uint32(r.cfg.Clock().Unix())}}
		for _, ref := range refs {
			n.entry.Lost = append(n.entry.Lost, ledger.Lost{Folder: f, Block: ref})
		}
		after, ok, err := r.cfg.Ledger.Append(ctx, r.state.at, n.entry)
		if err != nil {
			return err
		}
		if ok {
			return r.told(ctx, n, after)
		}
	}
}

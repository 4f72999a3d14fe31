package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/eventlog"
	"github.com/shoalmesh/shoal/node/parts"
	"github.com/shoalmesh/shoal/node/reach"
	"github.com/shoalmesh/shoal/node/rosterfile"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/p2p"
)

type (
	settingsDoc       = settings.Settings
	settingsFolderDoc = settings.Folder
)

// Node is one running device. What is set once is built by open, in the order of the fields, and closed in reverse.
type Node struct {
	cfg Config
	log *slog.Logger

	home     *control.Home
	id       *mesh.Identity
	settings *settings.Store
	events   *eventlog.Log
	roster   *rosterfile.Store
	db       *index.DB
	host     *p2p.Host
	reach    *reach.Reach
	blocks   *blockexchange.Exchange
	exchange *indexexchange.Exchange

	small   *smallBlocks
	guests  guestDesk
	changed bell // something that a wait may hang on changed
	stop    context.CancelFunc
	traffic trafficMeter
	duties  duties
	seen    horizon
	vaults  vaultWatch
	created bool // this run made the mesh
	joining bool // this run joined one

	recovery *recovery             // this run brought one back; nil: it did not. Its fields belong to finishRecovery
	fatal    atomic.Pointer[error] // why the device had to end

	mu       sync.Mutex
	folders  map[shoal.FolderID]*folderRun // guarded by mu
	running  context.Context               // guarded by mu; of the folders; nil before they may start
	runs     sync.WaitGroup                // folders' goroutines
	rosterCh chan struct{}                 // depth 1: the roster grew
}

// Run makes or joins a mesh if this home is new, then runs the device until ctx ends or it is told to stop. Errors that a person can do something
// about are *control.Error. A database that turns out to be damaged while it is used is moved aside, and the device begins again with a new one.
func Run(ctx context.Context, c Config) error {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return control.Errorf(control.CodeUsage, "%w", err)
	}
	for {
		err := runOnce(ctx, c)
		var damaged *index.DamagedError
		if !errors.As(err, &damaged) || ctx.Err() != nil {
			return err
		}
		if err := moveAside(c.file(databaseFile), err, c.Log); err != nil {
			return err
		}
		c.Join, c.Recover, c.Ready = "", nil, func(control.Started) {}
	}
}

func runOnce(ctx context.Context, c Config) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	n := &Node{cfg: c, log: c.Log, small: newSmallBlocks(), vaults: newVaultWatch(), folders: map[shoal.FolderID]*folderRun{}, stop: stop, rosterCh: make(chan struct{}, 1)}
	defer func() { err = errors.Join(err, n.close()) }()
	if err := n.open(ctx); err != nil {
		return err
	}
	if err := n.run(ctx); err != nil {
		return err
	}
	if fatal := n.fatal.Load(); fatal != nil {
		return *fatal
	}
	return nil
}

// fail ends the device because of err.
func (n *Node) fail(err error) {
	n.fatal.CompareAndSwap(nil, &err)
	n.stop()
}

// moveAside keeps a damaged database for whoever wants to look at it.
func moveAside(path string, why error, log *slog.Logger) error {
	aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000"))
	log.Error("the database is damaged; it is kept aside and rebuilt from the disk and from other devices", "err", why, "aside", aside)
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("move the damaged database aside: %w", err)
	}
	return nil
}

// open builds everything that does not run yet.
func (n *Node) open(ctx context.Context) (err error) {
	if n.home, err = control.OpenHome(n.cfg.Home); err != nil {
		return err
	}
	if n.id, err = n.loadIdentity(); err != nil {
		return err
	}
	if n.settings, err = settings.Open(n.cfg.file(settingsFile)); err != nil {
		return err
	}
	if n.events, err = eventlog.Open(n.cfg.file(eventsFile), time.Now); err != nil {
		return err
	}
	if n.roster, err = rosterfile.Open(n.cfg.file(rosterFile), n.id, n.duties.told(dutyRoster)); err != nil {
		return err
	}
	if cut := n.roster.Cut(); cut != "" {
		n.event(control.Event{Kind: control.EventProblem, Message: "The end of the roster could not be read. It is kept in " + cut + "; other devices give what is missing again."})
	}
	fresh := n.roster.State().Mesh() == (shoal.MeshID{})
	if fresh && n.cfg.Service {
		return control.Errorf(control.CodeFailed, "this home holds no device yet: run `shoal up` once first")
	}
	if n.host, err = p2p.New(p2p.Config{
		Identity: n.id, Listen: n.cfg.Listen, MDNS: !n.cfg.NoMDNS, PortMap: true, DHT: n.hashTable(), Log: n.log, Gate: n.admits, Tells: n.trusts,
		RelayBetween: func(a, b shoal.DeviceID) bool { return n.trusts(a) && n.trusts(b) },
	}); err != nil {
		return fmt.Errorf("start the network: %w", err)
	}
	n.reach = &reach.Reach{Self: n.self(), Host: n.host, Roster: n.roster.State, Settings: n.settings, Bootstrap: n.cfg.Bootstrap}
	switch {
	case fresh && n.cfg.Join != "":
		err = n.join(ctx)
	case fresh && n.cfg.Recover != nil:
		err = n.recover(ctx)
	case n.cfg.Recover != nil:
		err = n.recoverKeys()
	case fresh:
		err = n.create()
	case n.cfg.Join != "":
		err = control.Errorf(control.CodeUsage, "this device is in a mesh already; use another --home to make a second device")
	}
	if err != nil {
		return err
	}
	if err := n.openDatabase(fresh); err != nil {
		return err
	}
	n.openExchanges()
	return nil
}

func (n *Node) loadIdentity() (*mesh.Identity, error) {
	id, err := mesh.LoadIdentity(n.cfg.file(keyFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if id, err = mesh.NewIdentity(rand.Reader); err != nil {
		return nil, err
	}
	return id, id.Save(n.cfg.file(keyFile))
}

// openDatabase opens the index; a damaged one is moved aside and rebuilt from disk and peers, in a new journal. A fresh device has none yet.
func (n *Node) openDatabase(fresh bool) error {
	path := n.cfg.file(databaseFile)
	_, statErr := os.Stat(path)
	lost := !fresh && errors.Is(statErr, fs.ErrNotExist) && len(n.settings.Get().Folders) > 0
	db, err := index.Open(path, index.Options{})
	var damaged *index.DamagedError
	if errors.As(err, &damaged) {
		if err := moveAside(path, err, n.log); err != nil {
			return err
		}
		lost = true
		db, err = index.Open(path, index.Options{})
	}
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	n.db = db
	if lost {
		n.event(control.Event{Kind: control.EventProblem, Message: "The database was lost or damaged. It is rebuilt from the disk and from other devices."})
		return n.settings.Update(func(s *settingsDoc) {
			for i := range s.Folders {
				s.Folders[i].Joined = false
			}
		})
	}
	return nil
}

func (n *Node) openExchanges() {
	n.blocks = blockexchange.New(blockexchange.Config{
		Host: n.host, Source: blockSource{n}, Nodes: blockSource{n}, Keys: n.roster.Keys, IsKeeper: n.isVault, Log: n.log, Effects: n.vaults.effects(n),
		Allow: func(dev shoal.DeviceID, _ shoal.FolderID) bool { return n.trusts(dev) },
	})
	n.exchange = indexexchange.New(indexexchange.Config{
		Device: n.self(), Host: n.host, Folders: folderSet{n}, Roster: rosterDoor{n}, Small: n, Log: n.log,
		Standing: n.standing, Allow: n.trusts,
		Effects: indexexchange.Effects{
			Changed: n.recordsCame, Proof: n.journalShown, Rival: n.rivalShown,
			Status: func(shoal.FolderID, shoal.DeviceID) { n.changed.ring() },
			Fork:   n.forked,
			Signed: func(f shoal.FolderID, err error) { n.duties.ended(dutyKey{dutyStatus, f}, err) },
			LeftOut: func(peer shoal.DeviceID, reason error) {
				n.event(control.Event{Kind: control.EventProblem, Device: n.deviceName(peer), Message: "is not asked for records any more for now: " + reason.Error()})
			},
		},
	})
}

// run starts everything, says that it is ready, and waits for the end.
func (n *Node) run(ctx context.Context) error {
	listener, err := n.home.Listen()
	if err != nil {
		return err
	}
	server, err := control.NewServer(n.backend(), n.log)
	if err != nil {
		return err
	}
	n.host.SetMesh(n.roster.State().Mesh())
	n.host.SetAdmitter(n.admit)
	n.host.ServeRecovery(rosterfile.RecoveryDoor{Store: n.roster, Grew: n.rosterGrew})
	n.host.SetRendezvous(n.rendezvous())

	g := parts.New(ctx)
	folderCtx, stopFolders := context.WithCancel(g.Context())
	defer stopFolders()
	g.Keep("network", n.host.Run)
	g.Keep("block exchange", n.blocks.Run)
	g.Keep("index exchange", n.exchange.Run)
	g.Keep("links", n.followLinks)
	g.Keep("vaults", n.watchVaults)
	g.Keep("roster", n.followRoster)
	g.Run("memory", n.giveBack)
	g.Keep("heads", n.keepHeadsFresh)
	g.Run("control", func(ctx context.Context) error { return server.Serve(ctx, listener) })
	if err := n.startFolders(folderCtx); err != nil {
		n.fail(err)
	}
	n.setMembers()
	g.Run("first steps", n.firstSteps)
	g.Run("recovery", n.finishRecovery)
	err = g.Wait()
	stopFolders()
	n.runs.Wait()
	n.rememberAddresses()
	return err
}

// close gives everything back, in reverse.
func (n *Node) close() error {
	var errs []error
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.db != nil {
		errs = append(errs, n.db.Close())
	}
	if n.roster != nil {
		errs = append(errs, n.roster.Close())
	}
	if n.events != nil {
		errs = append(errs, n.events.Close())
	}
	if n.home != nil {
		errs = append(errs, n.home.Close())
	}
	return errors.Join(errs...)
}

func (n *Node) self() shoal.DeviceID { return n.id.Device() }

func (n *Node) event(e control.Event) { n.events.Add(e) }

// admits is the network's gate: who is, or was, in the mesh may talk to this device. Those that were revoked get the roster and nothing else (trusts): they
// must learn of it, and of two owners who revoke each other at once both must hear the other's word.
func (n *Node) admits(dev shoal.DeviceID) bool {
	_, known := n.roster.State().Device(dev)
	return known
}

// trusts tells whether a device may have records and blocks: it and this one are in the mesh.
func (n *Node) trusts(dev shoal.DeviceID) bool {
	s := n.roster.State()
	return s.Admitted(dev) && s.Admitted(n.self())
}

// others are the devices of the mesh but this one, without those that were revoked.
func (n *Node) others() []mesh.Device {
	var out []mesh.Device
	for _, d := range n.roster.State().Devices() {
		if d.ID != n.self() && !d.Revoked {
			out = append(out, d)
		}
	}
	return out
}

func (n *Node) deviceName(id shoal.DeviceID) string {
	if d, ok := n.roster.State().Device(id); ok {
		return d.Name
	}
	return id.Short()
}

// blockSource serves blocks from the folders.
type blockSource struct{ n *Node }

func (s blockSource) Block(ctx context.Context, w blockexchange.Want, buf []byte) ([]byte, error) {
	data, err := s.n.readBlock(ctx, w.Folder, folder.Want{
		Block: w.Block, Size: w.Size, Epoch: w.Epoch, Record: w.Hint.Record, Index: w.Hint.Index, Part: w.Hint.Part,
	}, buf)
	if err != nil {
		return nil, blockexchange.ErrAbsent
	}
	return data, nil
}

// Node makes a reference node of a long file, for a vault.
func (s blockSource) Node(ctx context.Context, w blockexchange.Want) ([]byte, error) {
	run := s.n.folder(w.Folder)
	if run == nil {
		return nil, blockexchange.ErrAbsent
	}
	open := run.current.Load()
	if open == nil {
		return nil, blockexchange.ErrAbsent
	}
	data, err := open.engine.RefNode(ctx, w.Hint.Record, [32]byte(w.Block))
	if errors.Is(err, folder.ErrAbsent) {
		return nil, blockexchange.ErrAbsent
	}
	return data, err
}

// isVault tells whether a device is a vault, which can't check what it serves.
func (n *Node) isVault(dev shoal.DeviceID) bool {
	d, known := n.roster.State().Device(dev)
	return known && d.Role == mesh.RoleVault
}

// readBlock reads a block of a folder on this disk. The result may share buf, which has w.Size bytes.
func (n *Node) readBlock(ctx context.Context, f shoal.FolderID, w folder.Want, buf []byte) ([]byte, error) {
	run := n.folder(f)
	if run == nil || w.Size > block.MaxSize {
		return nil, blockexchange.ErrAbsent
	}
	open := run.current.Load()
	if open == nil {
		return nil, blockexchange.ErrAbsent
	}
	return open.engine.Block(ctx, w, buf)
}

package keeper

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/packstore"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
	"github.com/shoalmesh/shoal/node/eventlog"
	"github.com/shoalmesh/shoal/node/rosterfile"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
	"github.com/shoalmesh/shoal/vault/ledger"
	"github.com/shoalmesh/shoal/vault/replica"
)

// keeper is one running vault. What is set once is built by open, in the order of the fields, and closed in reverse.
type keeper struct {
	cfg Config
	log *slog.Logger

	home     *control.Home
	id       *mesh.Identity
	settings *settings.Store
	events   *eventlog.Log
	roster   *rosterfile.Store
	host     *p2p.Host
	db       *index.DB
	packs    packs
	tenant   *vault.Tenant
	blocks   *blockexchange.Exchange
	exchange *indexexchange.Exchange

	// Of a vault in a bucket; else zero.
	target  s3store.Target
	shared  vault.SharedPacks
	objects *s3store.Objects
	hold    *holder
	beat    sync.WaitGroup     // the goroutine that renews hold
	unbeat  context.CancelFunc // ends it; nil: it was not started
	lost    error              // why it ended by itself; read after beat
	replica *replica.Replica

	stop     context.CancelFunc
	rosterCh chan struct{} // depth 1: the roster grew
	joined   bool          // this run joined a mesh
}

// packs is a block store that is closed at the end.
type packs interface {
	vault.Packs
	Close() error
}

// inFlight is how many bytes are asked for at once: a vault does not know how big blocks are, so each counts as the biggest.
const inFlight = 64 << 20

// Run joins a mesh if this data folder is new, then runs the vault until ctx ends or it is told to stop. Errors that a person can do something
// about are *control.Error.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return control.Errorf(control.CodeUsage, "%w", err)
	}
	for {
		err = runOnce(ctx, c)
		if !errors.Is(err, ledger.ErrBehind) || ctx.Err() != nil {
			return err
		}
		// It slept while others made a checkpoint: what it has is too old, and comes from the bucket again.
		c.Log.Warn("the vault begins anew from the bucket", "err", err)
		c.Join, c.Ready = "", func(control.Started) {}
	}
}

func runOnce(ctx context.Context, c Config) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	k := &keeper{cfg: c, log: c.Log, stop: stop, rosterCh: make(chan struct{}, 1)}
	defer func() { err = errors.Join(err, k.endHolding(), k.close()) }()
	if err := k.open(ctx); err != nil {
		return err
	}
	return k.run(ctx)
}

// open builds everything that does not run yet.
func (k *keeper) open(ctx context.Context) (err error) {
	if k.home, err = control.OpenHome(k.cfg.Data); err != nil {
		return err
	}
	if err := k.openIdentity(ctx); err != nil {
		return err
	}
	if k.settings, err = settings.Open(k.cfg.file(settingsFile)); err != nil {
		return err
	}
	if k.events, err = eventlog.Open(k.cfg.file(eventsFile), time.Now); err != nil {
		return err
	}
	if k.roster, err = rosterfile.Open(k.cfg.file(rosterFile), k.id, nil); err != nil {
		return err
	}
	if k.inBucket() {
		if err := k.recallRoster(ctx); err != nil {
			return k.bucketError(err)
		}
	}
	table, err := k.hashTable()
	if err != nil {
		return err
	}
	if k.host, err = p2p.New(p2p.Config{
		Identity: k.id, Listen: k.cfg.Listen, MDNS: !k.cfg.NoMDNS, PortMap: true, DHT: table, Log: k.log, Gate: k.knows,
		Relay: true, RelayBetween: func(a, b shoal.DeviceID) bool { return k.trusts(a) && k.trusts(b) },
	}); err != nil {
		return fmt.Errorf("start the network: %w", err)
	}
	if err := k.enter(ctx); err != nil {
		return err
	}
	if k.inBucket() {
		if err := errors.Join(k.saveSlot(ctx), k.openShared(ctx)); err != nil {
			return k.bucketError(err)
		}
	} else if err := k.openTenant(ctx); err != nil {
		return err
	}
	k.openExchanges()
	return nil
}

// openIdentity becomes the vault that the data folder, or the bucket, says.
func (k *keeper) openIdentity(ctx context.Context) (err error) {
	if k.cfg.Bucket != "" {
		if k.target, err = s3store.ParseURL(k.cfg.Bucket); err != nil {
			return err
		}
	}
	if err := k.checkFolder(); err != nil {
		return err
	}
	if k.inBucket() {
		if err := k.openBucket(ctx); err != nil {
			return k.bucketError(err)
		}
	}
	if k.id, err = k.loadIdentity(); err != nil {
		return err
	}
	if k.inBucket() {
		if err := k.holdOwn(ctx); err != nil {
			return k.bucketError(err)
		}
		k.startHolding(ctx)
	}
	return nil
}

func (k *keeper) inBucket() bool { return k.cfg.Bucket != "" }

// hashTable says how the vault serves the table in which members find each other. It has no keys, so it leaves no record there and looks for nobody.
func (k *keeper) hashTable() (p2p.DHT, error) {
	t := p2p.DHT{On: !k.cfg.NoDHT, Serve: true, Bootstrap: append(slices.Clone(k.cfg.Bootstrap), k.settings.Get().Entries...)}
	if k.cfg.NoDHT {
		return t, nil
	}
	t.Seed = new([32]byte)
	saved, err := os.ReadFile(k.cfg.file(seedFile))
	switch {
	case err == nil && len(saved) == len(t.Seed):
		copy(t.Seed[:], saved)
		return t, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return t, err
	}
	if _, err := rand.Read(t.Seed[:]); err != nil {
		return t, err
	}
	return t, durable.Replace(k.cfg.file(seedFile), t.Seed[:])
}

func (k *keeper) loadIdentity() (*mesh.Identity, error) {
	id, err := mesh.LoadIdentity(k.cfg.file(keyFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if id, err = mesh.NewIdentity(rand.Reader); err != nil {
		return nil, err
	}
	return id, id.Save(k.cfg.file(keyFile))
}

// openTenant opens what is kept. A database that is damaged stops the vault: what superseded records it held is nowhere else, so a person
// decides (docs/vault.md).
func (k *keeper) openTenant(ctx context.Context) (err error) {
	if k.db, err = index.Open(k.cfg.file(databaseFile), index.Options{}); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	store, err := packstore.Open(ctx, packstore.Config{Dir: k.cfg.file(packFolder), Rand: rand.Reader})
	if err != nil {
		return err
	}
	k.packs = store
	vs, err := k.vaultSettings()
	if err != nil {
		return err
	}
	k.tenant, err = vault.New(k.tenantConfig(vs))
	return err
}

func (k *keeper) vaultSettings() (*vault.Settings, error) {
	saved, err := os.ReadFile(k.cfg.file(vaultFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return vault.NewSettings(saved, k.cfg.Minimum, func(raw []byte) error { return durable.Replace(k.cfg.file(vaultFile), raw) })
}

func (k *keeper) tenantConfig(vs *vault.Settings) vault.Config {
	return vault.Config{
		Mesh: k.roster.State().Mesh(), Identity: k.id, Roster: k.roster.State, DB: k.db, Packs: k.packs, Settings: vs, Log: k.log,
		Fetcher: func() vault.Fetcher { return k.blocks },
		Changed: func(f shoal.FolderID) {
			if k.exchange != nil {
				k.exchange.Notify(f)
			}
		},
	}
}

func (k *keeper) openExchanges() {
	k.blocks = blockexchange.New(blockexchange.Config{
		Host: k.host, Keeper: k.tenant, IsKeeper: k.isVault, Log: k.log, Limits: blockexchange.Limits{InFlight: inFlight, PerPeer: inFlight},
		Allow: func(dev shoal.DeviceID, _ shoal.FolderID) bool { return k.trusts(dev) },
	})
	k.exchange = indexexchange.New(indexexchange.Config{
		Device: k.id.Device(), Host: k.host, Folders: k.tenant, Roster: rosterDoor{k}, Log: k.log,
		Standing: k.tenant.Standing, Allow: k.trusts,
		Effects: indexexchange.Effects{
			Changed: func(f shoal.FolderID, _ index.Accepted) { k.tenant.RecordsCame(f) },
			Fork: func(_ shoal.FolderID, fork *index.ForkError) {
				k.log.Error("a device signed two histories", "device", fork.Journal.Device)
			},
			// A status may tell that the vault has all that a device has; its own says so then.
			Status: func(f shoal.FolderID, _ shoal.DeviceID) {
				if k.tenant.Young(f) {
					k.exchange.Notify(f)
				}
			},
		},
	})
}

// run starts everything, says that it is ready, and waits for the end.
func (k *keeper) run(ctx context.Context) error {
	listener, err := k.home.Listen()
	if err != nil {
		return err
	}
	server, err := control.NewVaultServer(k, eventSource{k}, k, k.log)
	if err != nil {
		return err
	}
	k.host.SetMesh(k.roster.State().Mesh())
	k.host.ServeRecovery(rosterfile.RecoveryDoor{Store: k.roster, Grew: k.rosterGrew})
	k.host.SetRendezvous(p2p.Rendezvous{})
	g := newGroup(ctx)
	g.run("network", k.host.Run)
	g.run("block exchange", k.blocks.Run)
	g.run("index exchange", k.exchange.Run)
	g.run("links", k.followLinks)
	g.run("roster", k.followRoster)
	g.run("tenant", k.tenant.Run)
	if k.inBucket() {
		g.run("ledger", k.replica.Run)
	}
	g.run("control", func(ctx context.Context) error { return server.Serve(ctx, listener) })
	k.setMembers()
	k.events.Add(control.Event{Kind: control.EventStarted, Message: "The vault runs."})
	k.cfg.Ready(control.Started{Device: k.id.Device().String(), Name: k.name(k.id.Device()), Addresses: k.host.Addrs(), Joined: k.joined})
	err = g.wait()
	k.rememberAddresses()
	if k.inBucket() {
		k.leaveBucket(ctx)
	}
	return err
}

// close gives everything back, in reverse.
func (k *keeper) close() error {
	var errs []error
	if k.host != nil {
		errs = append(errs, k.host.Close())
	}
	if k.packs != nil {
		errs = append(errs, k.packs.Close())
	}
	if k.db != nil {
		errs = append(errs, k.db.Close())
	}
	if k.roster != nil {
		errs = append(errs, k.roster.Close())
	}
	if k.events != nil {
		errs = append(errs, k.events.Close())
	}
	if k.home != nil {
		errs = append(errs, k.home.Close())
	}
	return errors.Join(errs...)
}

// group runs the long-lived parts. When one ends with an error, all are told to end; wait returns when they have.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	errs []error // guarded by mu
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

func (g *group) run(name string, fn func(ctx context.Context) error) {
	g.wg.Go(func() {
		err := fn(g.ctx)
		if err == nil || errors.Is(err, context.Canceled) && g.ctx.Err() != nil {
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, fmt.Errorf("%s: %w", name, err))
		g.cancel()
	})
}

func (g *group) wait() error {
	g.wg.Wait()
	g.cancel()
	return errors.Join(g.errs...)
}

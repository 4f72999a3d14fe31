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

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/packstore"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/durable"
	"github.com/shoalmesh/shoal/node/eventlog"
	"github.com/shoalmesh/shoal/node/parts"
	"github.com/shoalmesh/shoal/node/reach"
	"github.com/shoalmesh/shoal/node/rosterfile"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
	"github.com/shoalmesh/shoal/vault/replica"
)

// keeper is one tenant that runs: the vault of one mesh, with a network, keys and a store of its own. What is set once is built by open, in
// the order of the fields, and closed in reverse.
type keeper struct {
	cfg  Config         // the process's, with this tenant's folder and addresses
	room func(int) bool // what the whole process may still keep
	log  *slog.Logger

	id       *mesh.Identity
	settings *settings.Store
	events   *eventlog.Log // of the process
	roster   *rosterfile.Store
	host     *p2p.Host
	reach    *reach.Reach
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

	stop     context.CancelFunc // ends this tenant
	rosterCh chan struct{}      // depth 1: the roster grew
	joined   bool               // this run joined a mesh
}

// packs is a block store that is closed at the end.
type packs interface {
	vault.Packs
	Close() error
}

// inFlight is how many bytes are asked for at once: a vault does not know how big blocks are, so each counts as the biggest.
const inFlight = 64 << 20

// open builds everything that does not run yet.
func (k *keeper) open(ctx context.Context) (err error) {
	if err := k.openIdentity(ctx); err != nil {
		return err
	}
	if k.settings, err = settings.Open(k.cfg.file(settingsFile)); err != nil {
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
	if err := k.openHost(); err != nil {
		return fmt.Errorf("start the network: %w", err)
	}
	k.reach = &reach.Reach{Self: k.id.Device(), Host: k.host, Roster: k.roster.State, Settings: k.settings, Bootstrap: k.cfg.Bootstrap}
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

// openHost binds the ports. If those that the tenant should have are taken, any will do: its members find it again.
func (k *keeper) openHost() error {
	table, err := k.hashTable()
	if err != nil {
		return err
	}
	c := p2p.Config{
		Identity: k.id, Listen: k.cfg.Listen, MDNS: !k.cfg.NoMDNS, PortMap: true, DHT: table, Log: k.log, Gate: k.knows, Tells: k.trusts,
		Relay: true, RelayBetween: func(a, b shoal.DeviceID) bool { return k.trusts(a) && k.trusts(b) },
	}
	if k.host, err = p2p.New(c); err != nil && k.cfg.slot > 0 && c.Listen != nil {
		k.log.Warn("the tenant's ports are taken; it listens on others", "err", err)
		c.Listen = anyPort(c.Listen)
		k.host, err = p2p.New(c)
	}
	return err
}

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
		Fetcher: func() vault.Fetcher { return k.blocks }, Room: k.room,
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

// run runs everything until ctx ends, or something can't go on.
func (k *keeper) run(ctx context.Context) error {
	k.host.SetMesh(k.roster.State().Mesh())
	k.host.ServeRecovery(rosterfile.RecoveryDoor{Store: k.roster, Grew: k.rosterGrew})
	k.host.SetRendezvous(p2p.Rendezvous{})
	g := parts.New(ctx)
	g.Keep("network", k.host.Run)
	g.Keep("block exchange", k.blocks.Run)
	g.Keep("index exchange", k.exchange.Run)
	g.Keep("links", k.followLinks)
	g.Keep("roster", k.followRoster)
	g.Keep("tenant", k.tenant.Run)
	if k.inBucket() {
		g.Keep("ledger", k.replica.Run)
	}
	k.reach.SetMembers()
	err := g.Wait()
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
	return errors.Join(errs...)
}

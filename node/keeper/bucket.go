package keeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/vault"
	"github.com/shoalmesh/shoal/vault/ledger"
	"github.com/shoalmesh/shoal/vault/replica"
)

// The files of a data folder that is the cache of a bucket.
const (
	bucketFile  = "bucket" // which one
	holdFile    = "hold"   // under which name this folder's last process held its slot
	cacheFolder = "blocks" // of the block store
	loadedFile  = "index.db.loaded"
)

// CacheFolder returns the folder in which a vault keeps what it can get from a bucket again, unless it is told another. Error: control.CodeUsage: it is no URL of a bucket.
func CacheFolder(bucketURL string) (string, error) {
	target, err := s3store.ParseURL(bucketURL)
	if err != nil {
		return "", control.Errorf(control.CodeUsage, "--s3: %w", err)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", control.Errorf(control.CodeUsage, "no folder for the cache: give one with --data: %w", err)
	}
	sum := blake3.Sum256([]byte(bucketPlace(target)))
	return filepath.Join(dir, "shoal", "vault-"+hex.EncodeToString(sum[:8])), nil
}

// bucketPlace names a bucket and a prefix.
func bucketPlace(t s3store.Target) string { return t.Endpoint + "/" + t.Bucket + "/" + t.Prefix }

func (k *keeper) now() time.Time { return time.Now() }

// checkFolder refuses a data folder of another kind.
func checkFolder(c *Config) error {
	was, err := os.ReadFile(c.file(bucketFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.Bucket == "" {
		if len(was) > 0 {
			return control.Errorf(control.CodeUsage, "the data of this vault lies in the bucket %s: give it with --s3", was)
		}
		return nil
	}
	target, err := s3store.ParseURL(c.Bucket)
	if err != nil {
		return err
	}
	switch {
	case len(was) > 0 && string(was) != bucketPlace(target):
		return control.Errorf(control.CodeUsage, "this folder belongs to the bucket %s: give another one with --data", was)
	case len(was) > 0:
		return nil
	}
	for _, name := range []string{packFolder, databaseFile, keyFile, tenantsFolder} {
		if _, err := os.Lstat(c.file(name)); err == nil {
			return control.Errorf(control.CodeUsage, "%s holds a vault or a device already: give another folder with --data", c.Data)
		}
	}
	return durable.Replace(c.file(bucketFile), []byte(bucketPlace(target)))
}

// bucketError says what a person can do about a bucket that cannot be used.
func (k *keeper) bucketError(err error) error {
	var own *control.Error
	switch {
	case err == nil || errors.As(err, &own) || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, s3store.ErrNoBucket), errors.Is(err, s3store.ErrCredentials), errors.Is(err, s3store.ErrUnsupported),
		errors.Is(err, s3store.ErrClock):
		return control.Errorf(control.CodeUsage, "bucket %s: %w", bucketPlace(k.target), err)
	case errors.Is(err, s3store.ErrDamaged), errors.Is(err, ledger.ErrDamaged):
		return control.Errorf(control.CodeConflict, "bucket %s holds something else under this prefix, or what a vault kept there is damaged; use another prefix, or repair it: %w", bucketPlace(k.target), err)
	}
	return control.Errorf(control.CodeFailed, "bucket %s: %w", bucketPlace(k.target), err)
}

// openBucket opens the block store and takes the identity: that of the data folder, or one that nobody is any more.
func (k *keeper) openBucket(ctx context.Context) error {
	var err error
	if k.target, err = s3store.ParseURL(k.cfg.Bucket); err != nil {
		return err
	}
	store, err := s3store.Open(ctx, s3store.Config{
		Target: k.target, Dir: k.cfg.file(cacheFolder), Rand: rand.Reader, Now: time.Now, Pin: vault.PinTime, Tries: bucketTries,
	})
	if err != nil {
		return err
	}
	k.packs, k.shared, k.objects = store, store, store.Objects()
	if _, err := os.Lstat(k.cfg.file(keyFile)); errors.Is(err, fs.ErrNotExist) && k.cfg.Join == "" {
		if err := k.takeSlot(ctx); err != nil {
			return err
		}
		if k.hold == nil {
			return control.Errorf(control.CodeUsage, "nothing is kept in this bucket yet: make a ticket with `shoal invite --role vault` on an owner's device, and give it with --join")
		}
	}
	return nil
}

// bucketTries is how often a request is tried before there is trouble: about ten seconds.
const bucketTries = 8

// recallRoster fills the roster of a data folder that is new from the bucket.
func (k *keeper) recallRoster(ctx context.Context) error {
	if k.roster.State().Mesh() != (shoal.MeshID{}) {
		return nil
	}
	raw, err := k.readSlot(ctx, k.id.Device().String())
	if errors.Is(err, s3store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	id, err := parseMesh(raw.Mesh)
	if err != nil {
		return err
	}
	k.cfg.Progress("Reading the roster from the bucket …")
	log, err := ledger.Open(ctx, id, k.objects, rand.Reader)
	if err != nil {
		return err
	}
	r := mesh.NewRoster()
	if err := replica.Statements(ctx, log, func(statements [][]byte) error {
		for _, st := range statements {
			_, _ = r.Add(st) // one that does not count was refused by those who wrote it down, too
		}
		return nil
	}); err != nil {
		return err
	}
	if r.Mesh() != id {
		return fmt.Errorf("roster of mesh %s: %w", id, ledger.ErrDamaged)
	}
	if err := k.settings.Update(func(s *settings.Settings) { s.Name = raw.Name }); err != nil {
		return err
	}
	return k.roster.Replace(r)
}

// openShared opens what this process keeps of the mesh, and brings it up to the ledger.
func (k *keeper) openShared(ctx context.Context) error {
	log, err := ledger.Open(ctx, k.roster.State().Mesh(), k.objects, rand.Reader)
	if err != nil {
		return err
	}
	for again := false; ; again = true {
		err := k.openReplica(ctx, log)
		_, damaged := errors.AsType[*index.DamagedError](err)
		if !again && (damaged || errors.Is(err, ledger.ErrBehind)) {
			// The database is a copy of what the bucket has. What of it was not told yet nobody was promised.
			k.log.Warn("the database is made anew from the bucket", "err", err)
			if k.db != nil {
				err = k.db.Close()
				k.db = nil
			}
			if err = errors.Join(ignoreClosed(err), removeIfThere(k.cfg.file(databaseFile))); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

func ignoreClosed(err error) error {
	if _, damaged := errors.AsType[*index.DamagedError](err); damaged || errors.Is(err, ledger.ErrBehind) {
		return nil
	}
	return err
}

func (k *keeper) openReplica(ctx context.Context, log *ledger.Log) (err error) {
	k.tenant, k.replica = nil, nil
	if err := k.loadDatabase(ctx, log); err != nil {
		return err
	}
	if k.db, err = index.Open(k.cfg.file(databaseFile), index.Options{}); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	vs, err := k.vaultSettings()
	if err != nil {
		return err
	}
	c := k.tenantConfig(vs)
	c.Shared = k.shared
	c.Others = func() vault.Others {
		if k.replica == nil {
			return nil
		}
		return k.replica
	}
	if k.tenant, err = vault.New(c); err != nil {
		return err
	}
	if k.replica, err = replica.New(replica.Config{
		Ledger: log, Self: k.id.Device(), DB: k.db, Folder: k.tenant.Open, Roster: k.roster, Settings: vs, Keeping: func() replica.Keeping { return k.tenant },
		Grew: k.rosterGrew, Busy: func() bool { return len(k.host.Peers()) > 0 }, Clock: time.Now, Temp: k.cfg.Data, Log: k.log,
		Lease: k.checkpointLease,
	}); err != nil {
		return err
	}
	if shared := k.replica.Settings(); len(shared) > 0 { // what was chosen here and not told nobody was promised
		if err := vs.AdoptShared(shared); err != nil {
			return err
		}
	}
	if err := k.replica.Refresh(ctx); err != nil {
		return err
	}
	if vs.Get().Scrub.IsZero() { // others may have read everything a moment ago
		if err := vs.Update(func(s *vault.State) error { s.Scrub = k.now(); return nil }); err != nil {
			return err
		}
	}
	return vs.SawClock(k.replica.Made())
}

// loadDatabase gets the database from the newest checkpoint if there is none here.
func (k *keeper) loadDatabase(ctx context.Context, log *ledger.Log) error {
	if _, err := os.Lstat(k.cfg.file(databaseFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	loaded := k.cfg.file(loadedFile)
	if err := removeIfThere(loaded); err != nil {
		return err
	}
	found, err := replica.Load(ctx, log, loaded, func(statements [][]byte) error {
		_, err := k.roster.Add(statements)
		return err
	})
	if err != nil || !found {
		return err
	}
	db, err := index.Open(loaded, index.Options{})
	if err != nil {
		return fmt.Errorf("open the database from the bucket: %w", err)
	}
	c := k.tenantConfig(nil)
	c.Shared = k.shared
	if err := errors.Join(db.Inherit(ctx, vault.FolderConfig(&c)), db.Close()); err != nil {
		return err
	}
	return os.Rename(loaded, k.cfg.file(databaseFile))
}

// checkpointLease lets one process at a time make a checkpoint.
func (k *keeper) checkpointLease(ctx context.Context) (release func(), err error) {
	m := k.roster.State().Mesh()
	l, err := k.objects.Acquire(ctx, "leases/"+hex.EncodeToString(m[:]), time.Hour)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := l.Release(context.WithoutCancel(ctx)); err != nil {
			k.log.Warn("give back the lease of checkpoints", "err", err)
		}
	}, nil
}

// goodbye is how long a process that ends takes to tell the others what is left, and to give its slot back.
const goodbye = 20 * time.Second

// leaveBucket tells the others what they do not know yet, and gives the slot back.
func (k *keeper) leaveBucket(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if err := k.replica.Sync(ctx); err != nil {
		k.log.Warn("tell the ledger what is left", "err", err)
	}
	if k.endHolding() != nil {
		return // another is this vault now
	}
	if err := k.hold.release(ctx); err != nil {
		k.log.Warn("give back the slot", "err", err)
	}
}

package index

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index/kv"
	"github.com/shoalmesh/shoal/mesh"
)

// FolderConfig is what a folder needs to know of its mesh. The functions are called in every transaction, since keys and roster
// change; they must not block or use the database.
type FolderConfig struct {
	Mesh     shoal.MeshID
	Identity *mesh.Identity

	// Keys returns the folder's keys; nil: this device has none, and can do next to nothing.
	Keys func() *mesh.FolderKeys

	// Roster returns the evaluated roster.
	Roster func() *mesh.State

	// Keeper: this is a vault, which keeps records as they travelled and has no keys; Keys is not called. Of the methods of Tx only
	// those work that exchange journals and statuses, and those about what is Kept. It must not change in a database's life.
	Keeper bool

	// Shared: others delete from the keeper's block store too. See keepshared.go.
	Shared bool
}

// Folder is one folder of a database. Safe for concurrent use.
type Folder struct {
	db     *DB
	id     shoal.FolderID
	names  [len(bucketNames)]string
	config atomic.Pointer[FolderConfig]

	// writing is the number of the own journal that was opened or continued in this run; 0: none.
	writing atomic.Uint32
}

func newFolder(db *DB, id shoal.FolderID, number uint32) *Folder {
	f := &Folder{db: db, id: id}
	for i, name := range bucketNames {
		f.names[i] = bucketName(number, name)
	}
	return f
}

// bucketName returns the store's name of a folder's bucket.
func bucketName(folder uint32, name string) string { return fmt.Sprintf("%08x.%s", folder, name) }

// ID returns the folder's ID.
func (f *Folder) ID() shoal.FolderID { return f.id }

// SymlinkContent returns the content of a symlink: a keyed hash of its target. Without keys it is zero.
func (f *Folder) SymlinkContent(target string) block.ContentID {
	keys := f.config.Load().Keys()
	if keys == nil {
		return block.ContentID{}
	}
	return symlinkContent(&block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}, target)
}

// Update runs fn in a read-write transaction. When fn returns nil, all of it is committed and durable once Update returns nil;
// else nothing is. Updates that wait for each other share one commit to disk. fn runs on the caller's goroutine; tx ends with
// it. Errors: those of fn, ErrClosed, *DamagedError, or what the disk says. ctx is looked at before fn runs, not after.
func (f *Folder) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var after []func()
	err := f.db.store.Update(func(store kv.Tx) error {
		tx := f.newTx(store, true)
		defer tx.end()
		if err := catchDamage(func() error { return fn(tx) }); err != nil {
			return err
		}
		after = tx.after
		return tx.flush()
	})
	if fork, ok := errors.AsType[*ForkError](err); ok {
		err = errors.Join(err, f.keepFork(fork))
	}
	if err != nil {
		return f.db.wrap(err)
	}
	for _, hook := range after {
		hook()
	}
	return nil
}

// keepFork keeps the evidence of a fork that made an update fail.
func (f *Folder) keepFork(fork *ForkError) error {
	return f.db.store.Update(func(store kv.Tx) error {
		tx := f.newTx(store, true)
		defer tx.end()
		if err := tx.putFork(fork); err != nil {
			return err
		}
		return tx.flush()
	})
}

// View runs fn on a snapshot: the last commit before View was called. Keep it short: the database cannot reuse pages meanwhile.
func (f *Folder) View(fn func(*Tx) error) error {
	return f.db.wrap(f.db.store.View(func(store kv.Tx) error {
		tx := f.newTx(store, false)
		defer tx.end()
		return catchDamage(func() error { return fn(tx) })
	}))
}

// Lineage returns which journals of the folder continue which others, as far as their heads are known.
func (f *Folder) Lineage() (conflict.Lineage, error) {
	var l conflict.Lineage
	err := f.View(func(tx *Tx) error {
		l = tx.Lineage()
		return nil
	})
	return l, err
}

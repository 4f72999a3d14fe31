package s3store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// The index is what the ledger comes to, up to one entry: a bbolt database in the cache directory.
//
//	meta    "version" → 4 bytes; "store" → 16; "applied" → number 4, chain 32: what the rest contains, written with it
//	spaces  folder 16, epoch 32 → number 4
//	blocks  space 4, block ID 32, sealed hash 32 → pack 4, offset 4, length 4, pinned until 4
//	packs   number 4 → name 16, size 4, live bytes 8
const (
	indexName    = "index.db"
	nextName     = "index.next" // one that is being built
	indexVersion = 1
	lockWait     = time.Second
)

var (
	bucketMeta   = []byte("meta")
	bucketSpaces = []byte("spaces")
	bucketBlocks = []byte("blocks")
	bucketPacks  = []byte("packs")
	keyVersion   = []byte("version")
	keyStore     = []byte("store")
	keyApplied   = []byte("applied")
)

// errDamagedIndex: the index is none, or not whole; it is built again.
var errDamagedIndex = errors.New("damaged index")

// copyAt is a copy of a block that counts.
type copyAt struct {
	sealed [32]byte
	place  packfile.Place // Pack is the number of the entry that brought it
	length uint32         // of the sealed block
	until  uint32         // pinned until, in seconds since 1970
}

// size is what the copy takes in its pack.
func (c copyAt) size() int64 { return packfile.RecordHeadSize + int64(c.length) }

// packState is what the index knows of a pack.
type packState struct {
	ledger.Pack
	live int64 // bytes of records that count
}

// space is what the keys of many blocks have in common.
type space struct {
	folder shoal.FolderID
	epoch  shoal.EpochID
}

// index is the database, with its spaces and packs in memory. Reads may run beside each other; what changes it runs alone, with
// Store.mu held for writing at the moment at which its fields change.
type index struct {
	db      *bbolt.DB
	damaged atomic.Bool // set once errDamagedIndex was returned

	store   ledger.StoreID
	applied uint32      // number of the last entry that it contains
	chain   ledger.Hash // up to that entry
	spaces  map[space]uint32
	packs   map[uint32]packState
}

func openDB(dir, name string) (*bbolt.DB, error) {
	db, err := bbolt.Open(filepath.Join(dir, name), 0o600, &bbolt.Options{Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case err != nil && ofSystem(err):
		return nil, fmt.Errorf("open index: %w", err)
	case err != nil: // bbolt does not like the contents
		return nil, fmt.Errorf("%w: %w", errDamagedIndex, err)
	}
	return db, nil
}

// ofSystem tells whether err came from the operating system, so that building the index again would not help.
func ofSystem(err error) bool {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return true
	}
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

func removeIndex(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// openIndex opens the index in dir, which must be that of the store. Errors: errDamagedIndex, also when there is none; ErrInUse.
func openIndex(dir string, store ledger.StoreID) (_ *index, err error) {
	x := &index{store: store}
	defer x.guard(&err)
	if x.db, err = openDB(dir, indexName); err != nil {
		return nil, err
	}
	if err := x.load(); err != nil {
		return nil, errors.Join(err, x.db.Close())
	}
	return x, nil
}

// newIndex makes an empty index in a file beside the one that is in use. It counts for nothing before finish.
func newIndex(dir string, store ledger.StoreID) (_ *index, err error) {
	if err := removeIndex(dir, nextName); err != nil {
		return nil, err
	}
	x := &index{store: store, spaces: make(map[space]uint32), packs: make(map[uint32]packState)}
	if x.db, err = openDB(dir, nextName); err != nil {
		return nil, err
	}
	err = x.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketSpaces, bucketBlocks, bucketPacks} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyVersion, binary.BigEndian.AppendUint32(nil, indexVersion)), meta.Put(keyStore, store[:]))
	})
	if err != nil {
		return nil, errors.Join(err, x.db.Close())
	}
	return x, nil
}

func (x *index) close() error { return x.db.Close() }

// guard turns a panic of bbolt into errDamagedIndex, remembers that error, and says ErrClosed in our words.
func (x *index) guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errDamagedIndex, p)
	}
	switch {
	case errors.Is(*err, errDamagedIndex):
		x.damaged.Store(true)
	case errors.Is(*err, bolterrors.ErrDatabaseNotOpen):
		*err = ErrClosed
	}
}

// load reads everything but the blocks into memory.
func (x *index) load() error {
	x.spaces, x.packs = make(map[space]uint32), make(map[uint32]packState)
	return x.db.View(func(tx *bbolt.Tx) error {
		meta, spaces, packs := tx.Bucket(bucketMeta), tx.Bucket(bucketSpaces), tx.Bucket(bucketPacks)
		if meta == nil || spaces == nil || packs == nil || tx.Bucket(bucketBlocks) == nil {
			return errDamagedIndex
		}
		applied := meta.Get(keyApplied)
		if !bytes.Equal(meta.Get(keyVersion), binary.BigEndian.AppendUint32(nil, indexVersion)) || !bytes.Equal(meta.Get(keyStore), x.store[:]) || len(applied) != 36 {
			return errDamagedIndex
		}
		x.applied, x.chain = binary.BigEndian.Uint32(applied), ledger.Hash(applied[4:])
		err := spaces.ForEach(func(k, v []byte) error {
			if len(k) != 48 || len(v) != 4 {
				return errDamagedIndex
			}
			x.spaces[space{shoal.FolderID(k[:16]), shoal.EpochID(k[16:])}] = binary.BigEndian.Uint32(v)
			return nil
		})
		if err != nil {
			return err
		}
		return packs.ForEach(func(k, v []byte) error {
			if len(k) != 4 || len(v) != 28 {
				return errDamagedIndex
			}
			x.packs[binary.BigEndian.Uint32(k)] = packState{
				Pack: ledger.Pack{Name: ledger.PackName(v[:16]), Size: binary.BigEndian.Uint32(v[16:])}, live: int64(binary.BigEndian.Uint64(v[20:])),
			}
			return nil
		})
	})
}

// blockKey returns the key in the database of all copies of a block; false if no block of its space is known.
func (x *index) blockKey(k *block.Key) ([]byte, bool) {
	n, ok := x.spaces[space{k.Folder, k.Epoch}]
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 68), n), k.ID[:]...), ok
}

// find returns the copies that k names, lowest hash first.
func (x *index) find(k block.Key) (copies []copyAt, err error) {
	defer x.guard(&err)
	prefix, ok := x.blockKey(&k)
	if !ok {
		return nil, nil
	}
	if k.Sealed != ([32]byte{}) {
		prefix = append(prefix, k.Sealed[:]...)
	}
	err = x.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketBlocks).Cursor()
		for key, v := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, v = c.Next() {
			at, err := decodeCopy(key, v)
			if err != nil {
				return err
			}
			copies = append(copies, at)
		}
		return nil
	})
	return copies, err
}

func decodeCopy(key, v []byte) (copyAt, error) {
	if len(key) != 68 || len(v) != 16 {
		return copyAt{}, errDamagedIndex
	}
	return copyAt{
		sealed: [32]byte(key[36:]),
		place:  packfile.Place{Pack: binary.BigEndian.Uint32(v), Offset: binary.BigEndian.Uint32(v[4:])},
		length: binary.BigEndian.Uint32(v[8:]),
		until:  binary.BigEndian.Uint32(v[12:]),
	}, nil
}

func encodeCopy(c copyAt) []byte {
	v := binary.BigEndian.AppendUint32(make([]byte, 0, 16), c.place.Pack)
	v = binary.BigEndian.AppendUint32(v, c.place.Offset)
	v = binary.BigEndian.AppendUint32(v, c.length)
	return binary.BigEndian.AppendUint32(v, c.until)
}

// each calls fn for every copy, sorted within each folder and epoch, from one snapshot.
func (x *index) each(fn func(k block.Key, c copyAt) error) (err error) {
	defer x.guard(&err)
	names := make(map[uint32]space)
	return x.db.View(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketSpaces).ForEach(func(k, v []byte) error {
			if len(k) != 48 || len(v) != 4 {
				return errDamagedIndex
			}
			names[binary.BigEndian.Uint32(v)] = space{shoal.FolderID(k[:16]), shoal.EpochID(k[16:])}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(bucketBlocks).ForEach(func(key, v []byte) error {
			c, err := decodeCopy(key, v)
			if err != nil {
				return err
			}
			s, ok := names[binary.BigEndian.Uint32(key)]
			if !ok {
				return errDamagedIndex
			}
			return fn(block.Key{Folder: s.folder, Epoch: s.epoch, ID: block.ID(key[4:36]), Sealed: c.sealed}, c)
		})
	})
}

// check reports what bbolt finds wrong with its own pages.
func (x *index) check() (err error) {
	defer x.guard(&err)
	return x.db.View(func(tx *bbolt.Tx) error {
		var errs []error
		for e := range tx.Check() {
			if len(errs) < maxReports {
				errs = append(errs, fmt.Errorf("%w: %w", errDamagedIndex, e))
			}
		}
		return errors.Join(errs...)
	})
}
